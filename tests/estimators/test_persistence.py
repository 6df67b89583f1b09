"""Copies of a model, by whatever means, go on exactly as the model itself would."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from river import compose, preprocessing

from fenchel_stream import FenchelClassifier, FenchelMultiTargetRegressor, FenchelRegressor
from fenchel_stream.errors import ConfigError
from fenchel_stream.network.arrays import as_numpy
from fenchel_stream.network.lifted_network import LiftedNetwork

Rows = list[tuple[dict[str, float], Any]]
CLASSES = (FenchelClassifier, FenchelRegressor, FenchelMultiTargetRegressor)
EVERY_MODEL = pytest.mark.parametrize("kind", CLASSES)
COPIES: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "deepcopy": copy.deepcopy,
}
EVERY_COPY = pytest.mark.parametrize("how", COPIES)


def stream(kind: type, rows: int, seed: int = 0) -> Rows:
    """Rows whose features, classes and targets appear one after another."""
    rng = np.random.default_rng(seed)
    pairs: Rows = []
    for number in range(rows):
        x = dict(zip("abcde"[: 3 + number // 40], rng.normal(size=5).tolist(), strict=False))
        y: Any = 40 * x["a"] + 1000
        if kind is FenchelClassifier:
            y = ["no", "yes", "maybe"][min(int(abs(x["a"]) * 2), 1 + (number > 50))]
        elif kind is FenchelMultiTargetRegressor:
            y = {"u": y} if number % 3 else {"v": -y, "u": y}
        pairs.append((x, y))
    return pairs


def learn(model: Any, rows: Rows) -> Any:
    for x, y in rows:
        model.learn_one(x, y)
    return model


def weights(model: Any) -> list[bytes]:
    """All that was learnt, to the last bit."""
    moments, ensemble = model.scaler.moments, model.ensemble
    arrays = [moments.count, moments.mean, moments.squares, ensemble.expert_weights]
    for network in ensemble.networks:
        arrays += network.weights
        if network.mixture is not None:
            arrays += [network.mixture.weights, network.mixture.expert_weights]
    return [as_numpy(w).tobytes() for w in arrays]


def same(model: Any, other: Any) -> None:
    """Weights, schema and predictions agree to the last bit."""
    assert weights(model) == weights(other)
    assert model.schema.columns == other.schema.columns
    for x, _ in stream(type(model), 5, seed=9):
        assert model.predict_one(x) == other.predict_one(x)


@EVERY_MODEL
@EVERY_COPY
class TestCopies:
    @pytest.mark.parametrize(("batch_size", "learnt"), [(1, 60), (32, 64), (32, 75), (7, 3)])
    def test_go_on_alike(self, kind: type[Any], how: str, batch_size: int, learnt: int) -> None:
        rows = stream(kind, 130)
        model = learn(kind(hidden=(8,), batch_size=batch_size), rows[:learnt])
        twin = COPIES[how](model)
        same(model, twin)
        learn(model, rows[learnt:])
        learn(twin, rows[learnt:])
        same(model, twin)
        uninterrupted = learn(kind(hidden=(8,), batch_size=batch_size), rows)
        same(model, uninterrupted)

    def test_share_nothing(self, kind: type[Any], how: str) -> None:
        rows = stream(kind, 130)
        model = learn(kind(hidden=(8,), batch_size=4), rows[:62])
        twin = COPIES[how](model)
        held = pickle.dumps(twin)
        learn(model, rows[62:])
        assert pickle.dumps(twin) == held

    @pytest.mark.parametrize("gamma", ["auto", 0.5])
    def test_of_a_model_in_torch(self, kind: type[Any], how: str, gamma: Any) -> None:
        pytest.importorskip("torch", reason="torch is not installed")
        rows = stream(kind, 130)
        model = kind(hidden=(8,), batch_size=32, gamma=gamma, device="cpu:0")
        learn(model, rows[:80])
        twin = COPIES[how](model)
        same(model, twin)
        same(learn(model, rows[80:]), learn(twin, rows[80:]))

    def test_hold_no_report(self, kind: type[Any], how: str) -> None:
        model = learn(kind(), stream(kind, 10))
        assert model.report is not None
        assert COPIES[how](model).report is None
        assert model.report is not None


@EVERY_MODEL
class TestClones:
    def test_start_anew(self, kind: type[Any]) -> None:
        settings = {"hidden": (8, 4), "gamma": (0.1, 0.2, 0.3), "seed": 3, "batch_size": 2}
        rows = stream(kind, 60)
        model = learn(kind(**settings), rows)
        fresh = model.clone()
        assert fresh.ensemble.n_inputs == 0
        assert fresh.ensemble.n_outputs == 0
        assert fresh._get_params() == model._get_params()
        same(learn(fresh, rows), model)

    def test_with_other_parameters(self, kind: type[Any]) -> None:
        rows = stream(kind, 60)
        model = learn(kind(hidden=(8,)), rows)
        other = learn(model.clone({"lam": 3.0, "activation": "tanh"}), rows)
        same(other, learn(kind(hidden=(8,), lam=3.0, activation="tanh"), rows))
        assert weights(other) != weights(model)

    def test_including_what_was_learnt(self, kind: type[Any]) -> None:
        rows = stream(kind, 100)
        model = learn(kind(hidden=(8,), batch_size=8), rows[:50])
        twin = model.clone(include_attributes=True)
        same(learn(model, rows[50:]), learn(twin, rows[50:]))


@EVERY_MODEL
class TestMutate:
    @pytest.mark.parametrize(
        ("name", "value"),
        [("lam", 5.0), ("gamma", 3.0), ("gamma", (0.5, 9.0)), ("rho", 0.5), ("alternations", 3)],
    )
    def test_the_next_row_is_learnt_with_the_new_value(
        self, kind: type[Any], name: str, value: Any
    ) -> None:
        rows = stream(kind, 60)
        model = learn(kind(hidden=(8,), gamma=1.0), rows[:30])
        kept = copy.deepcopy(model)
        before = weights(model)
        model.mutate({name: value})
        assert weights(model) == before
        assert getattr(model, name) == value
        twin = copy.deepcopy(model)
        learn(model, rows[30:31])
        assert weights(model) != weights(learn(kept, rows[30:31]))

        report = model.report
        settings = {"gamma": 1.0, name: value}
        network = LiftedNetwork(report.before.weights, loss=kind._loss, **settings)
        network.step(np.atleast_2d(report.before.inputs[0]), np.atleast_2d(report.targets))
        for w, expected in zip(model.ensemble.networks[0].weights, network.weights, strict=True):
            assert w.tobytes() == expected.tobytes()
        same(learn(model, rows[31:]), learn(twin, rows[30:]))

    def test_a_value_that_it_has_changes_nothing(self, kind: type[Any]) -> None:
        rows = stream(kind, 60)
        model = learn(kind(hidden=(8,), batch_size=4), rows[:30])
        twin = copy.deepcopy(model)
        model.mutate({"lam": model.lam, "gamma": "auto", "rho": 0.0, "alternations": 1})
        same(learn(model, rows[30:]), learn(twin, rows[30:]))

    def test_reaches_into_a_pipeline(self, kind: type[Any]) -> None:
        rows = stream(kind, 40)
        pipeline = compose.Pipeline(preprocessing.StandardScaler(), kind(hidden=(8,)))
        learn(pipeline, rows[:20])
        pipeline.mutate({kind.__name__: {"gamma": 7.0}})
        assert pipeline[kind.__name__].ensemble.networks[0].gamma == (7.0, 7.0)
        learn(pipeline, rows[20:])

    @pytest.mark.parametrize(
        ("name", "value"), [("lam", -1.0), ("gamma", (1.0,)), ("rho", -0.1), ("alternations", 0)]
    )
    def test_a_value_that_cannot_be_is_refused(
        self, kind: type[Any], name: str, value: Any
    ) -> None:
        model = learn(kind(), stream(kind, 10))
        before = pickle.dumps(model)
        with pytest.raises(ConfigError, match=name):
            model.mutate({name: value})
        assert pickle.dumps(model) == before

    def test_what_the_network_is_built_from_stays(self, kind: type[Any]) -> None:
        model = learn(kind(), stream(kind, 10))
        for name, value in (("hidden", (3,)), ("dtype", "float64"), ("seed", 4)):
            with pytest.raises(ValueError, match="not a mutable attribute"):
                model.mutate({name: value})


@EVERY_COPY
@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
def test_a_network_alone(how: str, device: str) -> None:
    rng = np.random.default_rng(0)
    if device != "cpu":
        pytest.importorskip("torch", reason="torch is not installed")
    network = LiftedNetwork.dense([3, 8, 2], seed=2, device=device)
    for _ in range(5):
        network.learn_batch(rng.normal(size=(10, 3)), rng.integers(0, 2, 10))
    twin = COPIES[how](network)
    for _ in range(5):
        x, y = rng.normal(size=(10, 3)), rng.integers(0, 2, 10)
        network.learn_batch(x, y)
        twin.learn_batch(x, y)
    assert _bytes(network) == _bytes(twin)


def _bytes(network: LiftedNetwork) -> list[bytes]:
    assert network.mixture is not None
    return [as_numpy(w).tobytes() for w in (*network.weights, network.mixture.weights)]


def test_a_pipeline_that_learns_frames() -> None:
    rng = np.random.default_rng(0)

    def frames(count: int) -> list[tuple[pl.DataFrame, pl.Series]]:
        batches = []
        for _ in range(count):
            x = rng.normal(3, 2, (20, 3))
            batches.append((pl.DataFrame(x, schema=list("abc")), pl.Series(x[:, 0] > 3)))
        return batches

    model: Any = preprocessing.StandardScaler() | FenchelClassifier(hidden=(8,))
    for X, y in frames(4):
        model.learn_many(X, y)
    twins = [how(model) for how in COPIES.values()]
    for X, y in frames(4):
        for each in (model, *twins):
            each.learn_many(X, y)
    for twin in twins:
        same(twin["FenchelClassifier"], model["FenchelClassifier"])
