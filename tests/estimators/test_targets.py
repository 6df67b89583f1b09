"""Targets in any units: scaled online, and predictions stay as they were."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenchel_stream import FenchelMultiTargetRegressor, FenchelRegressor
from fenchel_stream.errors import DataError
from fenchel_stream.preprocessing.scaling import HORIZON, TARGET_CLIP, TargetScaler
from tests.oracle import Matrix, weighted_history

UNITS = st.sampled_from([(1.0, 0.0), (1e-9, 0.0), (1e6, 3e6), (1.0, 1000.0), (1e3, -1e6)])


def batches_of(
    seed: int, sizes: list[int], units: tuple[float, float], *, gaps: bool = False
) -> list[Matrix]:
    rng = np.random.default_rng(seed)
    matrices = []
    for m in sizes:
        y = units[1] + units[0] * rng.normal(size=(m, 2))
        if gaps:
            y[rng.random((m, 2)) < 0.4] = math.nan
        matrices.append(y)
    return matrices


SIZES = st.lists(st.integers(1, 9), min_size=2, max_size=8)


class TestTargetScaler:
    @given(seed=st.integers(0, 10**6), sizes=SIZES, units=UNITS, gaps=st.booleans())
    def test_against_the_whole_history(
        self, seed: int, sizes: list[int], units: tuple[float, float], gaps: bool
    ) -> None:
        scaler = TargetScaler()
        scaler.grow(2)
        batches = batches_of(seed, sizes, units, gaps=gaps)
        for y in batches:
            scaler.update(y)
        rows = np.vstack(batches)
        for j in range(2):
            count, mean, deviation = weighted_history(rows[:, j], HORIZON, TARGET_CLIP)
            if count < 2:
                continue
            assert scaler.moments.count[j] == count
            assert scaler.moments.mean[j] == pytest.approx(mean, rel=1e-9)
            assert scaler.deviation[j] == pytest.approx(deviation, rel=1e-6)
            scaled = (rows[:, j] - mean) / deviation
            in_units = scaler.scale(rows)[:, j]
            assert in_units == pytest.approx(
                scaled.clip(-TARGET_CLIP, TARGET_CLIP), abs=1e-6, nan_ok=True
            )

    @given(seed=st.integers(0, 10**6), sizes=SIZES, units=UNITS, gaps=st.booleans())
    def test_predictions_stay_as_they_were(
        self, seed: int, sizes: list[int], units: tuple[float, float], gaps: bool
    ) -> None:
        rng = np.random.default_rng(seed)
        scaler = TargetScaler()
        scaler.grow(2)
        first, *batches = batches_of(seed, [5, *sizes], units)
        scaler.update(first)
        if gaps:
            batches = batches_of(seed + 1, sizes, units, gaps=True)
        u = rng.normal(size=(6, 2))
        before = scaler.unscale(u)
        for y in batches:
            factor, shift = scaler.update(y)
            u = factor * u + shift
            after = scaler.unscale(u)
            np.testing.assert_allclose(after, before, rtol=1e-9, atol=1e-9 * units[0])

    def test_scale_and_unscale_are_inverse(self) -> None:
        scaler = TargetScaler()
        scaler.grow(2)
        y = np.random.default_rng(0).normal(1e4, 30, (20, 2))
        scaler.update(y)
        np.testing.assert_allclose(scaler.unscale(scaler.scale(y)), y, rtol=1e-14)

    def test_missing_targets_do_not_count(self) -> None:
        scaler = TargetScaler()
        scaler.grow(2)
        factor, shift = scaler.update(np.array([[math.nan, 1.0], [math.nan, 3.0]]))
        assert (factor[0], shift[0]) == (1.0, 0.0)
        assert scaler.moments.count.tolist() == [0, 2]
        assert scaler.moments.mean.tolist() == [0, 2]
        assert scaler.deviation.tolist() == [1, 1]

    def test_growing_leaves_the_others_alone(self) -> None:
        scaler = TargetScaler()
        scaler.grow(1)
        scaler.update(np.array([[1.0], [5.0]]))
        scaler.grow(2)
        assert scaler.moments.mean.tolist() == [3, 0, 0]
        assert scaler.deviation.tolist() == [2, 1, 1]

    @pytest.mark.parametrize("constant", [0.1, -3.3, 1e-9, 1e6 + 0.1, 1e300 / 3e210])
    def test_a_constant_has_no_deviation(self, constant: float) -> None:
        # Rounding must not pass for one: everything would be divided by it.
        scaler = TargetScaler()
        scaler.grow(1)
        for m in np.random.default_rng(0).integers(1, 60, 40):
            factor, _ = scaler.update(np.full((m, 1), constant))
            assert factor.tolist() == [1.0]
        assert scaler.deviation.tolist() == [1.0]


def named(row: list[float]) -> dict[Hashable, float]:
    return dict(zip("abc", row, strict=True))


def stream(rows: int = 200) -> tuple[Matrix, Matrix]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 3))
    return x, np.sin(2 * x[:, 0]) * x[:, 1] + x[:, 2]


def errors_of(y: Matrix, x: Matrix, **settings: Any) -> tuple[Matrix, FenchelRegressor]:
    """Errors of predicting each target before learning it."""
    model = FenchelRegressor(hidden=(16,), **settings)
    errors = []
    for row, target in zip(x.tolist(), y.tolist(), strict=True):
        errors.append(model.predict_one(named(row)) - target)
        model.learn_one(named(row), target)
    return np.array(errors), model


class TestRegressor:
    @pytest.mark.parametrize("batch_size", [1, 8])
    @pytest.mark.parametrize(
        ("scale", "shift"),
        [(1e6, 0.0), (1e-6, 0.0), (1.0, 1000.0), (1e6, 3e6), (-1e3, 1e5), (1e10, -1e12)],
    )
    def test_units_do_not_matter(self, scale: float, shift: float, batch_size: int) -> None:
        x, y = stream()
        settings: dict[str, Any] = {"batch_size": batch_size, "dtype": "float64"}
        unit, _ = errors_of(y, x, **settings)
        other, _ = errors_of(scale * y + shift, x, **settings)
        # Before the first batch the model knows nothing, and the prediction is 0.
        np.testing.assert_allclose(other[batch_size:] / scale, unit[batch_size:], atol=1e-6)
        assert np.abs(unit[100:]).mean() < 0.7 * np.abs(y[100:] - y.mean()).mean()

    def test_units_do_not_matter_in_single_precision(self) -> None:
        x, y = stream()
        unit, _ = errors_of(y, x)
        other, _ = errors_of(1e6 * y + 3e6, x)
        assert np.abs(other[100:]).mean() / 1e6 == pytest.approx(
            np.abs(unit[100:]).mean(), rel=0.02
        )

    def test_the_first_target_is_the_first_prediction(self) -> None:
        model = FenchelRegressor()
        model.learn_one({"a": 1.0, "b": -2.0}, 1e6)
        assert model.predict_one({"a": -5.0, "b": 3.0}) == pytest.approx(1e6)

    @pytest.mark.parametrize("constant", [0.0, 0.1, 1e6 + 0.1])
    def test_a_constant_target(self, constant: float) -> None:
        x, _ = stream(300)
        model = FenchelRegressor()
        start = 0
        for m in np.random.default_rng(1).integers(1, 30, 15):
            X = pl.DataFrame(x[start : start + m], schema=list("abc"))
            model.learn_many(X, pl.Series(np.full(len(X), constant)))
            predicted = model.predict_many(X).to_numpy()
            np.testing.assert_allclose(predicted, constant, rtol=1e-6, atol=1e-9)
            start += m
        # And then it moves.
        errors = []
        for row in stream()[0].tolist():
            errors.append(abs(model.predict_one(named(row)) - constant - row[0]))
            model.learn_one(named(row), constant + row[0])
        assert np.mean(errors[100:]) < 0.5

    def test_a_jump_is_followed(self) -> None:
        x, y = stream(400)
        y[200:] += 10
        errors, _ = errors_of(y, x)
        assert errors[200] < -7
        assert np.abs(errors[300:]).mean() < 1.2

    def test_the_types_of_targets(self) -> None:
        expected = FenchelRegressor()
        expected.learn_one({"a": 1.0}, 2.0)
        types: list[Any] = [2, np.float32(2), np.int8(2), np.float64(2)]
        for y in types:
            model = FenchelRegressor()
            model.learn_one({"a": 1.0}, y)
            predicted = model.predict_one({"a": 1.0})
            assert predicted == expected.predict_one({"a": 1.0})
            assert type(predicted) is float


class TestSeveralTargets:
    def test_each_is_scaled_on_its_own(self) -> None:
        # Without a hidden layer the targets share nothing: each is learnt as if alone.
        x, y = stream(60)
        units: dict[Hashable, tuple[float, float]] = {
            "small": (1e-3, 0.0),
            "plain": (1.0, 0.0),
            "large": (1e6, -7e6),
        }
        together = FenchelMultiTargetRegressor(hidden=(), dtype="float64")
        alone = {name: FenchelRegressor(hidden=(), dtype="float64") for name in units}
        for row, target in zip(x.tolist(), y.tolist(), strict=True):
            targets: dict[Hashable, float] = {
                name: scale * target + shift for name, (scale, shift) in units.items()
            }
            together.learn_one(named(row), targets)
            for name, value in targets.items():
                alone[name].learn_one(named(row), value)
            predicted = together.predict_one(named(row))
            for name, model in alone.items():
                assert predicted[name] == pytest.approx(model.predict_one(named(row)), rel=1e-9)

    @pytest.mark.parametrize("batch_size", [1, 6])
    @pytest.mark.parametrize(("gamma", "tolerance"), [(1.0, 1e-9), ("auto", 0.2)])
    def test_one_that_is_missing_keeps_its_prediction(
        self, batch_size: int, gamma: Any, tolerance: float
    ) -> None:
        # With "auto" the candidates move towards their average, and the shares move.
        x, y = stream(60)
        model = FenchelMultiTargetRegressor(
            hidden=(), gamma=gamma, scale=False, dtype="float64", batch_size=batch_size
        )
        for row, target in zip(x.tolist(), y.tolist(), strict=True):
            model.learn_one(named(row), {"u": target, "v": 50 - target})
        probe = named([1.0, -1.0, 0.5])
        before = model.predict_one(probe)
        for row in x.tolist():
            model.learn_one(named(row), {"u": 1e3})
        after = model.predict_one(probe)
        assert after["v"] == pytest.approx(before["v"], abs=tolerance)
        assert after["u"] > before["u"] + 100

    def test_one_that_arrives_late(self) -> None:
        x, y = stream(300)
        model = FenchelMultiTargetRegressor(dtype="float64")
        errors = []
        for number, (row, target) in enumerate(zip(x.tolist(), y.tolist(), strict=True)):
            targets: dict[Hashable, float] = {"early": target}
            if number >= 100:
                targets["late"] = 1e5 + 1e3 * target
                errors.append(abs(model.predict_one(named(row)).get("late", 0.0) - targets["late"]))
            model.learn_one(named(row), targets)
        assert max(errors[1:]) < 1e4
        assert np.mean(errors[100:]) < 700

    def test_all_rows_of_a_frame_and_their_gaps(self) -> None:
        X = pd.DataFrame({"a": [1.0, 2.0, 3.0]})
        model = FenchelMultiTargetRegressor()
        model.learn_many(X, pd.DataFrame({"u": [1.0, np.nan, 3.0], "v": [np.nan] * 3}))
        assert model.target_scaler.moments.count.tolist() == [2]
        assert list(model.predict_many(X).columns) == ["u"]

    @pytest.mark.parametrize("missing", [None, np.nan])
    def test_all_rows_alone_and_their_gaps(self, missing: Any) -> None:
        alone, together = FenchelMultiTargetRegressor(), FenchelMultiTargetRegressor()
        for a in (1.0, 2.0, 3.0):
            alone.learn_one({"a": a}, {"u": 2 * a, "new": missing})
            frame = pl.DataFrame({"u": [2 * a], "new": [missing]}, {"u": float, "new": float})
            together.learn_many(pl.DataFrame({"a": [a]}), frame)
        assert alone.predict_one({"a": 2.0}) == together.predict_one({"a": 2.0})
        assert list(alone.predict_one({"a": 2.0})) == ["u"]
        fresh = FenchelMultiTargetRegressor()
        fresh.learn_one({"a": 1.0}, {"u": missing})
        assert fresh.predict_one({"a": 1.0}) == {}

    def test_they_are_a_dict_of_numbers(self) -> None:
        with pytest.raises(DataError, match="several targets are a dict such as .* not 5"):
            FenchelMultiTargetRegressor().learn_one({"a": 1.0}, 5)  # type: ignore[arg-type]
        with pytest.raises(DataError, match="the target is '5', not a number"):
            FenchelRegressor().learn_one({"a": 1.0}, "5")  # type: ignore[arg-type]
