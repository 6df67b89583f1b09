"""The estimators on streams whose features, classes and targets come and go."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fenchel_stream import FenchelClassifier, FenchelMultiTargetRegressor, FenchelRegressor
from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.estimators.ensemble import INNER
from fenchel_stream.network.arrays import as_numpy
from fenchel_stream.network.lifted_network import LiftedNetwork
from fenchel_stream.network.losses import softmax
from tests.oracle import Matrix

Row = dict[Hashable, Any]
Stream = list[tuple[Row, Any]]
KINDS = ("classifier", "regressor", "targets")
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
FRAMES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "pyarrow": pa.table,
}
SERIES: dict[str, Callable[[list[Any]], Any]] = {
    "pandas": pd.Series,
    "polars": pl.Series,
    "pyarrow": lambda values: pa.chunked_array([pa.array(values)]),
}
LIBRARIES = pytest.mark.parametrize("library", FRAMES)


def model_of(kind: str, **settings: Any) -> Any:
    settings = {"hidden": (8,), "dtype": "float64", **settings}
    if kind == "classifier":
        return FenchelClassifier(**settings)
    return (FenchelRegressor if kind == "regressor" else FenchelMultiTargetRegressor)(**settings)


def label(kind: str, value: float) -> Any:
    if kind == "classifier":
        return "up" if value > 0 else "down"
    return 100 + 5 * value if kind == "regressor" else {"u": value, "v": 1000 - value}


def stream(kind: str, rows: int = 60, names: str = "abc", seed: int = 0) -> Stream:
    rng = np.random.default_rng(seed)
    pairs: Stream = []
    for _ in range(rows):
        x: Row = dict(zip(names, rng.normal(size=len(names)).tolist(), strict=True))
        pairs.append((x, label(kind, sum(x.values()) + 0.3 * rng.normal())))
    return pairs


def learn(model: Any, rows: Stream) -> Any:
    for x, y in rows:
        model.learn_one(x, y)
    return model


def frame(rows: list[Row], library: str = "polars") -> Any:
    return FRAMES[library]({str(name): [row[name] for row in rows] for name in rows[0]})


def labels(kind: str, ys: list[Any], library: str = "polars") -> Any:
    if kind == "targets":
        return frame(ys, library)
    return SERIES[library](ys)


def everything(model: Any, rows: list[Row]) -> list[Any]:
    """All that a model says about `rows`, one by one and together."""
    predictions: list[Any] = [model.predict_one(x) for x in rows]
    predictions.append(_listed(model.predict_many(frame(rows))))
    if isinstance(model, FenchelClassifier):
        predictions += [model.predict_proba_one(x) for x in rows]
        predictions.append(_listed(model.predict_proba_many(frame(rows))))
    return predictions


def outputs(model: Any, x: Row) -> list[float]:
    """Return the prediction of a model for a row, as numbers."""
    if isinstance(model, FenchelRegressor):
        return [model.predict_one(x)]
    if isinstance(model, FenchelClassifier):
        return list(model.predict_proba_one(x).values())
    return list(model.predict_one(x).values())


def _listed(native: Any) -> Any:
    return native.to_dicts() if isinstance(native, pl.DataFrame) else native.to_list()


def weights(model: Any) -> list[bytes]:
    """All that was learnt, to the last bit."""
    moments, ensemble = model.scaler.moments, model.ensemble
    arrays = [moments.count, moments.mean, moments.squares, ensemble.expert_weights]
    for network in ensemble.networks:
        arrays += network.weights
        if network.mixture is not None:
            arrays += [network.mixture.weights, network.mixture.expert_weights]
    return [as_numpy(w).tobytes() for w in arrays]


@EVERY_KIND
class TestExactness:
    @pytest.mark.parametrize("hidden", [(), (8,), (8, 6)])
    def test_features_not_learnt_yet_are_as_if_absent(
        self, kind: str, hidden: tuple[int, ...]
    ) -> None:
        model = learn(model_of(kind, hidden=hidden), stream(kind))
        rows = [x for x, _ in stream(kind, 5, seed=1)]
        wider: list[Row] = [{"A": 9.0, **x, "z": 1e9, "0": None} for x in rows]
        assert everything(model, wider) == everything(model, rows)

    @pytest.mark.parametrize("hidden", [(), (8,)])
    def test_rows_that_wait_change_nothing(self, kind: str, hidden: tuple[int, ...]) -> None:
        model = learn(model_of(kind, hidden=hidden, batch_size=4), stream(kind, 40))
        rows: list[Row] = [{**x, "new": 2.0} for x, _ in stream(kind, 5, seed=1)]
        before, held = everything(model, rows), weights(model)
        new: dict[str, Any] = {"classifier": "sideways", "regressor": 7e5, "targets": {"w": 3.0}}
        for _ in range(3):
            model.learn_one({"new": 1.0, "a": -1.0}, new[kind])
            assert everything(model, rows) == before
            assert weights(model) == held
        model.learn_one({"newer": 1.0}, new[kind])
        after = everything(model, rows)
        assert after != before
        if kind == "classifier":
            assert set(after[-2]) == {"up", "down", "sideways"}
        if kind == "targets":
            assert list(after[0]) == ["u", "v", "w"]
        assert set(model.schema.columns) == {"a", "b", "c", "new", "newer"}

    def test_predicting_changes_nothing(self, kind: str) -> None:
        rows = [x for x, _ in stream(kind, 5, names="abxyz", seed=1)]
        for learnt, batch_size in ((0, 1), (1, 1), (3, 4), (30, 1), (30, 4), (30, 32)):
            model = learn(model_of(kind, batch_size=batch_size), stream(kind, learnt))
            before = pickle.dumps(model)
            for _ in range(2):
                everything(model, rows)
            assert pickle.dumps(model) == before

    @pytest.mark.parametrize("batch_size", [1, 4])
    def test_a_feature_that_is_not_listed_is_zero(self, kind: str, batch_size: int) -> None:
        listed, left_out = (model_of(kind, batch_size=batch_size) for _ in range(2))
        for number, (x, y) in enumerate(stream(kind, 30)):
            # The first row names all, so that the columns are the same.
            gone = "abc"[number % 3] if number else ""
            listed.learn_one({name: 0.0 if name == gone else v for name, v in x.items()}, y)
            left_out.learn_one({name: v for name, v in x.items() if name != gone}, y)
        assert weights(left_out) == weights(listed)
        row: Row = {"a": 1.0, "c": -2.0}
        assert listed.predict_one(row) == listed.predict_one({"c": -2, "b": 0, "a": True})

    @pytest.mark.parametrize("batch_size", [1, 4])
    def test_a_missing_feature_is_its_mean(self, kind: str, batch_size: int) -> None:
        model = model_of(kind, batch_size=batch_size)
        history: list[Row] = []
        for number, (x, y) in enumerate(stream(kind, 28)):
            history.append({**x, "abc"[number % 3]: None})
            model.learn_one(history[-1], y)
        means = {name: np.mean([x[name] for x in history if x[name] is not None]) for name in "abc"}
        for nothing in (None, math.nan):
            actual = np.array(outputs(model, {"a": 1.0, "b": nothing, "c": -2.0}))
            expected = outputs(model, {"a": 1.0, "b": float(means["b"]), "c": -2.0})
            np.testing.assert_allclose(actual, expected, rtol=1e-9)
        raw = learn(model_of(kind, scale=False), [(x, y) for x, y in stream(kind, 10)])
        assert outputs(raw, {"a": 1.0, "b": None}) == outputs(raw, {"a": 1.0, "b": 0.0})

    def test_features_end_at_ten_deviations(self, kind: str) -> None:
        rows = stream(kind, 40)
        model = learn(model_of(kind), rows)
        history = np.array([x["a"] for x, _ in rows])
        end = float(history.mean() + 10 * history.std())
        far = [outputs(model, {"a": a, "b": 0.3, "c": 0.1}) for a in (end, 2 * end, 1e12, 1e300)]
        for beyond in far[1:]:
            np.testing.assert_allclose(beyond, far[0], rtol=1e-9)
        assert outputs(model, {"a": end / 2, "b": 0.3, "c": 0.1}) != far[0]

    def test_the_units_of_features_do_not_matter(self, kind: str) -> None:
        units = {"a": (1e6, -3e6), "b": (1e-6, 0.0), "c": (-20.0, 1e4)}
        plain, other = model_of(kind), model_of(kind)
        for x, y in stream(kind, 60):
            in_units: Row = {n: x[n] * scale + shift for n, (scale, shift) in units.items()}
            # A feature whose sign is turned meets weights of the other sign.
            same: Row = {**x, "c": -x["c"]}
            np.testing.assert_allclose(outputs(plain, same), outputs(other, in_units), rtol=1e-5)
            plain.learn_one(same, y)
            other.learn_one(in_units, y)


@EVERY_KIND
class TestOrder:
    @given(order=st.randoms(use_true_random=False), batch_size=st.sampled_from([1, 4]))
    @settings(max_examples=10)
    def test_in_which_rows_list_their_features_does_not_matter(
        self, kind: str, order: Any, batch_size: int
    ) -> None:
        plain, shuffled = (model_of(kind, batch_size=batch_size) for _ in range(2))
        for x, y in stream(kind, 20):
            names = list(x)
            order.shuffle(names)
            plain.learn_one(x, y)
            shuffled.learn_one({name: x[name] for name in names}, y)
        assert weights(shuffled) == weights(plain)

    @pytest.mark.parametrize("hidden", [(), (8,), (8, 6)])
    def test_in_which_features_arrive_does_not_matter(
        self, kind: str, hidden: tuple[int, ...]
    ) -> None:
        # The early rows hold nothing but zeros: they introduce names, in two orders.
        models = [model_of(kind, hidden=hidden, scale=False) for _ in range(2)]
        y = stream(kind)[0][1]
        for model, names in zip(models, ("abc", "cba"), strict=True):
            for name in names:
                model.learn_one({name: 0.0}, y)
            learn(model, stream(kind))
        assert list(models[0].schema.columns) != list(models[1].schema.columns)
        for x, _ in stream(kind, 10, seed=1):
            one, other = (
                m.predict_proba_one(x) if kind == "classifier" else m.predict_one(x) for m in models
            )
            assert one == pytest.approx(other, rel=1e-8)

    def test_first_weights_depend_on_the_name_and_the_seed_alone(self, kind: str) -> None:
        def first(name: str, rows: int, batch_size: int = 1, **settings: Any) -> list[float]:
            model = learn(model_of(kind, **settings), stream(kind, rows))
            model.batch_size = batch_size
            # A row in which the feature is 0 introduces it and leaves its weights alone.
            for number in range(batch_size):
                model.learn_one({f"other{number}": 0.0, name: 0.0}, stream(kind)[0][1])
            column = as_numpy(model.ensemble.networks[0].weights[0])[
                :, 1 + model.schema.columns[name]
            ]
            return [float(value) for value in column]

        weights_of_new = first("new", rows=10)
        assert first("new", rows=0) == weights_of_new == first("new", rows=40)
        assert first("new", rows=10, batch_size=3) == weights_of_new
        assert first("newer", rows=10) != weights_of_new
        assert first("new", rows=10, seed=1) != weights_of_new
        assert first("new", rows=10, hidden=(8, 4)) == weights_of_new
        assert len(set(weights_of_new)) == 8
        assert 0 < np.abs(weights_of_new).max() <= math.sqrt(3 / 8)


@pytest.mark.parametrize("kind", ["classifier", "targets"])
def test_classes_and_targets_in_another_order(kind: str) -> None:
    rows = stream(kind, 20)
    plain, turned = model_of(kind, scale=False), model_of(kind, scale=False)
    if kind == "targets":
        learn(plain, rows)
        learn(turned, [(x, dict(reversed(y.items()))) for x, y in rows])
    else:
        for model, first in ((plain, ["up", "down"]), (turned, ["down", "up"])):
            model.learn_many(pl.DataFrame({"a": [0.0, 0.0]}), pl.Series(first))
            learn(model, rows)
    for x, _ in stream(kind, 5, seed=1):
        one, other = (
            m.predict_proba_one(x) if kind == "classifier" else m.predict_one(x)
            for m in (plain, turned)
        )
        assert list(one) == list(reversed(other))
        assert one == pytest.approx(other, rel=1e-8)


class TestByHand:
    """`learn_many` is `LiftedNetwork` on the same matrix."""

    def batches(self, kind: str) -> list[tuple[pl.DataFrame, list[Any], Matrix, Matrix]]:
        """Frames and labels; the features as they are, and as scaling should make them."""
        batches = []
        history = np.zeros((0, 3))
        for seed in range(4):
            rows = stream(kind, 10, seed=seed)
            X = frame([x for x, _ in rows])
            matrix = X.to_numpy()
            history = np.vstack([history, matrix])
            scaled = (matrix - history.mean(axis=0)) / history.std(axis=0)
            batches.append((X, [y for _, y in rows], matrix, scaled))
        return batches

    @pytest.mark.parametrize("scale", [False, True])
    @pytest.mark.parametrize(
        ("gamma", "orders"),
        [((0.2, 0.3, 2.0), ["top_down"]), ("auto", ["top_down", "paper"])],
    )
    def test_classifier(self, scale: bool, gamma: Any, orders: list[str]) -> None:
        settings = {"lam": 2.0, "gamma": gamma, "rho": 0.1, "dtype": "float64"}
        model = model_of("classifier", hidden=(8, 5), scale=scale, **settings)
        first, second, _ = model.ensemble.networks[0].weights
        columns = [model._first_weights(name) for name in "abc"]
        begin = [np.column_stack([first, *columns]), second, np.zeros((2, 6))]
        networks = [
            LiftedNetwork(begin, order=order, x_iterations=x, w_iterations=w, **settings)
            for order, (x, w) in zip(orders, INNER, strict=False)
        ]
        for X, y, matrix, scaled in self.batches("classifier"):
            inputs = scaled if scale else matrix
            model.learn_many(X, pl.Series(y))
            classes = list(model.classes)
            for learnt, network in zip(model.ensemble.networks, networks, strict=True):
                network.learn_batch(inputs, np.array([classes.index(value) for value in y]))
                for w, expected in zip(learnt.weights, network.weights, strict=True):
                    np.testing.assert_allclose(w, expected, rtol=1e-9, atol=1e-11)
            shares = model.ensemble.expert_weights
            each = [network.predict(inputs) for network in networks]
            predicted = softmax(sum(share * u for share, u in zip(shares, each, strict=True)))
            np.testing.assert_allclose(model.predict_proba_many(X).to_numpy(), predicted)
            labelled = [classes[i] for i in predicted.argmax(axis=1)]
            assert model.predict_many(X).to_list() == labelled

    @pytest.mark.parametrize("gamma", [(0.2, 2.0), "auto"])
    def test_regressor(self, gamma: Any) -> None:
        # Targets that keep their mean and deviation from batch to batch: scaling stays as it is.
        settings = {"alternations": 2, "order": "paper", "gamma": gamma, "dtype": "float64"}
        model = model_of("regressor", scale=False, **settings)
        first = np.column_stack(
            [model.ensemble.networks[0].weights[0], *(model._first_weights(name) for name in "abc")]
        )
        settings["lam"] = 0.1
        network = LiftedNetwork([first, np.zeros((1, 9))], loss="squared_error", **settings)
        y = np.repeat([40.0, 60.0], 5)
        for X, _, matrix, _ in self.batches("regressor"):
            model.learn_many(X, pl.Series(y))
            network.learn_batch(matrix, (y - 50) / 10)
            for w, expected in zip(
                model.ensemble.networks[0].weights, network.weights, strict=True
            ):
                np.testing.assert_allclose(w, expected, rtol=1e-9, atol=1e-11)
            np.testing.assert_allclose(
                model.predict_many(X).to_numpy(), 50 + 10 * network.predict(matrix)[:, 0]
            )

    @EVERY_KIND
    def test_gathered_rows_are_a_frame_and_a_row_is_a_frame_of_one(self, kind: str) -> None:
        rows = stream(kind, 24)
        for size in (1, 8):
            one, many = model_of(kind, batch_size=size), model_of(kind)
            learn(one, rows)
            for start in range(0, 24, size):
                part = rows[start : start + size]
                many.learn_many(frame([x for x, _ in part]), labels(kind, [y for _, y in part]))
            assert weights(one) == weights(many)

    @EVERY_KIND
    def test_a_frame_does_not_overtake_rows_that_wait(self, kind: str) -> None:
        rows = stream(kind, 15)
        waiting, at_once = model_of(kind, batch_size=10), model_of(kind)
        learn(waiting, rows[:5])
        for model, part in ((at_once, rows[:5]), (at_once, rows[5:]), (waiting, rows[5:])):
            model.learn_many(frame([x for x, _ in part]), labels(kind, [y for _, y in part]))
        assert weights(waiting) == weights(at_once)

    @EVERY_KIND
    @pytest.mark.parametrize("gamma", ["auto", 0.5])
    def test_torch_learns_as_numpy_does(self, kind: str, gamma: Any) -> None:
        torch = pytest.importorskip("torch", reason="torch is not installed")
        ours, theirs = (model_of(kind, gamma=gamma, device=d) for d in ("cpu", "cpu:0"))
        for size, names in ((30, "abc"), (1, "abcd"), (25, "bdea"), (2, "ace"), (30, "abc")):
            rows = stream(kind, size, names=names)
            if kind == "targets" and size == 25:
                rows = [(x, {**y, "w": y["u"] + 1}) for x, y in rows]
            for model in (ours, theirs):
                model.learn_many(frame([x for x, _ in rows]), labels(kind, [y for _, y in rows]))
        assert {type(w) for w in theirs.ensemble.networks[0].weights} == {torch.Tensor}
        for w, expected in zip(
            theirs.ensemble.networks[0].weights, ours.ensemble.networks[0].weights, strict=True
        ):
            np.testing.assert_allclose(as_numpy(w), expected, atol=1e-8)
        for x, _ in stream(kind, 3, seed=1):
            np.testing.assert_allclose(outputs(theirs, x), outputs(ours, x), rtol=1e-6)


class TestFrames:
    @LIBRARIES
    @EVERY_KIND
    def test_every_library_gives_the_same_and_its_own_kind(self, kind: str, library: str) -> None:
        model, expected = model_of(kind), model_of(kind)
        rows = stream(kind, 20)
        xs, ys = [x for x, _ in rows], [y for _, y in rows]
        for start in (0, 10):
            part = slice(start, start + 10)
            model.learn_many(frame(xs[part], library), labels(kind, ys[part], library))
            expected.learn_many(frame(xs[part]), labels(kind, ys[part]))
        assert weights(model) == weights(expected)
        X = frame(xs, library)
        predicted = model.predict_many(X)
        assert type(predicted) is type(X if kind == "targets" else SERIES[library]([0.0]))
        if kind != "targets":
            one_by_one = [model.predict_one(x) for x in xs]
            together = predicted.to_pylist() if library == "pyarrow" else list(predicted)
            assert together == (one_by_one if kind == "classifier" else pytest.approx(one_by_one))
        frames = [predicted] if kind == "targets" else []
        if kind == "classifier":
            frames.append(model.predict_proba_many(X))
        for native in frames:
            assert type(native) is type(X)
            dicts = pl.DataFrame(
                {name: np.asarray(native[name]) for name in _names(native)}
            ).to_dicts()
            single = model.predict_proba_one if kind == "classifier" else model.predict_one
            for row, x in zip(dicts, xs, strict=True):
                assert row == pytest.approx(single(x))

    @LIBRARIES
    @EVERY_KIND
    @pytest.mark.parametrize("learnt", [0, 10])
    def test_no_rows(self, kind: str, library: str, learnt: int) -> None:
        model = learn(model_of(kind, batch_size=4), stream(kind, learnt))
        empty = FRAMES[library]({"a": np.zeros(0), "new": np.zeros(0)})
        nothing = (
            FRAMES[library]({"u": np.zeros(0)}) if kind == "targets" else (SERIES[library]([]))
        )
        before = pickle.dumps(model)
        model.learn_many(empty, nothing)
        assert pickle.dumps(model) == before
        assert len(model.predict_many(empty)) == 0
        if kind == "classifier":
            assert len(model.predict_proba_many(empty)) == 0

    @LIBRARIES
    @EVERY_KIND
    def test_before_anything_was_learnt(self, kind: str, library: str) -> None:
        model = model_of(kind)
        X = frame([{"a": 1.0}, {"a": 2.0}], library)
        predicted = model.predict_many(X)
        if kind == "classifier":
            assert model.predict_one({"a": 1.0}) is None
            assert model.predict_proba_one({"a": 1.0}) == {}
            assert _names(model.predict_proba_many(X)) == []
            assert pd.Series(list(np.asarray(predicted))).isna().all()
        elif kind == "regressor":
            assert model.predict_one({"a": 1.0}) == 0.0
            assert np.asarray(predicted).tolist() == [0.0, 0.0]
        else:
            assert model.predict_one({"a": 1.0}) == {}
            assert _names(predicted) == []

    def test_an_index_of_pandas_comes_back(self) -> None:
        rows = stream("classifier", 6)
        index = [5, 3, 5, 9, 0, 1]
        X = frame([x for x, _ in rows], "pandas").set_index(pd.Index(index))
        model = model_of("classifier")
        model.learn_many(X, pd.Series([y for _, y in rows], index=index[::-1]))
        assert list(model.predict_many(X).index) == index
        assert list(model.predict_proba_many(X).index) == index

    @LIBRARIES
    def test_missing_targets(self, library: str) -> None:
        # Gaps in a frame are gaps in rows; each library has its own name for them.
        X = frame([{"a": 1.0}, {"a": 2.0}, {"a": -1.0}], library)
        Y = FRAMES[library]({"u": [1.0, None, 3.0], "v": [None, 5.0, 6.0]})
        model, rows = model_of("targets"), model_of("targets", batch_size=3)
        model.learn_many(X, Y)
        learn(rows, [({"a": 1.0}, {"u": 1.0}), ({"a": 2.0}, {"v": 5.0})])
        rows.learn_one({"a": -1.0}, {"u": 3.0, "v": 6.0})
        assert weights(model) == weights(rows)


def _names(native: Any) -> list[str]:
    return list(native.column_names if isinstance(native, pa.Table) else native.columns)


class TestClasses:
    @pytest.mark.parametrize(
        "classes",
        [[True, False], [3, 1, 2], ["b", "a"], [1.5, -2.0], [(1, 2), "x", 3], ["x"]],
        ids=repr,
    )
    def test_come_back_as_they_were_given(self, classes: list[Any]) -> None:
        model = model_of("classifier")
        for _ in range(20):
            for number, value in enumerate(classes):
                model.learn_one({"a": float(number), "b": float(number == 1)}, value)
        for number, value in enumerate(classes):
            row: Row = {"a": float(number), "b": float(number == 1)}
            assert model.predict_one(row) == value
            assert type(model.predict_one(row)) is type(value)
            probabilities = model.predict_proba_one(row)
            assert list(probabilities) == classes
            assert {type(p) for p in probabilities.values()} == {float}
            assert sum(probabilities.values()) == pytest.approx(1.0, abs=1e-12)

    @LIBRARIES
    @pytest.mark.parametrize("classes", [[True, False], [3, 1], ["b", "a"]], ids=repr)
    def test_come_back_in_a_series(self, library: str, classes: list[Any]) -> None:
        model = model_of("classifier")
        X = frame([{"a": 1.0}, {"a": -1.0}] * 5, library)
        for _ in range(10):
            model.learn_many(X, SERIES[library](classes * 5))
        predicted = model.predict_many(X)
        labels = predicted.to_pylist() if library == "pyarrow" else predicted.to_list()
        assert labels == classes * 5
        assert list(model.classes) == classes
        expected = classes if library == "pandas" else [str(value) for value in classes]
        assert _names(model.predict_proba_many(X)) == expected

    def test_numpy_labels_are_python_ones(self) -> None:
        model = model_of("classifier")
        for value in (np.int64(2), np.str_("s"), np.bool_(True)):
            model.learn_one({"a": 1.0}, value)
        model.learn_many(pd.DataFrame({"a": [1.0, 2.0]}), np.array([2, 5]))
        model.learn_many(pd.DataFrame({"a": [1.0, 2.0]}), [2, 5])
        assert list(model.classes) == [2, "s", True, 5]
        assert [type(value) for value in model.classes] == [int, str, bool, int]

    def test_one_class_alone_is_certain(self) -> None:
        model = model_of("classifier")
        model.learn_one({"a": 1.0}, "only")
        assert model.predict_proba_one({"a": -5.0}) == {"only": 1.0}


BAD_ROWS: list[Row] = [{"a": math.inf}, {"a": "text", "new": 1.0}, {"new": 1.0, "b": [1]}]
BAD_LABELS: dict[str, list[Any]] = {
    "classifier": [None, math.nan, np.float64("nan"), pd.NA, [1]],
    "regressor": [None, math.nan, math.inf, "1", 1e300, 10**400, pd.NA],
    "targets": [{"u": math.inf}, {"w": "x"}, {"u": -1e300}, 5, None],
}


@EVERY_KIND
@pytest.mark.parametrize("batch_size", [1, 4])
class TestRefusals:
    """What cannot be learnt is refused before anything changes."""

    def test_bad_rows_and_labels(self, kind: str, batch_size: int) -> None:
        rows = stream(kind, 10)
        model = learn(model_of(kind, batch_size=batch_size), rows)
        good = rows[0]
        before = pickle.dumps(model)
        for x in BAD_ROWS:
            with pytest.raises(DataError):
                model.learn_one(x, good[1])
            with pytest.raises(DataError):
                model.predict_one(x)
        for y in BAD_LABELS[kind]:
            with pytest.raises(DataError):
                model.learn_one({**good[0], "new": 1.0}, y)
        assert pickle.dumps(model) == before

    def test_bad_frames(self, kind: str, batch_size: int) -> None:
        rows = stream(kind, 10)
        model = learn(model_of(kind, batch_size=batch_size), rows)
        X = frame([{**x, "new": 1.0} for x, _ in rows[:3]])
        y = labels(kind, [y for _, y in rows[:3]])
        before = pickle.dumps(model)
        for bad in (X.with_columns(pl.lit("x").alias("t")), X.with_columns(b=math.inf)):
            with pytest.raises(DataError):
                model.learn_many(bad, y)
            with pytest.raises(DataError):
                model.predict_many(bad)
        for short in (y[:2], y[:1], y[:0]):
            with pytest.raises(DataError, match="3 rows"):
                model.learn_many(X, short)
        with pytest.raises(DataError, match="2 rows"):
            model.learn_many(X[:2], y)
        if kind != "targets":
            missing = [*y.to_list()[:2], None]
            with pytest.raises(DataError):
                model.learn_many(X, pl.Series(missing))
        assert pickle.dumps(model) == before


class TestKindsOfArguments:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"hidden": 64}, r"such as hidden=\(64,\), not 64"),
            ({"hidden": "64"}, r"such as hidden=\(64,\), not '64'"),
            ({"hidden": (1.5,)}, "hidden must be a whole number, not 1.5"),
            ({"seed": None}, "seed must be a whole number, not None"),
        ],
    )
    def test_settings_of_another_kind(self, settings: Any, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            FenchelClassifier(**settings)

    def test_many_rows_that_are_no_frame(self) -> None:
        with pytest.raises(DataError, match="X is of type ndarray, and must be a frame of polars"):
            FenchelClassifier().learn_many(np.ones((2, 2)), [0, 1])


class TestExtremes:
    @EVERY_KIND
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_huge_features_do_no_lasting_harm(self, kind: str, dtype: str) -> None:
        model = learn(model_of(kind, dtype=dtype), stream(kind, 30))
        for value in (1e300, -1e300, 1e15, -3e38):
            model.learn_one({"a": value, "b": 1.0, "huge": value}, stream(kind)[0][1])
        assert all(np.isfinite(as_numpy(w)).all() for w in model.ensemble.networks[0].weights)
        learn(model, stream(kind, 30))
        for x, _ in stream(kind, 5):
            predicted = model.predict_one(x)
            values = predicted.values() if kind == "targets" else [predicted]
            assert kind == "classifier" or np.isfinite(list(values)).all()

    @EVERY_KIND
    def test_rows_without_features_and_models_without_inputs(self, kind: str) -> None:
        model = model_of(kind)
        for _, y in stream(kind, 30):
            model.learn_one({}, y)
        assert model.ensemble.n_inputs == 0
        learn(model, stream(kind, 30))
        assert model.ensemble.n_inputs == 3
        assert model.predict_one({}) is not None

    def test_rows_without_targets(self) -> None:
        model = model_of("targets")
        model.learn_one({"a": 1.0}, {})
        assert model.predict_one({"a": 1.0}) == {}
        model.learn_one({"a": 1.0}, {"u": 3.0})
        before = model.predict_one({"a": 1.0})
        model.learn_one({"a": 1.0}, {})
        assert model.predict_one({"a": 1.0}) == pytest.approx(before)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"batch_size": 0}, "batch_size must be at least 1"),
            ({"hidden": (0,)}, "hidden"),
            ({"gamma": (1.0,)}, "gamma needs one number or 2"),
            ({"gamma": -1.0}, "gamma must be positive"),
            ({"lam": 0.0}, "lam must be positive"),
            ({"activation": "step"}, "'step' is unknown"),
            ({"dtype": "float16"}, "dtype"),
        ],
    )
    @EVERY_KIND
    def test_settings_that_cannot_be(
        self, kind: str, settings: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ConfigError, match=message):
            model_of(kind, **settings)


class TestAccuracy:
    def test_a_feature_that_arrives_late_is_made_use_of(self) -> None:
        rng = np.random.default_rng(0)
        model = FenchelClassifier()
        right = []
        for number in range(800):
            a, b = rng.normal(size=2)
            x: Row = {"a": a} if number < 400 else {"b": b, "a": a}
            y = bool(a + 3 * b > 0)
            right.append(model.predict_one(x) == y)
            model.learn_one(x, y)
        assert np.mean(right[200:400]) < 0.75
        assert np.mean(right[600:]) > 0.9

    def test_a_class_that_arrives_late_is_predicted(self) -> None:
        rng = np.random.default_rng(0)
        model = FenchelClassifier()
        right = []
        for number in range(600):
            x, y = rng.normal(size=2), int(rng.integers(0, 2 if number < 300 else 3))
            x += [(3, 0), (-3, 0), (0, 4)][y]
            row: Row = dict(zip("ab", x.tolist(), strict=True))
            right.append(model.predict_one(row) == y)
            model.learn_one(row, y)
        assert np.mean(right[100:300]) > 0.95
        assert np.mean(right[400:]) > 0.9
