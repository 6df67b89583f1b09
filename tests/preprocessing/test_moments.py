"""Running moments against weighted averages over all that was seen."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenchel_stream.preprocessing.moments import Moments
from tests.oracle import weighted_history

VALUES = st.sampled_from([0.0, 1.0, -2.5, 40.0, 1e9, math.nan])


@given(
    rows=st.lists(st.lists(VALUES, min_size=2, max_size=2), min_size=1, max_size=30),
    cuts=st.lists(st.integers(1, 7), min_size=30, max_size=30),
    horizon=st.sampled_from([2.0, 5.0, 12.0, math.inf]),
    bound=st.sampled_from([1.0, 3.0, math.inf]),
)
def test_rows_and_batches(
    rows: list[list[float]], cuts: list[int], horizon: float, bound: float
) -> None:
    x = np.array(rows)
    moments = Moments(horizon, bound)
    moments.grow(2)
    for part in np.split(x, np.cumsum(cuts)):
        moments.update(part)
    for j in range(2):
        count, mean, deviation = weighted_history(x[:, j], horizon, bound)
        scale = max(1.0, float(np.nanmax(np.abs(x[:, j]), initial=0.0)))
        assert moments.count[j] == pytest.approx(count, rel=1e-9)
        assert moments.mean[j] == pytest.approx(mean, rel=1e-6, abs=1e-9 * scale)
        assert moments.deviation[j] == pytest.approx(deviation, rel=1e-4, abs=1e-7 * scale)


def usual(batch: int) -> tuple[Moments, np.random.Generator]:
    rng = np.random.default_rng(0)
    moments = Moments(horizon=500, bound=10.0)
    moments.grow(1)
    for part in np.array_split(rng.normal(size=(2000, 1)), 2000 // batch):
        moments.update(part)
    return moments, rng


def test_an_outlier_hardly_counts() -> None:
    moments, _ = usual(1)
    moments.update(np.array([[1e9]]))
    assert moments.deviation[0] == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("batch", [1, 32, 500, 2000])
def test_a_change_of_level_and_units_is_followed(batch: int) -> None:
    moments, rng = usual(batch)
    x = 300.0 + 1000.0 * rng.normal(size=(4000, 1))
    for part in np.array_split(x, 4000 // batch):
        moments.update(part)
    assert moments.mean[0] == pytest.approx(300.0, abs=200.0)
    assert moments.deviation[0] == pytest.approx(1000.0, rel=0.2)


def test_what_is_rare_keeps_its_scale() -> None:
    moments = Moments(horizon=500, bound=10.0)
    moments.grow(1)
    rng = np.random.default_rng(0)
    x = (rng.random((60_000, 1)) < 0.005) * rng.exponential(size=(60_000, 1))
    moments.update(x)
    # Over all rows it is 0.1. By the bound of late alone it would be 1e-16 by now.
    assert moments.deviation[0] > 0.005
