from __future__ import annotations

from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import metrics

from fenchel_stream.evaluation.batch_model import Predictions
from fenchel_stream.evaluation.curve import LIMIT, Curve
from fenchel_stream.evaluation.scores import Scores


def scores(*errors: float, window: int = 3) -> Scores:
    made = Scores(metrics.MAE() + metrics.RMSE(), window)
    made.update([0.0] * len(errors), Predictions(list(errors)))
    return made


def rows_of(curve: Curve) -> list[float]:
    return [point["row"] for point in curve.points]


def test_a_point_holds_both_figures_of_each_metric() -> None:
    curve = Curve(every=1)
    curve.follow(4, scores(4.0, 0.0, 0.0, 3.0))
    expected = {
        "row": 4,
        "MAE": 1.0,
        "RMSE": pytest.approx(3**0.5),
        "all MAE": 1.75,
        "all RMSE": pytest.approx(2.5),
    }
    assert curve.points == [expected]


@given(every=st.integers(1, 50), steps=st.lists(st.integers(0, 120), max_size=60))
def test_one_point_about_every_so_many_rows(every: int, steps: list[int]) -> None:
    curve, recent, row = Curve(every), scores(1.0), 0
    reached = [0]
    for step in steps:
        row += step
        reached.append(row)
        curve.follow(row, recent)
    points = rows_of(curve)
    assert set(points) <= set(reached)
    assert all(b - a >= every for a, b in pairwise([0, *points]))
    # None is missing: before each point, and after the last, too few rows had passed.
    for a, b in pairwise([0, *points, float("inf")]):
        assert not [r for r in reached if a + every <= r < b]
    shown = [point["row"] for point in curve.to_frame(row, recent).to_dicts()]
    assert shown == points + ([row] if row > curve.end else [])


def test_its_end_is_shown_and_not_kept() -> None:
    curve, recent = Curve(every=10), scores(1.0)
    assert curve.to_frame(0, recent).is_empty()
    assert curve.to_frame(3, recent)["row"].to_list() == [3]
    curve.follow(10, recent)
    assert curve.to_frame(10, recent)["row"].to_list() == [10]
    assert curve.to_frame(17, recent)["row"].to_list() == [10, 17]
    assert rows_of(curve) == [10]


def test_an_endless_stream_fits_in_memory() -> None:
    curve, recent = Curve(every=10), scores(1.0)
    most = 0
    for row in range(10, 10 * 5 * LIMIT, 10):
        curve.follow(row, recent)
        most = max(most, len(curve.points))
    assert most < LIMIT
    assert curve.every == 80
    points = rows_of(curve)
    assert {b - a for a, b in pairwise(points)} == {80}
    assert points[-1] > 10 * 5 * LIMIT - 90


def test_metrics_may_change_their_type() -> None:
    curve = Curve(every=1)
    curve.points = [{"row": row, "R2": 0 if row < 300 else 0.5} for row in range(1, 301)]
    assert curve.to_frame(300, scores(1.0)).schema["R2"] == pl.Float64
