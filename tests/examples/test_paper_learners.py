"""What our learners of the paper's figures add to the network: extrapolation, and sweeps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch
from numpy.testing import assert_allclose, assert_array_equal

from examples.paper.learners import Inertia, Lifted, dense_network, scaled
from examples.paper.sweeps import Sweeps
from fenchel_stream import LiftedNetwork
from fenchel_stream.network.arrays import with_ones
from fenchel_stream.network.losses import LOSSES

SIZES = [16, 12, 9, 3]
RNG = np.random.default_rng(0)
X = RNG.integers(256, size=(200, 16), dtype=np.uint8)
Y = X[:, :3].argmax(axis=1).astype(np.int64)


def network(order: str = "top_down") -> LiftedNetwork:
    settings = {"loss": "squared_error", "lam": 0.3, "rho": 0.1, "order": order}
    return dense_network(SIZES, 1, (0.5, 1.0, 2.0), dtype="float64", **settings)


@pytest.mark.parametrize("order", ["top_down", "paper"])
def test_sweeps_that_keep_x_are_algorithm_1(order: str) -> None:
    ours, fitted = Sweeps(network(order), anew=False), network(order)
    for number in range(5):
        ours.learn(X, Y, number)
    fitted.fit(scaled(X), np.eye(3)[Y], tolerance=0.0, sweeps=5, progress=False)
    for found, wanted in zip(ours.network.weights, fitted.weights, strict=True):
        assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


def test_sweeps_anew_are_algorithm_1_begun_again_and_again() -> None:
    ours, fitted = Sweeps(network()), network()
    for number in range(5):
        ours.learn(X, Y, number)
        fitted.fit(scaled(X), np.eye(3)[Y], tolerance=0.0, sweeps=1, progress=False)
    for found, wanted in zip(ours.network.weights, fitted.weights, strict=True):
        assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("gamma", ["auto", 1.0])
def test_gamma_plays_no_part_in_sweeps(gamma: float | str) -> None:
    ours = Sweeps(dense_network(SIZES, 1, 1.0, loss="squared_error", rho=0.1, gamma=gamma))
    for number in range(5):
        ours.learn(X, Y, number)
    a = with_ones(torch.from_numpy(scaled(X)))
    alone = ours.network.problem.forward(ours.network.weights, a).outputs[-1]
    assert_array_equal(ours.predict(X), alone.argmax(1))


def test_weights_are_led_on_by_a_part_of_their_last_step() -> None:
    learner = network()
    inertia = Inertia(learner, (0.5, 0.0, 1.0))
    first = learner.weights
    inertia.extrapolate()
    for found, w in zip(learner.weights, first, strict=True):
        assert_array_equal(found, w)  # there is no step yet
    second = [w + 2.0 for w in first]
    learner.weights = second
    inertia.extrapolate()
    for found, w, step in zip(learner.weights, second, (1.0, 0.0, 2.0), strict=True):
        assert_allclose(found, w + step)


def test_the_proximal_terms_are_centred_at_the_extrapolated_weights() -> None:
    """With a huge gamma a batch leaves weights where it begins, so that only the leap remains."""
    learner = Lifted(network(), 1, 100, gamma=[1e12] * 3, extrapolation=(0.5, 0.5, 0.5))
    learner.network.problem = replace(learner.network.problem, loss=LOSSES["cross_entropy"])
    start = learner.network.weights
    learner.inertia.before = [w - 1.0 for w in start]
    learner.learn(X[:100], Y[:100], 0)
    for found, w in zip(learner.network.weights, start, strict=True):
        assert_allclose(found, w + 0.5, atol=1e-6)


def test_a_batch_weighs_rho_against_its_own_sum_of_losses() -> None:
    single = dense_network([16, 1], 1, 1.0, loss="squared_error", dtype="float64")
    start = single.weights[0].numpy()
    Lifted(single, 1, 200, gamma=[0.7], rho=0.3).learn(X, Y, 0)
    a = np.hstack([np.ones((200, 1)), scaled(X).astype(np.float64)])
    gamma = 0.5 * 0.7 * (a * a).sum(1).mean()
    wanted = np.linalg.solve(
        a.T @ a + 2.0 * (gamma + 0.3) * np.eye(17), a.T @ Y[:, None] + 2.0 * gamma * start.T
    )
    assert_allclose(single.weights[0], wanted.T, rtol=1e-9)


def test_averaged_weights_predict_and_do_not_learn() -> None:
    settings: dict[str, Any] = {"gamma": [1.0] * 3, "extrapolation": (0.5, 0.5, 0.0)}
    plain, averaged = (
        Lifted(network(), 3, 40, averaged=steps, **settings) for steps in (1, 10_000)
    )
    seen = []
    for learner in (plain, averaged):
        learner.network.problem = replace(learner.network.problem, loss=LOSSES["cross_entropy"])
        learn = learner.network.learn_batch

        def noted(x: Any, y: Any, learn: Any = learn, learner: Lifted = learner) -> None:
            learn(x, y)
            seen.append(learner.network.weights)

        learner.network.learn_batch = noted  # type: ignore[method-assign,assignment]
        for number in range(3):
            learner.learn(X, Y, number)
    for found, wanted in zip(seen[15:], seen[:15], strict=True):
        for w, v in zip(found, wanted, strict=True):
            assert_array_equal(w, v)
    for layer in range(3):
        assert_array_equal(plain.mean[layer], seen[14][layer])
        mean = np.mean([weights[layer].numpy() for weights in seen[:15]], axis=0)
        assert_allclose(averaged.mean[layer], mean, rtol=1e-9)


def test_initial_weights_are_scaled_by_layer() -> None:
    scales = (0.5, 1.0, 2.0)
    plain = LiftedNetwork.dense(SIZES, seed=1, dtype="float64").weights
    for found, scale, w in zip(network().weights, scales, plain, strict=True):
        assert_allclose(found, scale * torch.from_numpy(w))
