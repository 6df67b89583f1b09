"""A report tells of its batch, whatever happens to the network afterwards."""

from __future__ import annotations

import numpy as np
import pytest

from fenchel_stream import LiftedNetwork


def test_its_text_is_short() -> None:
    network = LiftedNetwork.dense([3, 5, 2])
    report = network.learn_batch(np.ones((4, 3)), np.array([0, 1, 1, 0]))
    assert str(report) == repr(report)
    assert f"objective_after={report.objective_after:.6g}" in repr(report)
    assert len(repr(report)) < 100


@pytest.mark.parametrize("rows", [1, 8])
def test_growth_does_not_change_what_a_report_says(rows: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(rows, 3)), rng.integers(0, 2, rows)
    early, late = (LiftedNetwork.dense([3, 5, 2], dtype="float64") for _ in range(2))
    at_once, afterwards = early.learn_batch(x, y), late.learn_batch(x, y)
    expected = at_once.objective_after, at_once.displacement
    late.grow_inputs(np.ones((5, 2)))
    late.grow_outputs(1)
    assert (afterwards.objective_after, afterwards.displacement) == expected
