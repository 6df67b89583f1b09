"""`Prequential`: test-then-train in mini-batches. Each batch is predicted, scored, then learnt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import log
from operator import eq
from typing import Any

from river import base, metrics

from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.evaluation.batch_model import BatchModel, Predictions, rows_of, to_list
from fenchel_stream.evaluation.delayed_rows import DelayedRows, Rows
from fenchel_stream.evaluation.refusals import FATAL, Refusal, RefusedRowsError, refused_rows
from fenchel_stream.evaluation.scores import Scores, name_of

NONE = Predictions([])


@dataclass(frozen=True)
class Step:
    """The result of one batch.

    Attributes
    ----------
    labels
        The predictions for the rows of this batch: a class, a number, or for several targets a
        dict; None where the model had no prediction yet.
    probabilities
        For each row of this batch a dict from class to probability, empty where the model had no
        prediction yet; None if probabilities were not requested.
    scored
        Number of predictions, of this batch or earlier ones, whose label arrived with this batch.
    correct
        Number of these scored predictions that were the right class.
    loss
        Sum over the scored predictions: of the cross-entropy for a classifier, of the absolute
        error for a regressor. None for a classifier without probabilities.
    refusals
        The rows, of this batch or earlier ones, whose label arrived with this batch and which the
        model refused to learn.
    """

    labels: list[Any]
    probabilities: list[dict[Any, float]] | None
    scored: int
    correct: int
    loss: float | None
    refusals: list[Refusal] = field(default_factory=list)


class Prequential:
    """Test a model on each batch and then learn the batch, with labels that may come late.

    Rows without a prediction (None, or no probabilities, before the model has learnt anything) are
    learnt but not scored, as in River's ``progressive_val_score``. With batches of one row, both
    give the same figures. For a model without mini-batch methods, all rows of a batch are predicted
    one by one, then all are learnt one by one.

    The attributes hold the whole state between two batches in plain structures, so that it can be
    stored with the model.

    Parameters
    ----------
    model
        A River classifier or regressor, for one or several targets, or a pipeline.
    metric
        A River metric, several joined by ``+``, or a list of metrics. They are updated in place.
    delay
        Number of further rows after which the label of a row arrives. The row is then scored with
        its earlier prediction, and learnt. River's ``delay=d + 1`` is ``delay=d`` here.
    window
        Number of last rows for windowed metrics.
    probabilities
        Whether a classifier predicts probabilities even if no metric needs them.
    tolerant
        Whether to go on after an exception of the model. A batch with rows that it refuses to
        predict raises `RefusedRowsError` and changes nothing; rows that it refuses to learn are
        in `Step.refusals`. Otherwise the exception is raised as it is.

    Raises
    ------
    ConfigError
        A metric does not work with the model, or a number is out of range.

    Examples
    --------
    >>> import polars as pl
    >>> from river import linear_model, metrics
    >>> from fenchel_stream.evaluation import Prequential
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
        tolerant: bool = False,
    ) -> None:
        if delay < 0 or window < 1:
            raise ConfigError(
                f"delay must be at least 0, and window at least 1; got {delay} and {window}"
            )
        self.scores = Scores(metric, window)
        for scorer in self.scores.metrics:
            if not scorer.works_with(model):
                raise ConfigError(f"metric {name_of(scorer)} does not work with {_kind(model)}")
        probabilities = probabilities or self.scores.need_probabilities
        self.model = BatchModel(model, probabilities=probabilities)
        self.delay = delay
        self.tolerant = tolerant
        self.learnt = 0
        self.like: Any = ""  # The last label: its type is that of the classes.
        self.delayed = DelayedRows()

    def step(self, X: Any, y: Any, where: Sequence[str] = ()) -> Step:
        """Predict the rows of `X`, then score and learn the rows whose label has arrived by now.

        Parameters
        ----------
        X
            Features (m x p), any eager narwhals frame.
        y
            Their targets, a series of length m, or for several targets a frame.
        where
            Their places in the stream, for `Step.refusals`.

        Raises
        ------
        DataError
            `X` and `y` differ in length, or the model cannot use their values.
        RefusedRowsError
            The test is tolerant, and the model refuses to predict some of the rows.
        """
        if len(X) != len(y):
            raise DataError(f"{len(X)} rows of features, but {len(y)} of targets")
        predictions = NONE
        if len(X):
            self.like = to_list(y[:1])[0]
            predictions = self.predict(X)
            self.delayed.put(X, y, predictions, where)
        return self.settle(self.delayed.take(len(self.delayed) - self.delay), predictions)

    def flush(self) -> Step:
        """Score and learn the rows that `delay` has held back."""
        return self.settle(self.delayed.take(len(self.delayed)))

    def predict(self, X: Any) -> Predictions:
        """Return predictions for the rows of `X`; `settle` learns the rows later.

        Raises
        ------
        RefusedRowsError
            The test is tolerant, and the model refuses some of the rows.
        """
        try:
            return self.model.predict(X, self.like)
        except FATAL:
            raise
        except Exception:
            if not self.tolerant:
                raise
            refused = refused_rows(
                lambda number: self.model.predict(rows_of(X, number, number + 1), self.like), len(X)
            )
            if not refused:
                raise  # it refuses the batch but none of its rows, so that no row is to blame
            raise RefusedRowsError(refused) from None

    def settle(self, rows: Iterable[Rows], latest: Predictions = NONE) -> Step:
        """Score and learn rows whose labels have arrived.

        Parameters
        ----------
        rows
            Batches of rows, each with its features, targets, predictions, and places.
        latest
            The predictions for the current batch, which the result repeats.
        """
        scored = correct = 0
        has_loss = self.model.probabilities or not self.model.classifies
        loss = 0.0 if has_loss else None
        refusals: list[Refusal] = []
        for X, y, predictions, where in rows:
            truth, known = to_list(y), predictions
            self.like = truth[0]
            numbers = [i for i, label in enumerate(known.labels) if label not in (None, {})]
            if len(numbers) < len(truth):
                truth, known = [truth[i] for i in numbers], predictions.of_rows(numbers)
            self.scores.update(truth, known)
            scored += len(truth)
            if self.model.classifies:
                correct += sum(map(eq, truth, known.labels))
            if loss is not None:
                loss += _loss(truth, known)
            refused = self._learn(X, y, where)
            refusals += refused
            self.learnt += len(predictions) - len(refused)
        return Step(latest.labels, latest.probabilities, scored, correct, loss, refusals)

    def _learn(self, X: Any, y: Any, where: Sequence[str]) -> list[Refusal]:
        if not self.tolerant:
            self.model.learn(X, y)
            return []
        refusals = []
        for number, detail in self.model.learn_willing(X, y).items():
            (row,) = to_list(rows_of(X, number, number + 1))
            (target,) = to_list(rows_of(y, number, number + 1))
            targets = target if isinstance(target, dict) else {y.name: target}
            refusals.append(Refusal(where[number] if where else "", {**row, **targets}, detail))
        return refusals


def _kind(model: base.Estimator) -> str:
    learner = BatchModel(model, probabilities=False).last
    if isinstance(learner, base.Classifier):
        return f"the classifier {learner}, which needs a metric such as Accuracy"
    if isinstance(learner, base.Regressor):
        return f"the regressor {learner}, which needs a metric such as MAE"
    return str(model)


def _loss(truth: list[Any], predictions: Predictions) -> float:
    if predictions.probabilities is None:
        return float(sum(map(_absolute_error, truth, predictions.labels)))
    # The lower bound of a probability is that of River's metrics.
    pairs = zip(truth, predictions.probabilities, strict=True)
    return -sum(log(max(of_class.get(label, 0.0), 1e-15)) for label, of_class in pairs)


def _absolute_error(truth: Any, prediction: Any) -> Any:
    if isinstance(truth, dict):
        return sum(abs(truth[name] - value) for name, value in prediction.items())
    return abs(truth - prediction)
