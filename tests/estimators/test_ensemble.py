"""Networks that learn side by side, against the same networks alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fenchel_stream import FenchelClassifier, FenchelMultiTargetRegressor
from fenchel_stream.errors import ConfigError
from fenchel_stream.estimators.ensemble import INNER, LAM, Ensemble
from fenchel_stream.network.arrays import Array, with_ones
from fenchel_stream.network.experts.averages import sample
from fenchel_stream.network.experts.shares import ETA, SPREAD, STAY, TINY, WORST
from fenchel_stream.network.lifted_network import LiftedNetwork

SIZES = (3, 6, 2)


def batches(sizes: tuple[int, ...], seed: int = 0) -> list[tuple[Array, Array]]:
    rng = np.random.default_rng(seed)
    pairs = []
    for size in sizes:
        x = rng.normal(size=(size, 3))
        y = np.stack([x[:, 0] * x[:, 1], np.abs(x[:, 2])], axis=1)
        pairs.append((with_ones(x), y + rng.normal(0, 0.1, y.shape)))
    return pairs


def ensemble_of(**settings: Any) -> Ensemble:
    return Ensemble(SIZES, **{"loss": "squared_error", "dtype": "float64", "seed": 1, **settings})


def alone(**settings: Any) -> list[LiftedNetwork]:
    """The two networks that an ensemble by default is made of."""
    return [
        LiftedNetwork.dense(
            SIZES, loss="squared_error", dtype="float64", seed=1, order=order, lam=lam,
            x_iterations=x, w_iterations=w, **settings,
        )
        for (order, lam), (x, w) in zip(LAM.items(), INNER, strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize("sizes", [(1,) * 150, (40, 7, 100, 1, 20)], ids=["rows", "batches"])
@pytest.mark.parametrize("rho", [0.0, 0.1])
def test_networks_learn_as_they_would_alone_and_shares_follow_their_losses(
    sizes: tuple[int, ...], rho: float
) -> None:
    ensemble, networks = ensemble_of(rho=rho), alone(rho=rho)
    shares, level, rows = np.full(2, 0.5), 0.0, 0
    for a, y in batches(sizes):
        some = sample(len(a))
        outputs = np.stack([network.outputs(a) for network in networks])
        np.testing.assert_allclose(ensemble.outputs(a), np.tensordot(shares, outputs, 1), rtol=1e-9)
        losses = 0.5 * ((outputs[:, some] - y[some]) ** 2).sum(-1)
        typical = shares @ losses
        if rows >= 100:
            typical = np.minimum(typical, rows * (level + TINY))
        count = losses.shape[1]
        rows = min(rows + count, max(1000, count))
        level += (typical - level).sum() / rows
        shares = shares * np.exp(-ETA * np.minimum(losses / (level + TINY), WORST).sum(1))
        stay = max((1 - SPREAD) ** count, STAY)
        shares = stay * shares / shares.sum() + (1 - stay) / 2
        ensemble.step(a, y)
        np.testing.assert_allclose(ensemble.expert_weights, shares, rtol=1e-6)
        for network, learnt in zip(networks, ensemble.networks, strict=True):
            network.step(a, y)
            for w, actual in zip(network.weights, learnt.weights, strict=True):
                np.testing.assert_allclose(actual, w, rtol=1e-9, atol=1e-11)
    assert abs(ensemble.expert_weights[0] - 0.5) > 0.01


@pytest.mark.parametrize("size", [1, 30])
def test_what_is_not_told_each_network_keeps(size: int) -> None:
    ensemble, networks = ensemble_of(), alone()
    for a, y in batches((size,) * 20):
        y[:: 2 if size > 1 else 1, 1] = np.nan
        for network in networks:
            network.step(a, np.where(np.isnan(y), network.outputs(a, averaged=False), y))
        ensemble.step(a, y)
        for network, learnt in zip(networks, ensemble.networks, strict=True):
            for w, actual in zip(network.weights, learnt.weights, strict=True):
                np.testing.assert_allclose(actual, w, rtol=1e-9, atol=1e-11)
    assert np.isfinite(ensemble.expert_weights).all()


@pytest.mark.parametrize("size", [1, 30])
def test_what_is_not_told_moves_no_share(size: int) -> None:
    ensemble = ensemble_of()
    for a, y in batches((size,) * 10):
        ensemble.step(a, y)
    before = ensemble.expert_weights.copy()
    (a, y), *_ = batches((size,), seed=1)
    ensemble.step(a, np.full_like(y, np.nan))
    np.testing.assert_allclose(ensemble.expert_weights, before, atol=0.005)
    assert abs(before[0] - 0.5) > 0.01


class TestHowMany:
    def test_one_where_gamma_or_the_order_is_given_or_nothing_is_hidden(self) -> None:
        for settings in ({"gamma": 1.0}, {"order": "paper"}, {"order": "top_down"}):
            assert len(ensemble_of(**settings).networks) == 1
        assert len(Ensemble((3, 2)).networks) == 1
        assert len(Ensemble((3, 4, 4, 2)).networks) == 2

    def test_lambda_by_order_unless_it_is_given(self) -> None:
        assert [n.lam for n in ensemble_of().networks] == [(0.01,), (0.1,)]
        assert [n.lam for n in ensemble_of(lam=0.5).networks] == [(0.5,), (0.5,)]
        assert [n.lam for n in ensemble_of(order="paper").networks] == [(0.1,)]

    @pytest.mark.parametrize(("name", "value"), [("lam", "large"), ("order", "up")])
    def test_words_that_mean_nothing(self, name: str, value: Any) -> None:
        with pytest.raises(ConfigError, match=f"{name} is .*'auto'.* not '{value}'"):
            FenchelClassifier(**{name: value})


class TestMutate:
    def learnt(self) -> Any:
        rng = np.random.default_rng(0)
        model = FenchelMultiTargetRegressor(dtype="float64")
        for _ in range(200):
            a, b = rng.normal(size=2)
            model.learn_one({"a": a, "b": b}, {"y": a * b})
        return model

    @pytest.mark.parametrize("best", [0, 1])
    def test_the_network_with_the_larger_share_stays(self, best: int) -> None:
        model, x = self.learnt(), {"a": 1.0, "b": -1.0}
        model.ensemble.expert_weights = np.eye(2)[best]
        before = model.predict_one(x)["y"]
        model.mutate({"order": "paper"})
        assert len(model.ensemble.networks) == 1
        assert model.ensemble.networks[0].problem.x_iterations is None
        assert model.predict_one(x)["y"] == pytest.approx(before, rel=1e-9)
        model.mutate({"order": "auto"})
        assert [n.lam for n in model.ensemble.networks] == [(0.01,), (0.1,)]
        problems = [network.problem for network in model.ensemble.networks]
        assert [(p.x_iterations, p.w_iterations) for p in problems] == [*INNER]
        assert model.predict_one(x)["y"] == pytest.approx(before, rel=1e-9)
        model.learn_one(x, {"y": 5.0})
        first, second = (n.weights[0] for n in model.ensemble.networks)
        assert not np.array_equal(first, second)

    def test_an_error_changes_nothing(self) -> None:
        model = self.learnt()
        networks = list(model.ensemble.networks)
        weights = [w.copy() for n in networks for w in n.weights]
        with pytest.raises(ConfigError, match="rho"):
            model.mutate({"rho": -1.0})
        assert model.ensemble.networks == networks
        for w, kept in zip((w for n in networks for w in n.weights), weights, strict=True):
            assert w.tobytes() == kept.tobytes()
