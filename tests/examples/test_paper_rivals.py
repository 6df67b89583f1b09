"""The rivals of the paper's Figure 1: each block is the minimiser, and the whole descends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar, nnls
from torch import Tensor

from examples.paper.rivals.askari import AskariLifted
from examples.paper.rivals.lau import LauBcd
from examples.paper.rivals.lpom import LiLpom
from examples.paper.rivals.mac import CarreiraMac
from examples.paper.rivals.split import SplitNetwork, solve, split_relu, with_ones
from examples.paper.rivals.taylor import TaylorAdmm
from examples.paper.rivals.zhang_brand import ZhangTikhonov

SIZES = [6, 9, 8, 3]
RIVALS: list[Callable[[], SplitNetwork]] = [
    lambda: TaylorAdmm(SIZES, warm_start=3),
    lambda: LauBcd(SIZES, scale=0.5),
    lambda: AskariLifted(SIZES, lam=0.5, rho=0.3, scale=0.5),
    lambda: CarreiraMac(SIZES, 30, scale=0.5),
    lambda: LiLpom(SIZES, mu=2.0, anew=False, scale=0.5),
    lambda: ZhangTikhonov(SIZES, lam=0.5, rho=0.3, scale=0.5),
]
Descending = LauBcd | AskariLifted | CarreiraMac | LiLpom
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
        CarreiraMac(SIZES, 30, mu=0.3, growth=1.0, ridge=1.0, scale=0.5),
        LiLpom(SIZES, mu=0.5, anew=False, w_steps=2, ridge=1.0, scale=0.5),  # before Nesterov's
        ZhangTikhonov(SIZES, lam=0.5, rho=0.3, theta=0.6, scale=0.5),
    ],
    ids=["Lau", "Askari", "MAC", "LPOM", "Zhang"],
)
def test_the_objective_never_rises(rival: Descending) -> None:
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


def test_mac_reaches_its_coordinates_and_its_one_layer_regressions() -> None:
    x, y = problem(rows=50)
    rival = doubled(
        CarreiraMac([6, 8, 3], 1, mu=0.4, w_steps=2000, z_steps=5000, ridge=1e-3, scale=1.0)
    )
    assert isinstance(rival, CarreiraMac)
    noise = torch.randn(50, 8, generator=torch.Generator().manual_seed(5))
    rival.z = [(rival.outputs(x)[0] + noise).clamp(min=0.0)]
    z = rival.z[0].numpy()
    a = with_ones(rival.z[0])
    rival.iterate(x, y, 0)
    below, above = rival.weights
    np.testing.assert_allclose(above.T, np.linalg.lstsq(a, y, rcond=None)[0], atol=1e-8)
    u = (with_ones(x) @ below.T).numpy()
    slope = np.where(u > 0.0, u - z, 0.0)
    assert (z[u < 0.0] > 0.0).any()
    assert np.abs(slope.T @ with_ones(x).numpy()).max() < 1e-6, "a stationary point"
    stacked = np.vstack([above[:, 1:], 0.4**0.5 * np.eye(8)])
    for row, found in enumerate(rival.z[0]):
        right = np.concatenate([y[row] - above[:, 0], 0.4**0.5 * np.maximum(u[row], 0.0)])
        np.testing.assert_allclose(found, nnls(stacked, right)[0], atol=1e-8)


def test_macs_penalty_grows_and_closes_the_gap() -> None:
    x, y = problem(rows=200)
    gaps = {}
    for growth in (1.0, 10_000.0):
        rival = doubled(CarreiraMac(SIZES, 40, mu=0.1, growth=growth, ridge=1.0, scale=0.5))
        assert isinstance(rival, CarreiraMac)
        for iteration in range(40):
            rival.iterate(x, y, iteration)
        made = [
            (with_ones(a) @ w.T).clamp(min=0.0)
            for a, w in zip([x, *rival.z[:-1]], rival.weights[:-1], strict=True)
        ]
        gaps[growth] = sum(float((u - z).norm()) for u, z in zip(made, rival.z, strict=True))
    assert gaps[10_000.0] < 0.5 * gaps[1.0]


@pytest.mark.parametrize("scale", [0.1, 1.0], ids=["contraction", "damped"])
def test_lpom_reaches_its_activations_and_its_weights(scale: float) -> None:
    x, y = problem(rows=30)
    rival = doubled(LiLpom([6, 8, 3], mu=2.0, x_steps=5000, w_steps=2000, ridge=1.0, scale=scale))
    assert isinstance(rival, LiLpom)
    below, above = rival.weights
    assert (torch.linalg.matrix_norm(above[:, 1:], 2) < 1.0) == (scale < 1.0)
    u = (with_ones(x) @ below.T).numpy()
    made = with_ones(rival.activations(x)[0]) @ above.T
    rival.iterate(x, y, 0)
    outputs = rival.x[1]  # those of min ||X - Y||^2 / 2 + mu/2 ||X - U||^2
    np.testing.assert_allclose(outputs - y + 2.0 * (outputs - made), 0.0, atol=1e-12)
    stacked = np.vstack([above[:, 1:], np.eye(8)])
    for row, found in enumerate(rival.x[0]):
        right = np.concatenate([outputs[row] - above[:, 0], u[row]])
        np.testing.assert_allclose(found, nnls(stacked, right)[0], atol=1e-8)
    a, wanted = with_ones(rival.x[0]).numpy(), outputs.numpy()
    np.testing.assert_allclose(a @ rival.weights[1].T.numpy(), a @ np.linalg.pinv(a) @ wanted)

    def penalty(w: NDArray[Any]) -> float:
        u = with_ones(x).numpy() @ w.reshape(7, 8)
        return float((0.5 * np.maximum(u, 0.0) ** 2 - u * rival.x[0].numpy()).sum())

    found = rival.weights[0].T.numpy()
    assert penalty(found) <= minimize(penalty, np.zeros(56), tol=1e-12).fun + 1e-8


def test_zhang_and_brand_are_askari_without_their_proximal_terms() -> None:
    x, y = problem()
    both = [kind(SIZES, lam=0.5, rho=0.3, scale=0.5) for kind in (AskariLifted, ZhangTikhonov)]
    askari, zhang = both
    assert isinstance(zhang, ZhangTikhonov)
    zhang.theta, zhang.proximal = 1.0, 0.0
    for rival in both:
        for iteration in range(5):
            doubled(rival).iterate(x, y, iteration)
    for ours, theirs in zip(zhang.weights, askari.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_zhang_and_brands_blocks_go_a_part_of_the_way_to_their_proximal_minimisers() -> None:
    x, y = problem(rows=20)
    rival = doubled(ZhangTikhonov([6, 8, 3], lam=0.4, rho=0.3, theta=0.2, sweeps=500, scale=1.0))
    assert isinstance(rival, ZhangTikhonov)
    below, above = rival.weights
    pull = 1.0 - 0.2  # the square root of the weight of the proximal terms
    u, old = with_ones(x) @ below.T, rival.activations(x)[0]
    rival.iterate(x, y, 0)
    stacked = np.vstack([above[:, 1:], 0.4**0.5 * np.eye(8), pull * np.eye(8)])
    for row, found in enumerate(rival.x[0].numpy()):
        right = np.concatenate([y[row] - above[:, 0], 0.4**0.5 * u[row], pull * old[row]])
        np.testing.assert_allclose(
            found, 0.8 * old[row].numpy() + 0.2 * nnls(stacked, right)[0], atol=1e-8
        )
    layers = [(x, rival.x[0], 0.4, below), (rival.x[0], y, 1.0, above)]
    for layer, (inputs, wanted, weight, w) in enumerate(layers):
        a = with_ones(inputs)
        eye = np.eye(a.shape[1])
        stacked = np.vstack([weight**0.5 * a, 0.3**0.5 * eye, pull * eye])
        right = np.vstack([weight**0.5 * wanted, 0.0 * w.T, pull * w.T])
        best = np.linalg.lstsq(stacked, right, rcond=None)[0].T
        np.testing.assert_allclose(rival.weights[layer], 0.8 * w.numpy() + 0.2 * best, atol=1e-8)


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
