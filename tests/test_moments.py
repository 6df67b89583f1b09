"""Running moments against weighted averages over all that was seen."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenchel_stream.moments import Moments
from tests.oracle import Matrix

VALUES = st.sampled_from([0.0, 1.0, -2.5, 40.0, 1e9, math.nan])


def expected(batches: list[Matrix], horizon: float, bound: float) -> tuple[float, float, float]:
    """Return the sum of weights, mean and deviation of a column, with a weight for each value."""
    seen, weights = np.zeros(0), np.zeros(0)
    for batch in batches:
        known = batch[~np.isnan(batch)]
        if weights.sum() > 0:
            mean = np.average(seen, weights=weights)
            deviation = math.sqrt(np.average((seen - mean) ** 2, weights=weights))
            if deviation > 1e-12 * abs(mean):
                reach = bound * deviation
                known = np.clip(known, mean - reach, mean + reach)
        if len(known) and weights.sum() + len(known) > horizon:
            weights = weights * max(horizon - len(known), 0.0) / weights.sum()
        seen, weights = np.append(seen, known), np.append(weights, np.ones(len(known)))
    if not weights.sum():
        return 0.0, 0.0, 0.0
    mean = np.average(seen, weights=weights)
    return weights.sum(), mean, math.sqrt(np.average((seen - mean) ** 2, weights=weights))


@given(
    rows=st.lists(st.lists(VALUES, min_size=2, max_size=2), min_size=1, max_size=30),
    cuts=st.lists(st.integers(1, 7), min_size=30, max_size=30),
    horizon=st.sampled_from([1.0, 5.0, 12.0, math.inf]),
    bound=st.sampled_from([1.0, 3.0, math.inf]),
)
def test_rows_and_batches(
    rows: list[list[float]], cuts: list[int], horizon: float, bound: float
) -> None:
    x = np.array(rows)
    parts = [part for part in np.split(x, np.cumsum(cuts)) if len(part)]
    moments = Moments(horizon, bound)
    moments.grow(2)
    for part in parts:
        moments.update(part)
    for j in range(2):
        count, mean, deviation = expected([part[:, j] for part in parts], horizon, bound)
        scale = max(1.0, float(np.nanmax(np.abs(x[:, j]), initial=0.0)))
        assert moments.count[j] == pytest.approx(count, rel=1e-9)
        assert moments.mean[j] == pytest.approx(mean, rel=1e-6, abs=1e-9 * scale)
        assert moments.deviation[j] == pytest.approx(deviation, rel=1e-4, abs=1e-7 * scale)


def test_an_outlier_hardly_counts_and_a_change_of_units_is_followed() -> None:
    rng = np.random.default_rng(0)
    moments = Moments(horizon=500, bound=10.0)
    moments.grow(1)
    for x in rng.normal(size=(1000, 1)):
        moments.update(x[None])
    moments.update(np.array([[1e9]]))
    assert moments.deviation[0] == pytest.approx(1.0, abs=0.2)
    for x in 1000.0 * rng.normal(size=(400, 1)):
        moments.update(x[None])
    assert 500.0 < moments.deviation[0] < 2000.0
