"""Settings of a problem, which never change, and what `configured` and `relaxed` make of them."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from fenchel_stream.errors import ConfigError
from fenchel_stream.network.layers import Dense
from fenchel_stream.network.problem import Problem, block_order
from tests import oracle

LAYERS = [Dense(4), Dense(3), Dense(2)]


def test_it_is_frozen() -> None:
    problem = Problem.of(LAYERS)
    with pytest.raises(FrozenInstanceError):
        problem.lam = (1.0, 1.0)  # type: ignore[misc]


def test_other_settings_leave_the_first_problem_alone() -> None:
    problem = Problem.of(LAYERS, lam=[0.1, 0.2], gamma=1.0)
    other = problem.configured(0.5, "auto", [0.0, 0.1, 0.2], 2, "paper")
    assert (problem.lam, problem.gamma, problem.rho) == ((0.1, 0.2), (1.0,) * 3, (0.0,) * 3)
    assert (other.lam, other.gamma, other.rho) == ((0.5, 0.5), (0.1,) * 3, (0.0, 0.1, 0.2))
    assert (problem.tuned, other.tuned) == (False, True)
    assert other.schedule == 2 * block_order("paper", 3)


def test_a_tuned_gamma_counts_in_samples_whenever_it_is_set() -> None:
    problem = Problem.of(LAYERS, gamma=1.0, gamma_unit="absolute")
    with pytest.raises(ConfigError, match="gamma_unit must be 'sample'"):
        problem.configured(0.1, "auto", 0.0, 1, "top_down")


def test_the_orders_of_the_paper_and_of_ours() -> None:
    assert block_order("paper", 3) == (("X", 2), ("X", 1), ("W", 2), ("W", 1), ("W", 0))
    assert block_order("top_down", 3) == (("W", 2), ("X", 2), ("W", 1), ("X", 1), ("W", 0))
    assert block_order("paper", 1) == block_order("top_down", 1) == (("W", 0),)


@pytest.mark.parametrize(
    ("chosen", "rows", "expected"),
    [
        ({}, 1, (1, 2)),
        ({}, 2, (3, 5)),
        ({"x_iterations": 7}, 1, (1, 7)),
        ({"w_iterations": 4}, 9, (4, 5)),
    ],
)
def test_inner_iterations(chosen: dict[str, int], rows: int, expected: tuple[int, int]) -> None:
    problem = Problem.of(LAYERS, **chosen)  # type: ignore[arg-type]
    assert (problem.iterations("W", rows), problem.iterations("X", rows)) == expected


@pytest.mark.parametrize("activation", list(oracle.PAIRS))
def test_forward_and_curvature(activation: str) -> None:
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape) for shape in ((4, 4), (3, 5), (2, 4))]
    problem = Problem.of(LAYERS, activation=activation, lam=[0.3, 2.0], gamma=1.0)
    settings: Any = (problem.lam, problem.gamma, problem.rho)
    reference = oracle.Network(weights, activation, "cross_entropy", *settings)
    x = rng.normal(size=(5, 3))
    now = problem.forward(weights, oracle.ones(x))
    *xs, outputs = reference.forward(x)
    for a, expected in zip(now.inputs, xs, strict=True):
        np.testing.assert_allclose(a, oracle.ones(expected), rtol=1e-12)
    np.testing.assert_allclose(now.outputs[-1], outputs, rtol=1e-12)
    for layer in range(3):
        assert problem.curvature(layer) == pytest.approx(reference.curvature(layer))
