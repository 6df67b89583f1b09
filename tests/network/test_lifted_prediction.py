"""The prediction rule (12) beside the feed-forward pass."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.datasets import load_digits

from fenchel_stream import LiftedNetwork
from fenchel_stream.errors import ConfigError
from fenchel_stream.network.activations import ACTIVATIONS
from fenchel_stream.network.arrays import as_numpy
from tests.oracle import PAIRS, Above, ones, solve_x, x_objective
from tests.tensors import needs_torch

EVERY_ACTIVATION = pytest.mark.parametrize("activation", ACTIVATIONS)


@EVERY_ACTIVATION
def test_for_squared_error_the_feed_forward_point_is_optimal(activation: str) -> None:
    # With Y free (12) is 0 there, and positive at any other variables or outputs.
    rng = np.random.default_rng(0)
    network = LiftedNetwork.dense(
        [3, 5, 2], activation=activation, loss="squared_error", lam=0.7, gamma=1.0, dtype="float64"
    )
    x = rng.normal(size=(6, 3))
    outputs = network.predict(x, rule="lifted")
    np.testing.assert_array_equal(outputs, network.predict(x))
    pair, (w0, w1) = PAIRS[activation], network.weights
    u0 = ones(x) @ w0.T
    for scale in (0.0, 1e-3, 0.1, 1.0):
        for _ in range(5):
            z = pair.phi(u0 + scale * rng.normal(size=u0.shape))
            y = outputs + scale * rng.normal(size=outputs.shape)
            divergence = ACTIVATIONS[activation].divergence(z, u0).sum()
            value = 0.5 * ((ones(z) @ w1.T - y) ** 2).sum() + 0.7 * divergence
            assert value == pytest.approx(0.0, abs=1e-12) if scale == 0.0 else value > 1e-8


@EVERY_ACTIVATION
def test_for_cross_entropy_each_class_has_its_least_energy(activation: str) -> None:
    rng = np.random.default_rng(1)
    lam = 0.5
    network = LiftedNetwork.dense([3, 4, 3], activation=activation, lam=lam, dtype="float64")
    x = rng.normal(size=(5, 3))
    found = network.predict(x, rule="lifted")
    pair, (w0, w1) = PAIRS[activation], network.weights
    u0 = ones(x) @ w0.T
    for number in range(3):
        y = np.tile(np.eye(3)[number], (5, 1))
        above = Above.output("cross_entropy", y)
        z, _ = solve_x(above, pair, u0, w1, u0, lam)
        best = x_objective(above, pair, z, w1, u0, lam) + lam * pair.dual(u0).sum()
        assert -found[:, number].sum() == pytest.approx(best, rel=1e-5)
    # Moving the variables can only lower what the feed-forward point costs.
    assert (found >= log_softmax(network.predict(x), axis=1) - 1e-12).all()


def test_for_cross_entropy_both_rules_agree_the_more_the_larger_lambda_is() -> None:
    x, y = load_digits(return_X_y=True)
    x = x / 16 - 0.3
    network = LiftedNetwork.dense([64, 32, 16, 10], lam=1.0, dtype="float64")
    for _ in range(5):
        for start in range(0, 1400, 50):
            network.learn_batch(x[start : start + 50], y[start : start + 50])
    plain = network.predict(x[1400:]).argmax(axis=1)
    agreement = []
    for lam in (0.01, 1.0, 100.0, 10_000.0):
        network.replace(lam=(lam, lam))
        lifted = network.predict(x[1400:], rule="lifted").argmax(axis=1)
        agreement.append((lifted == plain).mean())
    assert agreement == sorted(agreement)
    assert 0.5 < agreement[0] < agreement[-1]
    assert agreement[-1] > 0.995


@needs_torch
def test_changes_nothing_and_fits_torch() -> None:
    x = np.random.default_rng(0).normal(size=(4, 784))
    ours = LiftedNetwork.lenet5(dtype="float64", lam=0.3)
    theirs = LiftedNetwork.lenet5(dtype="float64", lam=0.3, device="cpu:0")
    before = [w.copy() for w in ours.weights]
    found = ours.predict(x, rule="lifted")
    assert found.shape == (4, 10)
    np.testing.assert_allclose(as_numpy(theirs.predict(x, rule="lifted")), found, rtol=1e-7)
    assert all(np.array_equal(w, kept) for w, kept in zip(ours.weights, before, strict=True))
    assert ours.mixture is not None


def test_another_rule() -> None:
    with pytest.raises(ConfigError, match="rule is 'feed_forward' or 'lifted', not 'best'"):
        LiftedNetwork.dense([3, 2]).predict(np.zeros((1, 3)), rule="best")
