"""`evaluate`: test a model on each batch of a stream, and then let the model learn the batch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl
from river import base, metrics
from tqdm import tqdm

from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.evaluation.curve import Curve
from fenchel_stream.evaluation.prequential import Prequential
from fenchel_stream.evaluation.result import Evaluation
from fenchel_stream.streams import Source, as_source
from fenchel_stream.values import HUGE, is_missing, to_target


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
    """Test `model` on each batch of a stream, and then let it learn the batch.

    Parameters
    ----------
    model
        A River classifier or regressor, for one or several targets, or a pipeline. It learns in
        place.
    source
        A `Source`, its URL, one frame, or a Python iterable of frames, of dicts, or of pairs
        ``(x, y)`` as River's data sets yield them.
    metric
        A River metric, several joined by ``+``, or a list of metrics. They are updated in place.
    target
        The column to predict; several for a multi-target model. Rows without a target
        count as rejected, and for a regressor rows whose target is no number below 1e100.
    batch_size
        Number of rows that are first predicted and then learnt together.
    delay
        Number of further rows after which the label of a row arrives; see `Prequential`.
    window
        Number of last rows for windowed metrics, and of rows from one point of the curve to the
        next.
    limit
        Number of rows after which to stop; None for no limit.
    progress
        Whether to show a progress bar with rows per second and the metrics so far.

    Raises
    ------
    ConfigError
        A metric does not work with the model, a number is out of range, or the source cannot be
        found.
    DataError
        The stream has no target column, or holds values that the model cannot use.

    Examples
    --------
    >>> from river import datasets, linear_model, metrics, preprocessing
    >>> from fenchel_stream import evaluate
    >>> model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    >>> result = evaluate(model, datasets.Phishing(), metrics.Accuracy(), progress=False)
    >>> result.rows, round(result.metrics["Accuracy"], 3)
    (1250, 0.857)
    """
    if batch_size < 1 or (limit is not None and limit < 1):
        raise ConfigError(f"batch_size is {batch_size} and limit {limit}; both must be at least 1")
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
            rows = _with_targets(batch.rows, names, numbers=not test.model.classifies)
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


def _with_targets(rows: pl.DataFrame, names: list[str], *, numbers: bool) -> pl.DataFrame:
    """Return the rows that have all their targets; `numbers` are needed by a regressor."""
    for name in names:
        if name not in rows.columns:
            raise DataError(
                f"the stream has no column {name!r} to predict; its columns are: "
                f"{', '.join(rows.columns)}"
            )
        y = _numbers(rows[name]) if numbers else _present(rows[name])
        if y is not rows[name]:
            rows = rows.with_columns(y)
        if y.null_count():
            rows = rows.filter(y.is_not_null())
    return rows


def _present(labels: pl.Series) -> pl.Series:
    """Return labels with null for each that is missing."""
    if labels.dtype.is_float():
        return labels.fill_nan(None)
    if labels.dtype != pl.Object:
        return labels
    values = [None if is_missing(label) else label for label in labels.to_list()]
    return pl.Series(labels.name, values, pl.Object)


def _numbers(targets: pl.Series) -> pl.Series:
    """Return targets as numbers, null for each that is none."""
    if targets.dtype == pl.Object:
        values = list(map(to_target, targets.to_list()))
        return pl.Series(targets.name, values, pl.Float64)
    numbers = targets.cast(pl.Float64, strict=False)
    return numbers.set(numbers.is_nan() | (numbers.abs() >= HUGE), None)
