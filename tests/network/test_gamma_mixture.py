"""The self-tuning gamma: candidates that learn side by side, and the shares that they earn."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fenchel_stream import LiftedNetwork
from fenchel_stream.network.activations import ACTIVATIONS
from fenchel_stream.network.arrays import as_numpy
from fenchel_stream.network.experts.gamma_mixture import (
    GAMMAS,
    GammaMixture,
    MixtureTerm,
    side_by_side,
)
from fenchel_stream.network.experts.shares import ETA, SETTLED, SPREAD, STAY, WORST
from fenchel_stream.network.losses import LOSSES
from tests.oracle import Matrix, loss_gradient, loss_value, ones
from tests.tensors import DEVICES

EVERY_LOSS = pytest.mark.parametrize("loss", LOSSES)
K = len(GAMMAS)


def stream(
    loss: str, batches: int, m: int = 8, *, drift: bool = False, noise: float = 0.1
) -> list[tuple[Matrix, Matrix]]:
    """Batches of a linear concept that holds, or that is another in every batch."""
    rng = np.random.default_rng(0)
    w = rng.normal(size=(3, 2))
    found = []
    for _ in range(batches):
        if drift:
            w = rng.normal(size=(3, 2))
        x = rng.normal(size=(m, 3))
        y = x @ w + noise * rng.normal(size=(m, 2))
        found.append((x, np.eye(2)[y.argmax(axis=1)] if loss == "cross_entropy" else y))
    return found


@EVERY_LOSS
@pytest.mark.parametrize("rho", [0.0, 0.05])
@DEVICES
def test_candidates_learn_as_networks_with_their_gamma(loss: str, rho: float, device: str) -> None:
    # Without a hidden layer nothing that candidates share depends on the others.
    settings: dict[str, Any] = {"loss": loss, "rho": rho, "device": device, "dtype": "float64"}
    tuned = LiftedNetwork.dense([3, 2], **settings)
    fixed = [LiftedNetwork.dense([3, 2], gamma=gamma, **settings) for gamma in GAMMAS]
    for x, y in stream(loss, 5, m=3) + stream(loss, 5, m=9):
        tuned.learn_batch(x, y)
        assert tuned.mixture is not None
        for w, network in zip(tuned.mixture.weights, fixed, strict=True):
            network.learn_batch(x, y)
            np.testing.assert_allclose(as_numpy(w), as_numpy(network.weights[0]), atol=1e-10)


@EVERY_LOSS
@pytest.mark.parametrize("hidden", [(), (5,), (5, 4)])
@DEVICES
def test_the_network_is_the_average_of_the_candidates(
    loss: str, hidden: tuple[int, ...], device: str
) -> None:
    network = LiftedNetwork.dense(
        [3, *hidden, 2], loss=loss, lam=1.0, device=device, dtype="float64"
    )
    for x, y in stream(loss, 8):
        network.learn_batch(x, y)
        assert network.mixture is not None
        shares, candidates = (
            as_numpy(network.mixture.expert_weights),
            as_numpy(network.mixture.weights),
        )
        expected = sum(share * w for share, w in zip(shares, candidates, strict=True))
        np.testing.assert_allclose(as_numpy(network.weights[-1]), expected, atol=1e-12)
    assert np.ptp(candidates, axis=0).max() > 1e-3
    assert np.ptp(shares) > 1e-3


def losses_of(loss: str, seed: int, m: int, scale: float) -> tuple[Matrix, Matrix, Matrix]:
    """Targets, outputs of every candidate, and by loops the loss of each and each row."""
    rng = np.random.default_rng(seed)
    y = np.eye(2)[rng.integers(0, 2, m)] if loss == "cross_entropy" else rng.normal(size=(m, 2))
    u = scale * rng.normal(size=(K, m, 2))
    rows = [[loss_value(loss, y[i : i + 1], u[k, i : i + 1]) for i in range(m)] for k in range(K)]
    return y, u, np.array(rows)


@given(
    loss=st.sampled_from(list(LOSSES)),
    seed=st.integers(0, 10**6),
    m=st.integers(1, 5),
    vector=st.booleans(),
)
def test_the_term_is_the_average_loss_of_the_candidates(
    loss: str, seed: int, m: int, vector: bool
) -> None:
    rng = np.random.default_rng(seed)
    mixture = GammaMixture(np.zeros((2, 4)))
    mixture.weights = rng.normal(size=(K, 2, 4))
    mixture.expert_weights = rng.dirichlet(np.ones(K))
    y, _, _ = losses_of(loss, seed, m, 1.0)
    a = ones(rng.normal(size=(m, 3)))
    candidates = list(zip(mixture.expert_weights, mixture.weights, strict=True))
    value = sum(share * loss_value(loss, y, a @ w.T) for share, w in candidates)
    gradient = sum(share * loss_gradient(loss, y, a @ w.T) @ w for share, w in candidates)

    roots, stacked = side_by_side(mixture.expert_weights, mixture.weights)
    if m == 1 and vector:
        y, a, gradient = y[0], a[0], gradient[0]
    term = MixtureTerm(LOSSES[loss], y, roots)
    u = a @ stacked.T
    assert float(term.value(u)) == pytest.approx(value, rel=1e-10)
    np.testing.assert_allclose(term.gradient(u) @ stacked, gradient, rtol=1e-8, atol=1e-10)
    step = rng.normal(size=u.shape)
    rise = float(((term.gradient(u + step) - term.gradient(u)) * step).sum())
    assert rise <= term.curvature * float((step * step).sum()) * (1 + 1e-9)


class TestShares:
    @given(
        loss=st.sampled_from(list(LOSSES)),
        seed=st.integers(0, 10**6),
        sizes=st.lists(st.integers(1, 6), min_size=1, max_size=5),
        scale=st.sampled_from([0.01, 1.0, 100.0]),
    )
    def test_against_loops(self, loss: str, seed: int, sizes: list[int], scale: float) -> None:
        mixture = GammaMixture(np.zeros((2, 3)))
        shares, level, rows = [1 / K] * K, 0.0, 0
        for number, m in enumerate(sizes):
            y, u, losses = losses_of(loss, seed + number, m, scale)
            mixture.score(LOSSES[loss], y, u)
            # The level is the mean of the average candidate's losses so far.
            average = sum(shares[k] * losses[k].sum() for k in range(K))
            level = (level * rows + average) / (rows + m)
            rows += m
            assert rows < SETTLED
            for k in range(K):
                counted = sum(min(value / (level + 1e-12), WORST) for value in losses[k])
                shares[k] *= math.exp(-ETA * counted)
            total = sum(shares)
            kept = max((1 - SPREAD) ** m, STAY)
            shares = [kept * share / total + (1 - kept) / K for share in shares]
            assert mixture.typical_loss == pytest.approx(level, rel=1e-9)
            assert mixture.expert_weights.tolist() == pytest.approx(shares, rel=1e-7)

    def test_a_large_batch_decides_as_clearly_as_a_small_one(self) -> None:
        mixture = GammaMixture(np.zeros((1, 2)))
        y = np.random.default_rng(0).normal(size=(20_000, 1))
        mixture.score(LOSSES["squared_error"], y, np.stack([y, y + 1, y + 1, y + 1]))
        assert mixture.expert_weights[0] > 0.98

    @pytest.mark.parametrize("compiled", [False, True])
    def test_one_loss_does_not_set_the_level(self, compiled: bool) -> None:
        mixture = GammaMixture(np.zeros((1, 2)))
        loss, noise = LOSSES["squared_error"], np.random.default_rng(0).normal(size=(1000, 1))
        mixture.score(loss, noise, np.zeros((K, 1000, 1)))
        usual, far = mixture.typical_loss, np.full((1, 1), 1e9)
        if compiled:
            mixture.score_row(loss.code, far[0], np.zeros((K, 1)))
        else:
            mixture.score(loss, far, np.zeros((K, 1, 1)))
        assert mixture.typical_loss == pytest.approx(2 * usual, rel=0.01)

    @EVERY_LOSS
    @pytest.mark.parametrize("m", [10, 100, 1000])
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_stay_positive_and_come_back(self, loss: str, m: int, dtype: str) -> None:
        mixture = GammaMixture(np.zeros((2, 3), dtype))
        y = np.tile(np.array([[1.0, 0.0]], dtype), (m, 1))
        right = np.tile(np.array([[9.0, -9.0]], dtype), (m, 1))
        if loss == "squared_error":
            right = y
        for best in (0, K - 1, 1):
            u = np.stack([right if k == best else right[:, ::-1] for k in range(K)])
            for _ in range(5000 // m):
                mixture.score(LOSSES[loss], y, u)
                assert mixture.expert_weights.dtype == dtype
                assert (mixture.expert_weights > 0).all()
                assert mixture.expert_weights.sum() == pytest.approx(1.0, abs=1e-5)
            assert mixture.expert_weights.argmax() == best
            assert mixture.expert_weights[best] > 0.9

    def test_losses_of_zero_and_an_outlier(self) -> None:
        mixture = GammaMixture(np.zeros((1, 2)))
        loss = LOSSES["squared_error"]
        zeros = np.zeros((K, 5, 1))
        mixture.score(loss, zeros[0], zeros)
        assert mixture.expert_weights.tolist() == pytest.approx([1 / K] * K)
        noise = np.random.default_rng(0).normal(size=(50, 1))
        for _ in range(20):
            mixture.score(loss, noise, np.zeros((K, 50, 1)))
        far = np.full((1, 1), 1e12)
        mixture.score(loss, far, np.arange(K).reshape(K, 1, 1) * 1.0)
        assert np.isfinite(mixture.expert_weights).all()
        assert mixture.expert_weights.min() > 0.9 / K

    @EVERY_LOSS
    def test_a_stream_that_changes_asks_for_a_smaller_gamma(self, loss: str) -> None:
        found = []
        for drift in (True, False):
            network = LiftedNetwork.dense([3, 2], loss=loss)
            assert network.mixture is not None
            gammas = []
            for x, y in stream(loss, 20, m=100, drift=drift, noise=1.0):
                for start in range(0, 100, 5):
                    part = slice(start, start + 5)
                    network.learn_batch(x[part], y[part])
                gammas.append(network.mixture.gamma)
            found.append(np.mean(gammas))
        assert found[0] < found[1] / 2

    def test_gamma_is_the_average(self) -> None:
        mixture = GammaMixture(np.zeros((1, 2)))
        assert mixture.gamma == pytest.approx(np.mean(GAMMAS))
        mixture.expert_weights = np.eye(K)[1]
        assert mixture.gamma == pytest.approx(GAMMAS[1])


class TestObjective:
    @given(
        sizes=st.lists(st.integers(1, 6), min_size=2, max_size=4),
        m=st.integers(1, 12),
        activation=st.sampled_from(list(ACTIVATIONS)),
        loss=st.sampled_from(list(LOSSES)),
        order=st.sampled_from(["top_down", "paper"]),
        alternations=st.integers(1, 3),
        lam=st.sampled_from([0.01, 1.0, 10.0]),
        rho=st.sampled_from([0.0, 0.1]),
        seed=st.integers(0, 10**6),
    )
    @settings(max_examples=60)
    def test_never_rises(
        self,
        sizes: list[int],
        m: int,
        activation: str,
        loss: str,
        order: Literal["top_down", "paper"],
        alternations: int,
        lam: float,
        rho: float,
        seed: int,
    ) -> None:
        network = LiftedNetwork.dense(
            sizes,
            seed=seed,
            activation=activation,
            loss=loss,
            order=order,
            alternations=alternations,
            lam=lam,
            rho=rho,
            dtype="float64",
        )
        rng = np.random.default_rng(seed)
        for _ in range(6):
            x, y = rng.normal(size=(m, sizes[0])), rng.normal(size=(m, sizes[-1]))
            if loss == "cross_entropy":
                y = np.eye(sizes[-1])[y.argmax(axis=1)]
            report = network.learn_batch(x, y)
            rounding = 1e-9 * (1 + report.objective_before)
            assert report.objective_after <= report.objective_before + rounding

    def test_before_learning_it_is_the_average_loss_of_the_candidates(self) -> None:
        network = LiftedNetwork.dense([3, 2], loss="squared_error", dtype="float64")
        batches = stream("squared_error", 6, drift=True)
        for x, y in batches[:5]:
            network.learn_batch(x, y)
        x, y = batches[5]
        report: Any = network.learn_batch(x, y)
        a = ones(x)
        losses = [loss_value("squared_error", y, a @ w.T) for w in report.before.candidates]
        expected = float(np.dot(report.before.expert_weights, losses))
        assert report.objective_before == pytest.approx(expected, rel=1e-10)
