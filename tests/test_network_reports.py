"""A report tells of its batch, whatever happens to the network afterwards."""

from __future__ import annotations

import numpy as np
import pytest

from fenchel_stream import LiftedNetwork


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
