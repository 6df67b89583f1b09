"""Averaged weights as experts for prediction, and that learning never looks at them."""

from __future__ import annotations

from math import exp
from typing import Any

import numpy as np
import pytest

from fenchel_stream import FenchelClassifier, FenchelRegressor, LiftedNetwork
from fenchel_stream.network.arrays import as_numpy
from fenchel_stream.network.experts.averages import HORIZONS, SCORED, Averages
from tests.oracle import Matrix
from tests.tensors import DEVICES

SIZES = pytest.mark.parametrize("rows", [1, 7, 100])


def noisy(count: int, flip: float = 0.2, seed: int = 0) -> tuple[Matrix, Matrix]:
    """A linear concept, some of whose labels are wrong."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 4))
    y = (x @ [1.0, -1.0, 0.5, 0.0] > 0) ^ (rng.random(count) < flip)
    return x, y.astype(int)


class TestFollow:
    @SIZES
    def test_is_the_plain_average_up_to_the_horizon_and_exponential_beyond(self, rows: int) -> None:
        rng = np.random.default_rng(0)
        averages = Averages([np.zeros((2, 3))])
        expected = [np.zeros((2, 3)) for _ in HORIZONS]
        for batch in range(1, 2000 // rows):
            w = rng.normal(size=(2, 3))
            averages.follow([w], rows)
            for k, horizon in enumerate(HORIZONS):
                keep = min(exp(-rows / horizon), 1 - 1 / batch)
                expected[k] = keep * expected[k] + (1 - keep) * w
        np.testing.assert_allclose(averages.weights[0], expected, rtol=1e-9)

    def test_leaves_the_weights_alone(self) -> None:
        w = np.ones((1, 2))
        averages = Averages([w])
        averages.follow([w + 1], rows=1)
        assert w.tolist() == [[1.0, 1.0]]


class TestPrediction:
    @SIZES
    @DEVICES
    @pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
    def test_is_the_average_of_the_experts(self, rows: int, device: str, loss: str) -> None:
        x, y = noisy(600)
        network = LiftedNetwork.dense(
            [4, 5, 2], loss=loss, device=device, dtype="float64", activation="tanh"
        )
        targets = y if loss == "cross_entropy" else np.eye(2)[y]
        for start in range(0, 300, rows):
            network.learn_batch(x[start : start + rows], targets[start : start + rows])
        assert network.averages is not None
        expected: Any = 0.0
        experts = [network.weights, *zip(*network.averages.weights, strict=True)]
        for share, (w0, w1) in zip(as_numpy(network.averages.expert_weights), experts, strict=True):
            hidden = np.tanh(np.c_[np.ones(9), x[:9]] @ as_numpy(w0).T)
            expected = expected + share * (np.c_[np.ones(9), hidden] @ as_numpy(w1).T)
        np.testing.assert_allclose(network.predict(x[:9]), expected, rtol=1e-9)
        np.testing.assert_allclose(network.predict(x[:1]), expected[:1], rtol=1e-9)

    @SIZES
    def test_does_not_change_what_is_learnt(self, rows: int) -> None:
        x, y = noisy(300)
        one, other = LiftedNetwork.dense([4, 8, 2]), LiftedNetwork.dense([4, 8, 2])
        other.averages = None
        for start in range(0, 300, rows):
            one.learn_batch(x[start : start + rows], y[start : start + rows])
            other.learn_batch(x[start : start + rows], y[start : start + rows])
        for w, v in zip(one.weights, other.weights, strict=True):
            assert w.tobytes() == v.tobytes()

    def test_a_fixed_gamma_has_none(self) -> None:
        network = LiftedNetwork.dense([4, 5, 2], gamma=1.0)
        assert network.averages is None
        network.configure(lam=0.01, gamma="auto", rho=0.0, alternations=1, order="top_down")
        assert network.averages is not None
        network.configure(lam=0.01, gamma=1.0, rho=0.0, alternations=1, order="top_down")
        assert network.averages is None

    def test_a_large_batch_is_judged_by_some_of_its_rows(self) -> None:
        x, y = noisy(1000)
        network = LiftedNetwork.dense([4, 5, 2])
        assert network.averages is not None
        network.learn_batch(x, y)
        assert 0 < network.averages.rows <= SCORED


class TestShares:
    def test_noise_favours_averages_and_a_change_the_network(self) -> None:
        x, y = noisy(4000)
        network = LiftedNetwork.dense([4, 16, 2])
        assert network.averages is not None
        current = averaged = 0
        for row in range(3000):
            said = network.predict(x[row : row + 1])
            alone = network.outputs(np.c_[[[1.0]], x[row : row + 1]], averaged=False)
            averaged += said.argmax() == y[row]
            current += alone.argmax() == y[row]
            network.learn_batch(x[row : row + 1], y[row : row + 1])
        # One label in five is wrong: nothing can be right more often than 0.8 of the time.
        assert averaged > current + 60
        assert averaged > 0.75 * 3000
        assert network.averages.expert_weights[0] < 0.1
        long = network.averages.expert_weights[2]
        for row in range(3000, 3100):
            network.learn_batch(x[row : row + 1], 1 - y[row : row + 1])
        assert network.averages.expert_weights[2] < 0.1 < long

    def test_after_a_change_the_network_is_trusted_alone(self) -> None:
        x, y = noisy(4000, flip=0.05)
        network = LiftedNetwork.dense([4, 16, 2])
        assert network.averages is not None
        for start in range(0, 2000, 50):
            network.learn_batch(x[start : start + 50], y[start : start + 50])
        assert network.averages.expert_weights[0] < 0.99
        network.learn_batch(x[2000:2050], 1 - y[2000:2050])
        assert network.averages.expert_weights.tolist() == [1.0, 0.0, 0.0]
        network.learn_batch(x[2050:2100], 1 - y[2050:2100])
        assert (network.averages.expert_weights > 0).all()

    def test_an_estimator_gains_on_noise(self) -> None:
        x, y = noisy(2000)
        rows = [dict(zip("abcd", row, strict=True)) for row in x.tolist()]
        right = {}
        for gamma in ("auto", (0.1, 1.0)):
            model = FenchelClassifier(gamma=gamma)
            right[gamma] = 0
            for row, label in zip(rows, y.tolist(), strict=True):
                right[gamma] += model.predict_one(row) == label
                model.learn_one(row, label)
        assert right["auto"] > right[0.1, 1.0] + 200

    def test_a_target_in_other_units_changes_no_prediction(self) -> None:
        rng = np.random.default_rng(0)
        x, noise = rng.normal(size=(400, 3)), rng.normal(size=400)
        models = [FenchelRegressor(dtype="float64"), FenchelRegressor(dtype="float64")]
        for row, e in zip(x, noise, strict=True):
            features = dict(zip("abc", row.tolist(), strict=True))
            target = float(row[0] - 2 * row[1] + 0.3 * e)
            models[0].learn_one(features, target)
            models[1].learn_one(features, 1e4 + 1e3 * target)
        probe = {"a": 0.3, "b": -0.4, "c": 1.0}
        here, there = (model.predict_one(probe) for model in models)
        assert there == pytest.approx(1e4 + 1e3 * here, rel=1e-6)
