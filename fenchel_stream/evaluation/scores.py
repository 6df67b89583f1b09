"""`Scores`: River metrics over a whole stream and over its last rows; metrics as text."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from math import isnan, nan
from numbers import Real
from typing import Any

from river import metrics
from river.metrics.base import BinaryMetric

from fenchel_stream.errors import panics_as_errors
from fenchel_stream.evaluation.batch_model import Predictions

log = logging.getLogger(__name__)

TRUE_AND_FALSE = {True, False}
"""The labels of a metric that compares one class with all others; 1 and 0 equal them."""


class Scores:
    """Metrics over all scored rows, and over the last `window` scored rows.

    A metric that cannot take a label or a prediction is undefined (NaN) from there on, and the log
    says so once. An example is RMSLE, which has no logarithm of a negative prediction. Over the
    last rows such a metric is defined again when the row has left the window. The same holds for a
    metric of one class against all others, such as F1, and labels other than True and False or 1
    and 0: it would count all of them as False.

    Parameters
    ----------
    metric
        A River metric, several joined by ``+``, or a list of metrics. They are updated in place.
    window
        Number of last rows.

    Examples
    --------
    >>> from river import metrics
    >>> from fenchel_stream.evaluation.batch_model import Predictions
    >>> from fenchel_stream.evaluation.scores import Scores
    >>> scores = Scores(metrics.MAE() + metrics.RMSE(), window=2)
    >>> scores.update([1.0, 2.0, 3.0], Predictions([1.0, 2.0, 6.0]))
    >>> scores.cumulative["MAE"], scores.windowed["MAE"]
    (1.0, 1.5)
    """

    def __init__(
        self, metric: metrics.base.Metric | Iterable[metrics.base.Metric], window: int
    ) -> None:
        self.metrics: list[Any] = list(metric) if isinstance(metric, Iterable) else [metric]
        self.window = window
        self.undefined: list[int] = []  # numbers of the metrics that are undefined for good
        self.truth: list[Any] = []
        self.labels: list[Any] = []
        self.probabilities: list[dict[Any, float]] = []

    @property
    def names(self) -> list[str]:
        """Names of the metrics; a number is appended to a name that repeats."""
        plain = [name_of(metric) for metric in self.metrics]
        repeats = [plain[:i].count(name) for i, name in enumerate(plain)]
        return [f"{name} {n + 1}" if n else name for name, n in zip(plain, repeats, strict=True)]

    @property
    def need_probabilities(self) -> bool:
        """Whether one of the metrics takes probabilities instead of labels."""
        return not all(map(_takes_labels, self.metrics))

    def __str__(self) -> str:
        return spell(self.cumulative)

    def update(self, truth: list[Any], predictions: Predictions) -> None:
        """Score predictions, none of which is None, against the true labels."""
        faults = _update(
            self.metrics,
            self.undefined,
            truth,
            predictions.labels,
            predictions.probabilities or [],
        )
        for number, fault in faults.items():
            self.undefined.append(number)
            log.warning("metric %s is undefined from here on: %s", self.names[number], fault)
        for past, new in (
            (self.truth, truth),
            (self.labels, predictions.labels),
            (self.probabilities, predictions.probabilities or []),
        ):
            past.extend(new)
            del past[: -self.window]

    @property
    def cumulative(self) -> dict[str, float]:
        """Each metric over all rows."""
        return self._values(self.metrics, self.undefined)

    @property
    def windowed(self) -> dict[str, float]:
        """Each metric over the last `window` rows, exactly.

        Each access computes the metrics again from all rows of the window. Metrics that remove old
        rows instead (River's ``utils.Rolling``) accumulate rounding errors, until an RMSE becomes a
        complex number.
        """
        fresh = [metric.clone() for metric in self.metrics]
        faults = _update(fresh, [], self.truth, self.labels, self.probabilities)
        return self._values(fresh, faults)

    def _values(self, updated: list[Any], undefined: Iterable[int]) -> dict[str, float]:
        # Before the first row River gives 0, the worst accuracy but the best error.
        without = set(undefined if self.truth else range(len(updated)))
        values = [nan if n in without else _value(metric) for n, metric in enumerate(updated)]
        return dict(zip(self.names, values, strict=True))


def spell(values: Mapping[str, float]) -> str:
    """Return metrics and their values as one line; a metric that is NaN has no value yet.

    Examples
    --------
    >>> from fenchel_stream.evaluation.scores import spell
    >>> spell({"Accuracy": 0.98765, "ROCAUC": float("nan")})
    'Accuracy 0.9877, ROCAUC undefined'
    """
    return ", ".join(
        f"{name} undefined" if isnan(value) else f"{name} {value:.4g}"
        for name, value in values.items()
    )


def name_of(metric: Any) -> str:
    """Return the class name of a metric, with that of the metric that it wraps.

    Examples
    --------
    >>> from river import metrics
    >>> from fenchel_stream.evaluation.scores import name_of
    >>> name_of(metrics.MAE()), name_of(metrics.multioutput.MicroAverage(metrics.MAE()))
    ('MAE', 'MicroAverage(MAE)')
    """
    name = type(metric).__name__
    if isinstance(metric, metrics.base.WrapperMetric):
        return f"{name}({name_of(metric.metric)})"
    return name


def _value(metric: Any) -> float:
    if isinstance(metric, metrics.ROCAUC):
        # The curve needs rows of both classes. Without them River gives 0, the worst value.
        counts = metric.cms[0].sum_row
        if len([label for label, count in counts.items() if count]) < 2:
            return nan
    try:
        with panics_as_errors():
            value = metric.get()
    except Exception:  # noqa: BLE001 - a metric may divide by what is still 0
        return nan
    return float(value) if isinstance(value, Real) else nan


def _update(
    updated: list[Any],
    without: list[int],
    truth: list[Any],
    labels: list[Any],
    probabilities: list[dict[Any, float]],
) -> dict[int, str]:
    """Update metrics, except those with the numbers `without`; return the faults by number."""
    faults: dict[int, str] = {}
    for number, metric in enumerate(updated):
        if number in without:
            continue
        if is_binary(metric) and (others := others_than_true_and_false(truth)):
            faults[number] = f"label {others[0]!r} is neither True nor False"
            continue
        predictions = labels if _takes_labels(metric) else probabilities
        update = metric.update
        label = prediction = None
        try:
            with panics_as_errors():
                for label, prediction in zip(truth, predictions, strict=True):
                    update(label, prediction)
        except Exception as error:  # noqa: BLE001 - a metric may refuse a value in any way
            faults[number] = (
                f"label {label!r}, prediction {prediction!r}: {type(error).__name__}: {error}"
            )
    return faults


def is_binary(metric: Any) -> bool:
    """Return whether a metric compares the class True with all others."""
    return isinstance(getattr(metric, "metric", metric), BinaryMetric)


def others_than_true_and_false(labels: Iterable[Any]) -> list[Any]:
    """Return the distinct labels that do not equal True or False, which 1 and 0 do.

    Examples
    --------
    >>> from fenchel_stream.evaluation.scores import others_than_true_and_false
    >>> others_than_true_and_false([1, 0, -1, True, 1.0, "1", -1])
    [-1, '1']
    """
    return [label for label in dict.fromkeys(labels) if label not in TRUE_AND_FALSE]


def _takes_labels(metric: Any) -> bool:
    return bool(getattr(metric, "requires_labels", True))
