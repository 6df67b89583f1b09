"""Test-then-train in mini-batches: predict a batch, score it, learn it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log
from operator import eq
from typing import Any

import polars as pl
from river import base, metrics
from tqdm import tqdm

from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.evaluation.batch_model import BatchModel, Predictions, to_list
from fenchel_stream.evaluation.curve import Curve
from fenchel_stream.evaluation.delayed_rows import Waiting
from fenchel_stream.evaluation.result import Evaluation
from fenchel_stream.evaluation.scores import Scores, name_of
from fenchel_stream.streams import Source, as_source

NOTHING = Predictions([])


@dataclass(frozen=True)
class Step:
    """What one batch brought.

    Attributes
    ----------
    labels
        The predictions for the rows of this batch: a class, a number, or for several targets a
        dict; None where the model had nothing to say yet.
    probabilities
        For each row of this batch a dict from class to probability, empty where the model had
        nothing to say yet; None if probabilities were not asked for.
    scored
        How many predictions, of this batch or before, were scored because their label arrived.
    correct
        How many of those were the right class.
    loss
        Summed over those, the cross-entropy of a classifier or the absolute error of a regressor;
        None for a classifier that was not asked for probabilities.
    """

    labels: list[Any]
    probabilities: list[dict[Any, float]] | None
    scored: int
    correct: int
    loss: float | None


class Prequential:
    """Test a model on each batch before it learns it, with labels that may come late.

    Rows for which the model has nothing to say (None, or no probabilities, before anything was
    learnt) are learnt but not scored, as in River's ``progressive_val_score``: with batches of one
    row, both give the same figures. A model without mini-batch methods gets the same batches row
    by row: all rows are predicted, then all are learnt.

    Everything that the evaluation knows between two batches is in its attributes, in plain
    structures, so that it can be stored with the model.

    Parameters
    ----------
    model
        A River classifier or regressor, for one or several targets, or a pipeline.
    metric
        A River metric, several joined by ``+``, or a list of metrics. They are updated in place.
    delay
        The label of a row arrives after so many further rows: it is scored with the prediction
        made before, and learnt. River counts differently: its ``delay=d + 1`` is ``delay=d`` here.
    window
        Number of rows that windowed metrics look back on.
    probabilities
        Ask a classifier for probabilities even if no metric needs them.

    Raises
    ------
    ConfigError
        A metric does not work with the model, or a number is out of range.

    Examples
    --------
    >>> import polars as pl
    >>> from river import linear_model, metrics
    >>> from fenchel_stream.evaluation.prequential import Prequential
    >>> test = Prequential(linear_model.LogisticRegression(), metrics.Accuracy())
    >>> X, y = pl.DataFrame({"x": [1.0, -1.0]}), pl.Series([True, False])
    >>> test.step(X, y).labels, test.step(X, y).labels
    ([False, False], [True, False])
    >>> test.scores.cumulative
    {'Accuracy': 0.75}
    """

    def __init__(
        self,
        model: base.Estimator,
        metric: metrics.base.Metric | Iterable[metrics.base.Metric],
        *,
        delay: int = 0,
        window: int = 1000,
        probabilities: bool = False,
    ) -> None:
        if delay < 0 or window < 1:
            raise ConfigError(f"delay is {delay} and window {window}; at least 0 and 1 are needed")
        self.scores = Scores(metric, window)
        for one in self.scores.metrics:
            if not one.works_with(model):
                raise ConfigError(f"metric {name_of(one)} does not work with {_kind(model)}")
        probabilities = probabilities or self.scores.need_probabilities
        self.model = BatchModel(model, probabilities=probabilities)
        self.delay = delay
        self.learnt = 0
        self.like: Any = ""  # a label, for its type
        self.waiting = Waiting()

    def step(self, X: Any, y: Any) -> Step:
        """Predict the rows of `X`, then score and learn the rows whose label has arrived.

        Parameters
        ----------
        X
            Features (m x p), any eager narwhals frame.
        y
            Their targets, a series of length m, or for several targets a frame.

        Raises
        ------
        DataError
            `X` and `y` differ in length, or the model cannot use what they hold.
        """
        if len(X) != len(y):
            raise DataError(f"{len(X)} rows of features, but {len(y)} of targets")
        said = NOTHING
        if len(X):
            self.like = to_list(y[:1])[0]
            said = self.predict(X)
            self.waiting.put(X, y, said)
        return self.settle(self.waiting.take(len(self.waiting) - self.delay), said)

    def flush(self) -> Step:
        """Score and learn the rows that still wait for their labels."""
        return self.settle(self.waiting.take(len(self.waiting)))

    def predict(self, X: Any) -> Predictions:
        """Return what the model says about the rows of `X`, which it will learn by `settle`."""
        return self.model.predict(X, self.like)

    def settle(
        self, rows: Iterable[tuple[Any, Any, Predictions]], said: Predictions = NOTHING
    ) -> Step:
        """Score and learn rows whose labels have arrived.

        Parameters
        ----------
        rows
            In batches: features, targets, and what was predicted.
        said
            What was predicted last, for the `Step`.
        """
        scored = correct = 0
        known = self.model.probabilities or not self.model.classifies
        loss = 0.0 if known else None
        for X, y, before in rows:
            truth, found = to_list(y), before
            self.like = truth[0]
            there = [i for i, label in enumerate(found.labels) if label not in (None, {})]
            if len(there) < len(truth):
                truth, found = [truth[i] for i in there], found.of_rows(there)
            self.scores.update(truth, found)
            scored += len(truth)
            if self.model.classifies:
                correct += sum(map(eq, truth, found.labels))
            if loss is not None:
                loss += _loss(truth, found)
            self.model.learn(X, y)
            self.learnt += len(before)
        return Step(said.labels, said.probabilities, scored, correct, loss)


def evaluate(
    model: base.Estimator,
    source: Source | str | Iterable[Any],
    metric: metrics.base.Metric | Iterable[metrics.base.Metric],
    *,
    target: str | Sequence[str] = "target",
    batch_size: int = 100,
    delay: int = 0,
    window: int = 1000,
    limit: int | None = None,
    progress: bool = True,
) -> Evaluation:
    """Test `model` on each batch of a stream before it learns it.

    Parameters
    ----------
    model
        A River classifier or regressor, for one or several targets, or a pipeline. It is trained
        in place.
    source
        A `Source`, its URL, or a Python iterable: of pairs ``(x, y)`` as River's data sets yield
        them, of dicts, or of frames, or one frame.
    metric
        A River metric, several joined by ``+``, or a list of metrics. They are updated in place.
    target
        The column to predict; several for a multi-target model. Rows that lack it are counted as
        rejected.
    batch_size
        Rows that are predicted, then learnt together.
    delay
        The label of a row arrives after so many further rows; see `Prequential`.
    window
        Number of rows that windowed metrics look back on, and from one point of the curve to the
        next.
    limit
        Stop after so many rows.
    progress
        Show a progress bar with rows per second and the metrics so far.

    Raises
    ------
    ConfigError
        A metric does not work with the model, a number is out of range, or the source cannot be
        found.
    DataError
        The stream has no target column, or holds what the model cannot use.

    Examples
    --------
    >>> from river import datasets, linear_model, metrics, preprocessing
    >>> from fenchel_stream.evaluation.prequential import evaluate
    >>> model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    >>> result = evaluate(model, datasets.Phishing(), metrics.Accuracy(), progress=False)
    >>> result.rows, round(result.metrics["Accuracy"], 3)
    (1250, 0.857)
    """
    if batch_size < 1 or (limit is not None and limit < 1):
        raise ConfigError(f"batch_size is {batch_size} and limit {limit}; at least 1 is needed")
    names = [target] if isinstance(target, str) else list(target)
    stream = as_source(source, target=names[0])
    test = Prequential(model, metric, delay=delay, window=window)
    curve = Curve(window)
    read = rejected = 0
    total = min(filter(None, (stream.total, limit)), default=None)
    start = time.perf_counter()
    with tqdm(total=total, unit=" rows", unit_scale=True, disable=not progress) as bar:
        for batch in stream.batches(batch_size):
            rejected += len(batch.rejects)
            if batch.rows.is_empty():
                continue
            rows = _with_targets(batch.rows, names)
            rejected += len(batch.rows) - len(rows)
            rows = rows[: None if limit is None else limit - read]
            y = rows[target] if isinstance(target, str) else rows.select(names)
            test.step(rows.drop(names), y)
            read += len(rows)
            curve.follow(test.learnt, test.scores)
            bar.set_postfix_str(str(test.scores), refresh=False)
            bar.update(len(rows))
            if read == limit:
                break
        test.flush()
    return Evaluation(
        metrics=test.scores.cumulative,
        curve=curve.to_frame(test.learnt, test.scores),
        window=window,
        rows=read,
        rejected=rejected,
        seconds=time.perf_counter() - start,
    )


def _with_targets(rows: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """Return the rows that have all their targets."""
    for name in names:
        if name not in rows.columns:
            raise DataError(
                f"the stream has no column {name!r} to predict; its columns are: "
                f"{', '.join(rows.columns)}"
            )
        y = rows[name].fill_nan(None) if rows[name].dtype.is_float() else rows[name]
        if y.null_count():
            rows = rows.filter(y.is_not_null())
    return rows


def _kind(model: base.Estimator) -> str:
    learner = BatchModel(model, probabilities=False).last
    if isinstance(learner, base.Classifier):
        return f"the classifier {learner}, which needs one such as Accuracy"
    if isinstance(learner, base.Regressor):
        return f"the regressor {learner}, which needs one such as MAE"
    return str(model)


def _loss(truth: list[Any], said: Predictions) -> float:
    if said.probabilities is None:
        return float(sum(map(_absolute_error, truth, said.labels)))
    # River's metrics take no probability for smaller either.
    pairs = zip(truth, said.probabilities, strict=True)
    return -sum(log(max(found.get(label, 0.0), 1e-15)) for label, found in pairs)


def _absolute_error(truth: Any, found: Any) -> Any:
    if isinstance(truth, dict):
        return sum(abs(truth[name] - value) for name, value in found.items())
    return abs(truth - found)
