"""River metrics over a whole stream and over its last rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isnan, nan
from typing import Any

from river import metrics

from fenchel_stream.evaluation.batch_model import Predictions


class Scores:
    """Metrics over all rows scored, and over the last `window` of them.

    Parameters
    ----------
    metric
        A River metric, several joined by ``+``, or a list of metrics. They are updated in place.
    window
        Rows to look back on.

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
        self.truth: list[Any] = []
        self.labels: list[Any] = []
        self.probabilities: list[dict[Any, float]] = []

    @property
    def names(self) -> list[str]:
        """Names of the metrics, numbered where one occurs again."""
        plain = [name_of(metric) for metric in self.metrics]
        again = [plain[:i].count(name) for i, name in enumerate(plain)]
        return [f"{name} {n + 1}" if n else name for name, n in zip(plain, again, strict=True)]

    @property
    def need_probabilities(self) -> bool:
        """Whether one of the metrics is about probabilities rather than labels."""
        return not all(map(_takes_labels, self.metrics))

    def __str__(self) -> str:
        return spell(self.cumulative)

    def update(self, truth: list[Any], said: Predictions) -> None:
        """Score predictions, none of them None, with the true labels."""
        _update(self.metrics, truth, said.labels, said.probabilities or [])
        for past, new in (
            (self.truth, truth),
            (self.labels, said.labels),
            (self.probabilities, said.probabilities or []),
        ):
            past.extend(new)
            del past[: -self.window]

    @property
    def cumulative(self) -> dict[str, float]:
        """Each metric over all rows."""
        return self._values(self.metrics)

    @property
    def windowed(self) -> dict[str, float]:
        """Each metric over the last `window` rows, exactly.

        It is computed afresh, row by row, whenever it is read: metrics that take rows back
        instead (``utils.Rolling``) gather rounding errors until an RMSE becomes a complex number.
        """
        fresh = [metric.clone() for metric in self.metrics]
        _update(fresh, self.truth, self.labels, self.probabilities)
        return self._values(fresh)

    def _values(self, found: list[Any]) -> dict[str, float]:
        # River says 0 before the first row, as if all were wrong, or all right.
        known = [_value(metric) if self.truth else nan for metric in found]
        return dict(zip(self.names, known, strict=True))


def spell(values: Mapping[str, float]) -> str:
    """Return metrics and their values as a line; NaN is one that has no value yet.

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
    """Return the class name of a metric, and of the one that it wraps.

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
        # No curve before both classes were seen; River says 0, which is the worst there is.
        seen = metric.cms[0].sum_row
        if len([label for label, count in seen.items() if count]) < 2:
            return nan
    value: float = metric.get()
    return value


def _update(
    found: list[Any],
    truth: list[Any],
    labels: list[Any],
    probabilities: list[dict[Any, float]],
) -> None:
    for metric in found:
        said = labels if _takes_labels(metric) else probabilities
        update = metric.update
        for one_true, one_said in zip(truth, said, strict=True):
            update(one_true, one_said)


def _takes_labels(metric: Any) -> bool:
    return bool(getattr(metric, "requires_labels", True))
