"""Real models go on from a stored state exactly as if they had never stopped."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import polars as pl
import pytest
from river import (
    anomaly,
    compose,
    datasets,
    drift,
    dummy,
    ensemble,
    facto,
    feature_extraction,
    feature_selection,
    forest,
    imblearn,
    linear_model,
    metrics,
    multiclass,
    multioutput,
    naive_bayes,
    neighbors,
    optim,
    preprocessing,
    rules,
    stats,
    tree,
    utils,
)

from fenchel_stream import FenchelClassifier, FenchelMultiTargetRegressor, FenchelRegressor
from fenchel_stream.errors import CheckpointError
from fenchel_stream.preprocessing.pipeline import pipeline
from fenchel_stream.state import pack, restore

Build = Callable[[], Any]
Rows = list[tuple[dict[str, Any], Any]]
ROWS = 150


@pytest.fixture(scope="module")
def phishing() -> Rows:
    return [row for _, row in zip(range(2 * ROWS), datasets.Phishing(), strict=False)]


@pytest.fixture(scope="module")
def sums(phishing: Rows) -> Rows:
    return [(x, 10 * sum(x.values()) + float(y)) for x, y in phishing]


def stored(obj: Any, fresh: Any) -> Any:
    """Return `fresh` with the state of `obj`, which went through JSON."""
    tree, arrays = pack({"model": obj})
    text = json.dumps(tree, allow_nan=False)
    copies = {name: array.copy() for name, array in arrays.items()}
    return restore({"model": fresh}, json.loads(text), copies)["model"]


def learn(model: Any, rows: Rows) -> Iterator[str]:
    """Yield all that a model says of each row before it learns it, to the last bit."""
    for x, y in rows:
        for ask in ("predict_one", "predict_proba_one", "score_one", "transform_one"):
            # A pipeline has all of these methods, whether its last step has or not.
            with suppress(AttributeError, NotImplementedError):
                yield repr(getattr(model, ask)(dict(x)))
        if getattr(model, "_supervised", False):
            model.learn_one(dict(x), y)
        else:
            model.learn_one(dict(x))


def words(rows: Rows) -> Rows:
    """Return rows whose features are names, for encoders."""
    return [({name: f"v{value}" for name, value in x.items()}, y) for x, y in rows]


CLASSIFIERS: dict[str, Build] = {
    "LogisticRegression": linear_model.LogisticRegression,
    "LogisticRegression with Adam": lambda: linear_model.LogisticRegression(optim.Adam(0.01)),
    "LogisticRegression with FTRL": lambda: linear_model.LogisticRegression(optim.FTRLProximal()),
    "SoftmaxRegression": linear_model.SoftmaxRegression,
    "SoftmaxRegression with AdaGrad": lambda: linear_model.SoftmaxRegression(optim.AdaGrad()),
    "PAClassifier": linear_model.PAClassifier,
    "ALMAClassifier": linear_model.ALMAClassifier,
    "GaussianNB": naive_bayes.GaussianNB,
    "HoeffdingTreeClassifier": lambda: tree.HoeffdingTreeClassifier(grace_period=20),
    "HoeffdingAdaptiveTreeClassifier": lambda: tree.HoeffdingAdaptiveTreeClassifier(seed=1),
    "ExtremelyFastDecisionTree": lambda: tree.ExtremelyFastDecisionTreeClassifier(grace_period=20),
    "SGTClassifier": lambda: tree.SGTClassifier(grace_period=20),
    "ARFClassifier": lambda: forest.ARFClassifier(n_models=3, seed=1),
    "AMFClassifier": lambda: forest.AMFClassifier(n_estimators=2, seed=1),
    "KNNClassifier": neighbors.KNNClassifier,
    "BaggingClassifier": lambda: ensemble.BaggingClassifier(
        linear_model.LogisticRegression(), n_models=3, seed=1
    ),
    "LeveragingBaggingClassifier": lambda: ensemble.LeveragingBaggingClassifier(
        tree.HoeffdingTreeClassifier(), n_models=3, seed=1
    ),
    "ADWINBoostingClassifier": lambda: ensemble.ADWINBoostingClassifier(
        naive_bayes.GaussianNB(), n_models=3, seed=1
    ),
    "VotingClassifier": lambda: ensemble.VotingClassifier(
        [naive_bayes.GaussianNB(), tree.HoeffdingTreeClassifier()]
    ),
    "OneVsRestClassifier": lambda: multiclass.OneVsRestClassifier(
        linear_model.LogisticRegression()
    ),
    "OneVsRestClassifier of functions": lambda: multiclass.OneVsRestClassifier(
        compose.FuncTransformer(halved) | linear_model.LogisticRegression()  # type: ignore[arg-type]
    ),
    "HardSamplingClassifier": lambda: imblearn.HardSamplingClassifier(
        linear_model.LogisticRegression(), p=0.1, size=20, seed=1
    ),
    "DriftRetrainingClassifier": lambda: drift.DriftRetrainingClassifier(
        naive_bayes.GaussianNB(), drift.binary.DDM()
    ),
    "FMClassifier": lambda: facto.FMClassifier(seed=1),
    "FFMClassifier": lambda: facto.FFMClassifier(seed=1),
    "NoChangeClassifier": dummy.NoChangeClassifier,
    "StandardScaler | LogisticRegression": lambda: (
        preprocessing.StandardScaler() | linear_model.LogisticRegression()
    ),
    "StandardScaler | GaussianNB": lambda: (
        preprocessing.StandardScaler() | naive_bayes.GaussianNB()
    ),
    "Select | (OneHotEncoder + MinMaxScaler) | ALMA": lambda: (
        (
            (compose.Select("is_popular", "long_url") | preprocessing.OneHotEncoder())
            + (compose.SelectType(float) | preprocessing.MinMaxScaler())
        )
        | linear_model.ALMAClassifier()
    ),
    "PolynomialExtender | VarianceThreshold | Perceptron": lambda: (
        feature_extraction.PolynomialExtender()
        | feature_selection.VarianceThreshold()
        | linear_model.Perceptron()
    ),
    "FuncTransformer | LogisticRegression": lambda: (
        compose.FuncTransformer(halved) | linear_model.LogisticRegression()
    ),
    "FenchelClassifier": lambda: FenchelClassifier(hidden=(8,)),
    "FenchelClassifier in float64, deep": lambda: FenchelClassifier(
        hidden=(8, 4), dtype="float64", activation="tanh"
    ),
    "FenchelClassifier that gathers rows": lambda: FenchelClassifier(hidden=(8,), batch_size=7),
    "pipeline": lambda: pipeline(FenchelClassifier(hidden=(8,)), one_hot=["is_popular"]),
}
REGRESSORS: dict[str, Build] = {
    "LinearRegression": linear_model.LinearRegression,
    "LinearRegression with momentum": lambda: linear_model.LinearRegression(optim.Momentum(0.001)),
    "BayesianLinearRegression": linear_model.BayesianLinearRegression,
    "PARegressor": linear_model.PARegressor,
    "KNNRegressor": neighbors.KNNRegressor,
    "HoeffdingTreeRegressor": lambda: tree.HoeffdingTreeRegressor(grace_period=20),
    "HoeffdingAdaptiveTreeRegressor": lambda: tree.HoeffdingAdaptiveTreeRegressor(seed=1),
    "ARFRegressor": lambda: forest.ARFRegressor(n_models=3, seed=1),
    "AMRules": rules.AMRules,
    "EWARegressor": lambda: ensemble.EWARegressor(
        [linear_model.LinearRegression(), tree.HoeffdingTreeRegressor()]
    ),
    "TargetStandardScaler": lambda: preprocessing.TargetStandardScaler(
        linear_model.LinearRegression()
    ),
    "StandardScaler | LinearRegression": lambda: (
        preprocessing.StandardScaler() | linear_model.LinearRegression()
    ),
    "FenchelRegressor": lambda: FenchelRegressor(hidden=(8,)),
    "pipeline": lambda: pipeline(FenchelRegressor(hidden=(8,))),
}
TRANSFORMERS: dict[str, Build] = {
    "StandardScaler": preprocessing.StandardScaler,
    "StandardScaler in a window": lambda: preprocessing.StandardScaler(window_size=20),
    "MinMaxScaler": preprocessing.MinMaxScaler,
    "MaxAbsScaler": preprocessing.MaxAbsScaler,
    "RobustScaler": preprocessing.RobustScaler,
    "AdaptiveStandardScaler": preprocessing.AdaptiveStandardScaler,
    "Normalizer": preprocessing.Normalizer,
    "Binarizer": preprocessing.Binarizer,
    "FeatureHasher": lambda: preprocessing.FeatureHasher(seed=1),
    "StatImputer": preprocessing.StatImputer,
    "PreviousImputer": preprocessing.PreviousImputer,
    "GaussianRandomProjector": lambda: preprocessing.GaussianRandomProjector(2, seed=1),
    "SparseRandomProjector": lambda: preprocessing.SparseRandomProjector(2, seed=1),
    "RBFSampler": lambda: feature_extraction.RBFSampler(n_components=3, seed=1),
    "HalfSpaceTrees": lambda: anomaly.HalfSpaceTrees(n_trees=2, height=3, window_size=20, seed=1),
}
ENCODERS: dict[str, Build] = {
    "OneHotEncoder": preprocessing.OneHotEncoder,
    "OrdinalEncoder": preprocessing.OrdinalEncoder,
    "BagOfWords": lambda: (
        compose.FuncTransformer(joined)
        | feature_extraction.BagOfWords(on="text")
        | naive_bayes.MultinomialNB()
    ),
}
METRICS: dict[str, Build] = {
    name: getattr(metrics, name)
    for name in (
        "Accuracy",
        "BalancedAccuracy",
        "CohenKappa",
        "F1",
        "GeometricMean",
        "LogLoss",
        "MCC",
        "MacroF1",
        "MicroF1",
        "Precision",
        "ROCAUC",
        "Recall",
        "RollingPRAUC",
        "RollingROCAUC",
        "WeightedF1",
    )
} | {
    "ClassificationReport": metrics.ClassificationReport,
    "ConfusionMatrix": metrics.ConfusionMatrix,
    "several that share a matrix": lambda: metrics.Accuracy() + metrics.F1() + metrics.MacroF1(),
    "FBeta": lambda: metrics.FBeta(2),
    "Rolling Accuracy": lambda: utils.Rolling(metrics.Accuracy, window_size=20),
    "Rolling MacroF1": lambda: utils.Rolling(metrics.MacroF1, window_size=20),
}
ERRORS: dict[str, Build] = {
    name: getattr(metrics, name) for name in ("MAE", "MSE", "RMSE", "R2", "SMAPE", "RMSLE")
} | {"Rolling MAE": lambda: utils.Rolling(metrics.MAE, window_size=20)}
UNIVARIATE: dict[str, Build] = {
    "ADWIN": drift.ADWIN,
    "KSWIN": lambda: drift.KSWIN(seed=1),
    "PageHinkley": drift.PageHinkley,
    "DummyDriftDetector": drift.DummyDriftDetector,
    "Mean": stats.Mean,
    "Var": stats.Var,
    "EWMean": stats.EWMean,
    "EWVar": stats.EWVar,
    "IQR": stats.IQR,
    "Kurtosis": stats.Kurtosis,
    "MAD": stats.MAD,
    "Max": stats.Max,
    "Mode": stats.Mode,
    "PeakToPeak": stats.PeakToPeak,
    "Quantile": stats.Quantile,
    "RollingIQR": lambda: stats.RollingIQR(20),
    "RollingMax": lambda: stats.RollingMax(20),
    "RollingQuantile": lambda: stats.RollingQuantile(0.3, 20),
    "Skew": stats.Skew,
    "Rolling Var": lambda: utils.Rolling(stats.Var, window_size=20),
}
# What only pickle can store, and the part that is to blame.
REFUSED: dict[str, tuple[Build, str]] = {
    "OutputCodeClassifier": (
        lambda: multiclass.OutputCodeClassifier(
            linear_model.LogisticRegression(), code_size=4, coding_method="exact", seed=1
        ),
        r"model\._integers is a builtins\.list_iterator",
    ),
    "ClassifierChain": (
        lambda: multioutput.ClassifierChain(linear_model.SoftmaxRegression(), order=["y"]),
        r"model\.data\['y'\]\.optimizers\.default_factory is .* a newly built object does not have",
    ),
    "RandomTreesEmbedding": (
        lambda: feature_extraction.RandomTreesEmbedding(n_trees=2, height=2, seed=1),
        "is the memory address of",
    ),
}


def joined(x: dict[str, Any]) -> dict[str, str]:
    """Return all values as one text."""
    return {"text": " ".join(x.values())}


def halved(x: dict[str, Any]) -> dict[str, float]:
    """Return half of every feature."""
    return {name: value / 2 for name, value in x.items()}


def check(build: Build, rows: Rows) -> None:
    original = build()
    for _ in learn(original, rows[:ROWS]):
        pass
    restored = stored(original, build())
    answers = list(learn(restored, rows[ROWS:]))
    assert answers == list(learn(original, rows[ROWS:]))
    assert len(set(answers)) > 1 or "NoChange" in repr(original)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers(name: str, phishing: Rows) -> None:
    check(CLASSIFIERS[name], phishing)


@pytest.mark.parametrize("name", REGRESSORS)
def test_regressors(name: str, sums: Rows) -> None:
    check(REGRESSORS[name], sums)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers(name: str, phishing: Rows) -> None:
    check(TRANSFORMERS[name], phishing)


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders(name: str, phishing: Rows) -> None:
    check(ENCODERS[name], words(phishing))


@pytest.mark.parametrize("name", METRICS)
def test_metrics(name: str) -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(2 * ROWS) < 0.4
    score = np.clip(0.3 * truth + 0.5 * rng.random(2 * ROWS), 0, 1)

    def show(metric: Any, part: slice) -> Iterator[str]:
        asks_labels = getattr(
            metric, "requires_labels", getattr(metric, "obj", metric) is not metric
        )
        for y, p in zip(truth[part].tolist(), score[part].tolist(), strict=True):
            metric.update(y, p > 0.5 if asks_labels else {True: p, False: 1 - p})
            yield repr(metric)

    original = METRICS[name]()
    list(show(original, slice(ROWS)))
    restored = stored(original, METRICS[name]())
    assert list(show(restored, slice(ROWS, None))) == list(show(original, slice(ROWS, None)))


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    values = np.random.default_rng(0).random((2 * ROWS, 2)).tolist()
    original = ERRORS[name]()
    for y, p in values[:ROWS]:
        original.update(y, p)
    restored = stored(original, ERRORS[name]())
    for y, p in values[ROWS:]:
        original.update(y, p)
        restored.update(y, p)
        assert restored.get() == original.get()


@pytest.mark.parametrize("name", UNIVARIATE)
def test_statistics_and_detectors(name: str) -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(size=ROWS), rng.normal(2, 2, ROWS)]).round(2).tolist()
    original = UNIVARIATE[name]()
    for x in values[:ROWS]:
        original.update(x)
    restored = stored(original, UNIVARIATE[name]())
    ask = "drift_detected" if hasattr(original, "drift_detected") else "get"
    for x in values[ROWS:]:
        original.update(x)
        restored.update(x)
        one, other = getattr(restored, ask), getattr(original, ask)
        assert (one, other) == (other, one) if ask != "get" else one() == other()


def test_a_window_of_time() -> None:
    start, day = dt.datetime(2024, 1, 1), dt.timedelta(days=1)  # noqa: DTZ001 - River's choice

    def build() -> Any:
        return utils.TimeRolling(stats.Mean, period=7 * day)

    original = build()
    for i in range(20):
        original.update(float(i), t=start + i * day)
    restored = stored(original, build())
    for i in range(20, 40):
        original.update(float(i * i), t=start + i * day)
        restored.update(float(i * i), t=start + i * day)
        assert restored.get() == original.get()


def test_several_targets(sums: Rows) -> None:
    rows = [(x, {"y": y, "half": y / 2}) for x, y in sums]
    check(lambda: FenchelMultiTargetRegressor(hidden=(8,)), rows)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_go_on_bit_for_bit(dtype: str) -> None:
    """After a batch larger than the next, and after a smaller one."""
    rng = np.random.default_rng(0)

    def learnt(model: FenchelClassifier, batches: list[int], seed: int) -> None:
        rng = np.random.default_rng(seed)
        for rows in batches:
            X = pl.DataFrame(rng.normal(size=(rows, 9)), schema=[f"x{i}" for i in range(9)])
            model.learn_many(X, (X["x0"] * X["x1"] > 0).alias("y"))

    for first, second in (([1000, 5], [1000, 7]), ([5, 1000], [7, 1000]), ([1000], [900, 3])):
        seed = int(rng.integers(100))
        original = FenchelClassifier(hidden=(32, 16), dtype=dtype)
        learnt(original, first, seed)
        restored = stored(original, FenchelClassifier(hidden=(32, 16), dtype=dtype))
        for model in (original, restored):
            learnt(model, second, seed + 1)
        for w, v in zip(
            original.ensemble.networks[0].weights,
            restored.ensemble.networks[0].weights,
            strict=True,
        ):
            assert type(w) is type(v)
            assert np.asarray(w).tobytes() == np.asarray(v).tobytes()


def test_no_array_follows_from_the_configuration(phishing: Rows) -> None:
    """Two models of one configuration, which learn different rows, have no array in common."""

    def arrays_after(rows: Rows, names: list[str]) -> dict[str, bytes]:
        model = FenchelClassifier(hidden=(8, 4))
        for x, y in rows:
            model.learn_one({name: x[name] for name in names}, y)
        return {name: array.tobytes() for name, array in pack(model)[1].items()}

    names = sorted(phishing[0][0])
    one, other = arrays_after(phishing[:90], names), arrays_after(phishing[90:200], names[::-1])
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] == other[name]] == []


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_stored_is_named(name: str, phishing: Rows) -> None:
    build, blame = REFUSED[name]
    model = build()
    for x, y in phishing[:20]:
        if hasattr(model, "predict_one"):
            model.learn_one(x, {"y": y} if name == "ClassifierChain" else str(y))
        else:
            model.learn_one(x)
    with pytest.raises(CheckpointError, match=blame):
        pack({"model": model})
