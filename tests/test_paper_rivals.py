"""The rivals of the paper's Figure 1: each block is the minimiser, and the whole descends."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar, nnls
from torch import Tensor

from examples.paper.rivals.askari import AskariLifted
from examples.paper.rivals.lau import LauBcd
from examples.paper.rivals.split import SplitNetwork, solve, split_relu, with_ones
from examples.paper.rivals.taylor import TaylorAdmm

SIZES = [6, 9, 8, 3]
RIVALS: list[Callable[[], SplitNetwork]] = [
    lambda: TaylorAdmm(SIZES, warm_start=3),
    lambda: LauBcd(SIZES, scale=0.5),
    lambda: AskariLifted(SIZES, lam=0.5, rho=0.3, scale=0.5),
]
number = st.floats(-3.0, 3.0)
weight = st.floats(0.1, 10.0)


def problem(rows: int = 40) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(rows, SIZES[0])), np.eye(SIZES[-1])[rng.integers(3, size=rows)]
    return torch.from_numpy(x), torch.from_numpy(y)


def doubled(rival: SplitNetwork) -> SplitNetwork:
    """In double precision, so that a rise is no rounding."""
    rival.weights = [w.double() for w in rival.weights]
    return rival


@given(number, number, weight, weight)
def test_the_split_relu_is_solved_globally(a: float, m: float, gamma: float, beta: float) -> None:
    def value(z: float) -> float:
        return gamma * (a - max(z, 0.0)) ** 2 + beta * (z - m) ** 2

    wanted, made = (torch.tensor([x], dtype=torch.float64) for x in (a, m))
    found = split_relu(wanted, made, gamma, beta).item()
    halves = [(-10.0, 0.0), (0.0, 10.0)]  # convex in each
    best = min(minimize_scalar(value, bounds=half, method="bounded").fun for half in halves)
    assert value(found) <= best + 1e-9


def test_activations_solve_their_linear_system() -> None:
    rng = torch.Generator().manual_seed(0)
    wanted, w, centre = (torch.randn(4, n, generator=rng).double() for n in (4, 6, 5))
    stacked = torch.cat([2.0**0.5 * w[:, 1:], 3.0**0.5 * torch.eye(5, dtype=torch.float64)])
    right = torch.cat([2.0**0.5 * (wanted - w[:, 0]), 3.0**0.5 * centre], dim=1)
    expected = np.linalg.lstsq(stacked, right.T, rcond=None)[0].T
    np.testing.assert_allclose(solve(wanted, w, centre, 2.0, 3.0), expected, atol=1e-10)


def test_taylors_lagrangian_never_rises_while_its_multiplier_rests() -> None:
    x, y = problem()
    rival = doubled(TaylorAdmm(SIZES, beta=2.0, gamma=3.0))
    assert isinstance(rival, TaylorAdmm)
    values = []
    for _ in range(20):
        rival.iterate(x, y, number=0)
        values.append(rival.lagrangian(x, y))
    assert (np.diff(values) <= 1e-9 * values[0]).all()
    assert values[-1] < 0.5 * values[0]


def test_taylors_multiplier_closes_the_gap_of_the_last_layer() -> None:
    x, y = problem(rows=200)
    gaps = {}
    for warm_start in (0, 10_000):
        rival = doubled(TaylorAdmm(SIZES, beta=0.1, warm_start=warm_start))
        assert isinstance(rival, TaylorAdmm)
        for iteration in range(100):
            rival.iterate(x, y, iteration)
        made = with_ones(rival.a[-1]) @ rival.weights[-1].T
        gaps[warm_start] = float((rival.z[-1] - made).norm())
    assert gaps[0] < 0.1 * gaps[10_000]


@pytest.mark.parametrize(
    "rival",
    [
        LauBcd(SIZES, gamma=2.0, rho=0.7, alpha=0.5, scale=0.5),
        AskariLifted(SIZES, lam=0.5, rho=0.3, scale=0.5),
    ],
    ids=["Lau", "Askari"],
)
def test_the_objective_never_rises(rival: LauBcd | AskariLifted) -> None:
    x, y = problem()
    doubled(rival)
    values = []
    for iteration in range(30):
        rival.iterate(x, y, iteration)
        values.append(rival.objective(x, y))
    assert (np.diff(values) <= 1e-9 * values[0]).all()
    assert values[-1] < 0.9 * values[0]


def test_askaris_units_reach_the_non_negative_least_squares() -> None:
    x, y = problem(rows=5)
    rival = doubled(AskariLifted([6, 8, 3], lam=0.4, sweeps=500, scale=1.0))
    assert isinstance(rival, AskariLifted)
    below, above = rival.weights
    rival.iterate(x, y, 0)
    stacked = np.vstack([above[:, 1:], 0.4**0.5 * np.eye(8)])
    for row, found in enumerate(rival.x[0]):
        u = with_ones(x[row : row + 1]) @ below.T
        right = np.concatenate([y[row] - above[:, 0], 0.4**0.5 * u[0]])
        np.testing.assert_allclose(found, nnls(stacked, right)[0], atol=1e-8)
    # Then the weights are ridge regressions, here checked by their vanishing gradient.
    a = with_ones(rival.x[0])
    gradient = (a @ rival.weights[1].T - y).T @ a + rival.rho * rival.weights[1]
    assert gradient.abs().max() < 1e-8


@pytest.mark.parametrize("make", RIVALS)
def test_a_cut_run_goes_on_as_if_it_were_not_cut(make: Callable[[], SplitNetwork]) -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(256, size=(50, 6), dtype=np.uint8)
    y = rng.integers(3, size=50)
    whole, first, second = make(), make(), make()
    for iteration in range(6):
        whole.learn(x, y, iteration)
    for iteration in range(4):
        first.learn(x, y, iteration)
    second.restore({name: value.copy() for name, value in first.state().items()})
    for iteration in range(4, 6):
        second.learn(x, y, iteration)
    for ours, theirs in zip(whole.weights, second.weights, strict=True):
        assert torch.equal(ours, theirs)
