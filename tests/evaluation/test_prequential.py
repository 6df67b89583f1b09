"""Prequential evaluation: River's row-wise evaluator and plain bookkeeping are the oracles."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Callable, Iterator
from itertools import accumulate, islice, pairwise
from math import isnan, log, nan
from pathlib import Path
from typing import Any

import matplotlib.figure
import matplotlib.pyplot
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import base as river_base
from river import (
    compose,
    datasets,
    forest,
    linear_model,
    metrics,
    multiclass,
    naive_bayes,
    neighbors,
    preprocessing,
    stats,
    tree,
    utils,
)
from river import (
    evaluate as river_evaluate,
)
from river.dummy import StatisticRegressor

from fenchel_stream import evaluate
from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.estimators.classifier import FenchelClassifier
from fenchel_stream.estimators.regressor import FenchelMultiTargetRegressor, FenchelRegressor
from fenchel_stream.evaluation.batch_model import BatchModel
from fenchel_stream.evaluation.prequential import Prequential
from fenchel_stream.evaluation.result import Evaluation
from fenchel_stream.preprocessing import Standardize
from fenchel_stream.state import pack, restore
from fenchel_stream.streams import open_source

ROWS = 150
Make = Callable[[], Any]

CLASSIFIERS: dict[str, Make] = {
    "logistic": lambda: Standardize() | linear_model.LogisticRegression(),
    "fenchel": lambda: Standardize() | FenchelClassifier(dtype="float64"),
    "tree": lambda: tree.HoeffdingTreeClassifier(grace_period=20),
    "forest": lambda: forest.ARFClassifier(n_models=3, seed=1),
    "naive Bayes": naive_bayes.GaussianNB,
    "neighbours": neighbors.KNNClassifier,
}
REGRESSORS: dict[str, Make] = {
    "linear": lambda: Standardize() | linear_model.LinearRegression(),
    "fenchel": lambda: Standardize() | FenchelRegressor(dtype="float64"),
    "tree": lambda: tree.HoeffdingTreeRegressor(grace_period=20),
}
# These are asked and taught by the same calls as in River: every digit agrees.
BY_ROWS = {"tree", "forest", "naive Bayes", "neighbours"}


class Recorder(river_base.MiniBatchClassifier):
    """Predicts how many rows it has learnt; remembers which, and how it was asked."""

    def __init__(self) -> None:
        self.learnt: list[int] = []
        self.batches: list[int] = []
        self.asked: list[str] = []

    def learn_one(self, x: Any, y: Any) -> None:
        raise AssertionError("it learns in batches")

    def learn_many(self, X: pl.DataFrame, y: pl.Series) -> None:
        assert X["number"].to_list() == y.to_list()
        self.learnt += y.to_list()
        self.batches.append(len(y))

    def predict_many(self, X: pl.DataFrame) -> pl.Series:
        self.asked.append("labels")
        return pl.Series([len(self.learnt)] * len(X))

    def predict_proba_many(self, X: pl.DataFrame) -> pl.DataFrame:
        self.asked.append("probabilities")
        return pl.DataFrame({"0": [0.25] * len(X), "1": [0.75] * len(X)})


def numbered(start: int, stop: int) -> tuple[pl.DataFrame, pl.Series]:
    numbers = pl.Series("number", range(start, stop), dtype=pl.Int64)
    return pl.DataFrame([numbers]), numbers


def phishing(rows: int = ROWS) -> list[tuple[dict[Any, Any], bool]]:
    return list(datasets.Phishing().take(rows))


def flags(values: dict[str, float]) -> list[float]:
    return list(values.values())


class TestAgainstRiver:
    @pytest.mark.parametrize("name", CLASSIFIERS)
    @pytest.mark.parametrize(
        ("metric", "delay"),
        [
            (metrics.Accuracy(), None),
            (metrics.LogLoss(), None),
            (metrics.Accuracy() + metrics.LogLoss() + metrics.ROCAUC() + metrics.F1(), 6),
        ],
        ids=["labels", "probabilities", "both, late"],
    )
    def test_classifiers(self, name: str, metric: metrics.base.Metric, delay: int | None) -> None:
        ours, rivers = metric.clone(), metric.clone()
        river_evaluate.progressive_val_score(phishing(), CLASSIFIERS[name](), rivers, delay=delay)
        # River counts the row itself as part of the delay.
        result = evaluate(
            CLASSIFIERS[name](),
            phishing(),
            ours,
            batch_size=1,
            delay=0 if delay is None else delay - 1,
            progress=False,
        )
        tolerance = 0.0 if name in BY_ROWS else 1e-9
        expected = np.ravel(rivers.get()).tolist()
        assert flags(result.metrics) == pytest.approx(expected, rel=tolerance, abs=0)
        assert np.ravel(ours.get()).tolist() == flags(result.metrics)

    @pytest.mark.parametrize("name", REGRESSORS)
    @pytest.mark.parametrize("delay", [1, 20])
    def test_regressors(self, name: str, delay: int) -> None:
        data: list[Any] = list(datasets.TrumpApproval().take(ROWS))
        expected = metrics.MAE() + metrics.RMSE()
        river_evaluate.progressive_val_score(data, REGRESSORS[name](), expected, delay=delay)
        result = evaluate(
            REGRESSORS[name](),
            data,
            metrics.MAE() + metrics.RMSE(),
            batch_size=1,
            delay=delay - 1,
            progress=False,
        )
        tolerance = 0.0 if name in BY_ROWS else 1e-9
        assert flags(result.metrics) == pytest.approx(expected.get(), rel=tolerance, abs=0)

    def test_several_targets(self) -> None:
        rng = np.random.default_rng(5)
        rows: list[Any] = [
            ({"a": a, "b": b}, {"up": 100 * a + noise, "down": a * b})
            for a, b, noise in rng.normal(size=(ROWS, 3)).tolist()
        ]
        metric = metrics.multioutput.MicroAverage(metrics.MAE())
        model = FenchelMultiTargetRegressor(dtype="float64")
        river_evaluate.progressive_val_score(rows, model.clone(), metric)
        result = evaluate(
            model,
            rows,
            metrics.multioutput.MicroAverage(metrics.MAE()),
            target=["up", "down"],
            batch_size=1,
            progress=False,
        )
        assert flags(result.metrics) == pytest.approx([metric.get()], rel=1e-9)

    def test_rows_of_which_nothing_is_known_are_learnt_but_not_scored(self) -> None:
        data = phishing(20)
        test = Prequential(CLASSIFIERS["fenchel"](), metrics.Accuracy(), probabilities=True)
        X = pl.DataFrame([x for x, _ in data])
        y = pl.Series([y for _, y in data])
        first, second = test.step(X, y), test.step(X, y)
        assert (first.labels, first.probabilities) == ([None] * 20, [{}] * 20)
        assert (first.scored, second.scored, test.learnt) == (0, 20, 40)
        assert test.scores.metrics[0].cm.n_samples == 20


class TestDelay:
    @given(st.lists(st.integers(0, 9), max_size=12), st.integers(0, 30))
    def test_labels_arrive_after_so_many_rows(self, sizes: list[int], delay: int) -> None:
        model = Recorder()
        metric = metrics.Accuracy()
        test = Prequential(model, metric, delay=delay)
        ends = [0, *accumulate(sizes)]
        labels: list[int] = []
        for start, end in pairwise(ends):
            before = len(model.learnt)
            step = test.step(*numbered(start, end))
            assert step.labels == [before] * (end - start)
            labels += step.labels
            arrived = max(end - delay, 0)
            assert model.learnt == list(range(arrived)), "in order, none early, none late"
            assert test.learnt == arrived
            assert step.scored == arrived - before
            right = [number for number in range(before, arrived) if labels[number] == number]
            assert step.correct == len(right)
        last = test.flush()
        assert model.learnt == list(range(ends[-1]))
        assert last.labels == []
        assert test.flush().scored == 0
        assert metric.cm.n_samples == ends[-1]
        assert metric.cm.total_true_positives == sum(n == s for n, s in enumerate(labels))

    def test_rows_that_arrived_together_are_learnt_together(self) -> None:
        model = Recorder()
        test = Prequential(model, metrics.Accuracy(), delay=6)
        for start in range(0, 20, 4):
            test.step(*numbered(start, start + 4))
        assert model.batches == [2, 2, 2, 2, 2, 2, 2]
        test.flush()
        assert model.batches[7:] == [2, 4]

    def test_batches_of_different_columns(self) -> None:
        model = Recorder()
        test = Prequential(model, metrics.Accuracy(), delay=3)
        X, y = numbered(0, 4)
        test.step(X, y)
        X, y = numbered(4, 8)
        test.step(X.with_columns(pl.lit("text").alias("late")), y)
        test.flush()
        assert model.learnt == list(range(8))


class TestScores:
    @pytest.mark.parametrize("batch", [1, 7, 50, 400])
    def test_windowed_values_are_those_of_the_last_rows(self, batch: int) -> None:
        rng = np.random.default_rng(3)
        X = pl.DataFrame(rng.normal(size=(400, 3)), ["a", "b", "c"])
        y = pl.Series(X["a"].to_numpy() * 1000 + rng.normal(size=400))
        model = linear_model.LinearRegression()
        test = Prequential(model, metrics.MAE() + metrics.RMSE(), window=60)
        labels: list[float] = []
        for start in range(0, 400, batch):
            labels += test.step(X[start : start + batch], y[start : start + batch]).labels
            errors = y[: len(labels)].to_numpy()[-60:] - np.array(labels)[-60:]
            expected = [np.abs(errors).mean(), np.sqrt((errors**2).mean())]
            assert flags(test.scores.windowed) == pytest.approx(expected, rel=1e-12)
        every = y.to_numpy() - np.array(labels)
        assert test.scores.cumulative["MAE"] == pytest.approx(np.abs(every).mean())

    def test_a_window_does_not_gather_rounding_errors(self) -> None:
        rolling = utils.Rolling(metrics.RMSE, window_size=3)
        test = Prequential(Zero(), metrics.RMSE(), window=3)
        rng = np.random.default_rng(0)
        for error in [*rng.normal(size=50).tolist(), 0.0, 0.0, 0.0, 0.0]:
            rolling.update(error, 0.0)
            test.step(pl.DataFrame({"x": [0.0]}), pl.Series([error]))
        assert isinstance(rolling.get(), complex), "River mends it"  # type: ignore[operator]
        assert test.scores.windowed == {"RMSE": 0.0}

    def test_metrics_of_one_class_keep_apart(self) -> None:
        metric = [metrics.FBeta(0.5), metrics.FBeta(2.0), metrics.Accuracy()]
        result = evaluate(CLASSIFIERS["logistic"](), phishing(), metric, progress=False)
        assert list(result.metrics) == ["FBeta", "FBeta 2", "Accuracy"]
        assert flags(result.metrics) == [each.get() for each in metric]
        assert result.metrics["FBeta"] != result.metrics["FBeta 2"]

    def test_one_forward_pass_gives_labels_and_probabilities(self) -> None:
        X, y = numbered(0, 3)
        for metric, probabilities, asked in (
            (metrics.Accuracy(), False, "labels"),
            (metrics.Accuracy(), True, "probabilities"),
            (metrics.CrossEntropy(), False, "probabilities"),
            (metrics.Accuracy() + metrics.CrossEntropy(), False, "probabilities"),
        ):
            model = Recorder()
            step = Prequential(model, metric, probabilities=probabilities).step(X, y)
            assert model.asked == [asked]
            if asked == "labels":
                assert (step.labels, step.probabilities, step.loss) == ([0, 0, 0], None, None)
            else:
                assert step.labels == [1, 1, 1]
                assert step.probabilities == [{0: 0.25, 1: 0.75}] * 3
                # Labels 0, 1 and 2, of which the model knows two.
                assert step.loss == pytest.approx(-log(0.25) - log(0.75) - log(1e-15))
                assert (step.scored, step.correct) == (3, 1)

    def test_the_loss_of_a_regressor_is_its_absolute_error(self) -> None:
        test = Prequential(Zero(), metrics.MAE())
        step = test.step(pl.DataFrame({"x": [0.0, 0.0]}), pl.Series([3.0, -4.0]))
        assert (step.scored, step.correct, step.loss) == (2, 0, 7.0)

    def test_the_loss_of_several_targets_is_summed(self) -> None:
        metric = metrics.multioutput.MicroAverage(metrics.MAE())
        test = Prequential(FenchelMultiTargetRegressor(), metric)
        X, y = pl.DataFrame({"x": [1.0, 1.0]}), pl.DataFrame({"a": [1.0, 1.0], "b": [5.0, 5.0]})
        assert (test.step(X, y).scored, test.learnt) == (0, 2), "no target is known yet"
        step = test.step(X, y + 2)
        assert step.loss == pytest.approx(
            sum(abs(label["a"] - 3) + abs(label["b"] - 7) for label in step.labels)
        )
        assert test.scores.cumulative["MicroAverage(MAE)"] == pytest.approx((step.loss or 0) / 4)


class Zero(river_base.MiniBatchRegressor):
    """Predicts 0."""

    def learn_one(self, x: Any, y: Any) -> None: ...

    def learn_many(self, X: Any, y: Any) -> None: ...

    def predict_one(self, x: Any) -> float:
        return 0.0

    def predict_many(self, X: Any) -> Any:
        return pl.Series([0.0] * len(X))


class Yes(river_base.Classifier):
    """Predicts True."""

    def learn_one(self, x: Any, y: Any) -> None: ...

    def predict_one(self, x: Any, **kwargs: Any) -> bool:
        return True


class TestModels:
    @pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame, pa.table])
    @pytest.mark.parametrize(
        "labels", [[False, True], [3, 1], ["a", "b"], [0.5, 2.0]], ids=lambda x: type(x[0]).__name__
    )
    def test_classes_keep_their_type_in_every_kind_of_frame(
        self, kind: Callable[[Any], Any], labels: list[Any]
    ) -> None:
        x = kind({"x": [0.0, 1.0] * 20})
        y = kind({"y": labels * 20})
        y = y["y"] if not isinstance(y, pa.Table) else y.column("y")
        metric = metrics.Accuracy() + metrics.CrossEntropy()
        test = Prequential(FenchelClassifier(), metric, delay=5)
        for _ in range(20):
            step = test.step(x, y)
        assert step.labels == labels * 20
        assert [type(label) for label in step.labels[:2]] == [type(label) for label in labels]
        assert step.probabilities is not None
        assert set(step.probabilities[0]) == set(labels)
        assert (step.scored, step.correct) == (40, 40)

    @pytest.mark.parametrize(
        ("model", "batches"),
        [
            (preprocessing.StandardScaler() | linear_model.LogisticRegression(), True),
            (compose.Select("age_of_domain") | linear_model.LogisticRegression(), True),
            (compose.Discard("age_of_domain") | linear_model.LogisticRegression(), False),
            (compose.SelectType(float) | linear_model.LogisticRegression(), False),
            (
                (compose.Select("age_of_domain") + compose.SelectType(int))
                | linear_model.LogisticRegression(),
                False,
            ),
            (multiclass.OneVsRestClassifier(linear_model.LogisticRegression()), True),
            (multiclass.OneVsRestClassifier(tree.HoeffdingTreeClassifier()), False),
            (naive_bayes.GaussianNB(), False),
            (FenchelClassifier(), True),
        ],
        ids=str,
    )
    def test_batches_where_every_part_has_them(self, model: Any, batches: bool) -> None:
        assert BatchModel(model).in_batches is batches
        result = evaluate(model, phishing(300), metrics.Accuracy(), batch_size=10, progress=False)
        assert result.metrics["Accuracy"] > 0.5

    def test_without_mini_batch_methods_a_batch_is_predicted_before_it_is_learnt(self) -> None:
        expected = metrics.Accuracy()
        model = CLASSIFIERS["tree"]()
        data = iter(phishing())
        while batch := list(islice(data, 32)):
            for x, y in batch:
                if (label := model.predict_one(x)) is not None:
                    expected.update(y, label)
            for x, y in batch:
                model.learn_one(x, y)
        ours = metrics.Accuracy()
        evaluate(CLASSIFIERS["tree"](), phishing(), ours, batch_size=32, progress=False)
        assert ours.get() == expected.get()

    def test_rows_leave_out_what_is_missing(self) -> None:
        seen: list[dict[str, Any]] = []

        class Rows(river_base.Regressor):
            """Keeps what it is shown."""

            def learn_one(self, x: Any, y: Any) -> None:
                seen.append(x)

            def predict_one(self, x: Any) -> float:
                return 0.0

        evaluate(Rows(), [({"a": 1}, 1.0), ({"b": 2}, 2.0)], metrics.MAE(), progress=False)
        assert seen == [{"a": 1}, {"b": 2}]


class TestState:
    @pytest.mark.parametrize("name", ["fenchel", "tree"])
    @pytest.mark.parametrize("how", ["pickle", "deepcopy", "state"])
    def test_a_stored_evaluation_goes_on_bit_by_bit(self, name: str, how: str) -> None:
        def new() -> Prequential:
            metric = metrics.Accuracy() + metrics.LogLoss() + metrics.ROCAUC()
            return Prequential(CLASSIFIERS[name](), metric, delay=25, window=50)

        data = phishing()
        batches = [
            (pl.DataFrame([x for x, _ in part]), pl.Series([y for _, y in part]))
            for part in (data[i : i + 10] for i in range(0, len(data), 10))
        ]
        test = new()
        for X, y in batches[:8]:
            test.step(X, y)
        if how == "pickle":
            other = pickle.loads(pickle.dumps(test))
        elif how == "deepcopy":
            other = copy.deepcopy(test)
        else:
            tree_, arrays = pack(test)
            other = restore(new(), tree_, {key: a.copy() for key, a in arrays.items()})
        for X, y in batches[8:]:
            assert test.step(X, y) == other.step(X, y)
        assert test.flush() == other.flush()
        assert test.scores.cumulative == other.scores.cumulative
        assert test.scores.windowed == other.scores.windowed
        assert test.learnt == other.learnt == ROWS


class TestEvaluate:
    @staticmethod
    def plainly(size: int) -> float:
        """Return the accuracy on Phishing in batches of `size`, by the model's own methods."""
        model, right = CLASSIFIERS["logistic"](), 0
        data = phishing(1250)
        for start in range(0, len(data), size):
            X = pl.DataFrame([x for x, _ in data[start : start + size]])
            y = pl.Series([y for _, y in data[start : start + size]])
            right += (model.predict_many(X) == y).sum()
            model.learn_many(X, y)
        return right / len(data)

    @pytest.mark.parametrize(
        "source",
        [
            "river:Phishing",
            open_source("river:Phishing"),
            datasets.Phishing(),
            list(datasets.Phishing()),
            (pair for pair in datasets.Phishing()),
            [{**x, "target": y} for x, y in datasets.Phishing()],
            pl.DataFrame([{**x, "target": y} for x, y in datasets.Phishing()]),
            pd.DataFrame([{**x, "target": y} for x, y in datasets.Phishing()]),
        ],
        ids=["url", "source", "dataset", "pairs", "generator", "dicts", "polars", "pandas"],
    )
    def test_any_source_will_do(self, source: Any) -> None:
        model = CLASSIFIERS["logistic"]()
        result = evaluate(model, source, metrics.Accuracy(), batch_size=50, progress=False)
        assert (result.rows, result.rejected) == (1250, 0)
        assert result.metrics["Accuracy"] == self.plainly(50)

    def test_the_curve(self) -> None:
        result = evaluate(
            CLASSIFIERS["logistic"](),
            datasets.Phishing(),
            metrics.Accuracy() + metrics.LogLoss(),
            batch_size=30,
            window=200,
            progress=False,
        )
        curve = result.curve
        assert curve.columns == ["row", "Accuracy", "LogLoss", "all Accuracy", "all LogLoss"]
        assert curve["row"].to_list() == [210, 420, 630, 840, 1050, 1250]
        last = curve.row(-1, named=True)
        assert {name: last[f"all {name}"] for name in result.metrics} == result.metrics
        whole = evaluate(
            CLASSIFIERS["logistic"](),
            datasets.Phishing(),
            metrics.Accuracy(),
            batch_size=30,
            window=1250,
            progress=False,
        )
        assert whole.curve["Accuracy"].to_list() == [result.metrics["Accuracy"]]

    @pytest.mark.parametrize("limit", [1, 99, 100, 101, 5000])
    def test_it_stops_at_the_limit(self, limit: int) -> None:
        model = Recorder()
        stream = pl.DataFrame({"number": range(300), "target": range(300)})
        stop = min(limit, 300)
        result = evaluate(model, stream, metrics.Accuracy(), limit=limit, progress=False)
        assert result.rows == stop
        assert model.learnt == list(range(stop))

    def test_rows_without_a_target_are_counted(self) -> None:
        stream = pl.DataFrame({"x": [1.0] * 5, "target": [1.0, None, nan, 2.0, 3.0]})
        result = evaluate(Zero(), stream, metrics.MAE(), batch_size=2, progress=False)
        assert (result.rows, result.rejected, result.metrics["MAE"]) == (3, 2, 2.0)
        several = stream.with_columns(other=pl.Series([None, 1.0, 1.0, 1.0, 1.0]))
        result = evaluate(
            FenchelMultiTargetRegressor(),
            several,
            metrics.multioutput.MicroAverage(metrics.MAE()),
            target=["target", "other"],
            progress=False,
        )
        assert (result.rows, result.rejected) == (2, 3)

    def test_records_that_are_none_are_counted(self) -> None:
        stream: list[Any] = [({"x": 1.0}, 1.0), "nonsense", ({"x": 1.0}, 2.0)]
        result = evaluate(Zero(), stream, metrics.MAE(), batch_size=1, progress=False)
        assert (result.rows, result.rejected) == (2, 1)
        assert str(result).startswith("MAE 1.5 over 2 rows, 1 rejected, ")

    def test_the_progress_bar_tells_speed_and_metric(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        result = evaluate(CLASSIFIERS["logistic"](), phishing(), metrics.Accuracy())
        shown = capsys.readouterr().err
        assert f"{ROWS}/{ROWS}" in shown
        assert "rows/s" in shown
        assert f"Accuracy {result.metrics['Accuracy']:.4g}" in shown
        evaluate(CLASSIFIERS["logistic"](), phishing(), metrics.Accuracy(), progress=False)
        assert capsys.readouterr() == ("", "")

    def test_an_empty_stream(self, tmp_path: Path) -> None:
        result = evaluate(Zero(), [], metrics.MAE(), progress=False)
        assert (result.rows, len(result.curve)) == (0, 0)
        result.save_plot(tmp_path / "nothing.png")

    def test_errors_say_what_is_wrong(self) -> None:
        model = CLASSIFIERS["logistic"]()
        with pytest.raises(ConfigError, match="MAE does not work with"):
            evaluate(model, phishing(), metrics.MAE())
        with pytest.raises(DataError, match=r"no column 'late' to predict; its columns are: .*tar"):
            evaluate(model, pl.DataFrame({"x": [1], "tar": [1]}), metrics.Accuracy(), target="late")
        with pytest.raises(ConfigError, match="gives no probabilities"):
            evaluate(Yes(), phishing(), metrics.LogLoss(), progress=False)
        with pytest.raises(ConfigError, match="batch_size is 0"):
            evaluate(model, phishing(), metrics.Accuracy(), batch_size=0)
        with pytest.raises(ConfigError, match="limit 0"):
            evaluate(model, phishing(), metrics.Accuracy(), limit=0)
        for delay, window in ((-1, 1), (0, 0)):
            with pytest.raises(ConfigError, match="delay must be at least 0, and window"):
                Prequential(model, metrics.Accuracy(), delay=delay, window=window)
        with pytest.raises(DataError, match="2 rows of features, but 3 of targets"):
            Prequential(model, metrics.Accuracy()).step(
                pl.DataFrame({"x": [1.0, 2.0]}), pl.Series([True] * 3)
            )
        with pytest.raises(ConfigError, match="'no such source': it has no scheme"):
            evaluate(model, "no such source", metrics.Accuracy())


def test_a_curve_of_one_class_is_none() -> None:
    model = CLASSIFIERS["logistic"]()
    test = Prequential(model, metrics.Accuracy() + metrics.ROCAUC(), window=4)
    X = pl.DataFrame({"x": [1.0, -1.0, 2.0, 3.0]})
    test.step(X, pl.Series([True] * 4))
    assert str(test.scores) == "Accuracy 0, ROCAUC undefined"
    test.step(X, pl.Series([True, False, True, True]))
    assert test.scores.cumulative["ROCAUC"] == test.scores.metrics[1].get() > 0
    test.step(X, pl.Series([False] * 4))
    assert isnan(test.scores.windowed["ROCAUC"])
    assert not isnan(test.scores.cumulative["ROCAUC"])


@pytest.fixture(scope="module")
def result() -> Evaluation:
    metric = metrics.Accuracy() + metrics.LogLoss()
    model = CLASSIFIERS["logistic"]()
    return evaluate(model, datasets.Phishing(), metric, window=100, progress=False)


class TestPlot:
    @pytest.fixture(autouse=True)
    def _closed(self) -> Iterator[None]:
        yield
        matplotlib.pyplot.close("all")

    def test_it_shows_the_curve(self, result: Evaluation) -> None:
        axes = result.plot()
        assert [one.get_ylabel() for one in axes] == ["Accuracy", "LogLoss"]
        assert axes[-1].get_xlabel() == "rows learnt"
        windowed, every = axes[0].lines
        assert windowed.get_xdata().tolist() == result.curve["row"].to_list()
        assert windowed.get_ydata().tolist() == result.curve["Accuracy"].to_list()
        assert every.get_ydata().tolist() == result.curve["all Accuracy"].to_list()
        legend = axes[0].get_legend()
        assert [text.get_text() for text in legend.texts] == ["last 100 rows", "all rows so far"]

    def test_it_draws_where_it_is_told(self, result: Evaluation) -> None:
        axes = matplotlib.figure.Figure().subplots(2)
        assert result.plot(axes) == list(axes)
        with pytest.raises(ConfigError, match="2 metrics need the same number of axes, not 1"):
            result.plot(axes[0])

    def test_it_is_saved(self, result: Evaluation, tmp_path: Path) -> None:
        result.save_plot(tmp_path / "new" / "curve.png")
        assert (tmp_path / "new" / "curve.png").read_bytes().startswith(b"\x89PNG")
        assert matplotlib.pyplot.get_fignums() == []
        with pytest.raises(ConfigError, match=r"curve\.abc"):
            result.save_plot(tmp_path / "curve.abc")
        (tmp_path / "file").touch()
        with pytest.raises(ConfigError, match=r"file/curve\.png"):
            result.save_plot(tmp_path / "file" / "curve.png")

    def test_without_matplotlib_it_says_what_to_install(
        self, result: Evaluation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        with pytest.raises(ConfigError, match=r"pip install fenchel-stream\[plots\]"):
            result.plot()


def test_a_compiled_part_that_gives_up_refuses_a_row() -> None:
    """The quantile of what is no number is a panic in Rust, which is no `Exception` in Python."""
    X, y = pl.DataFrame({"x": [1.0, 2.0]}), pl.Series([nan, 2.0])
    tests = [
        Prequential(
            StatisticRegressor(stats.RollingQuantile(0.5, window_size=3)),
            metrics.MAE(),
            tolerant=tolerant,
        )
        for tolerant in (True, False)
    ]
    (refusal,) = tests[0].step(X, y).refusals
    assert refusal.detail.startswith("a compiled part has given up: Value is NaN")
    with pytest.raises(DataError, match="a compiled part has given up"):
        tests[1].step(X, y)
