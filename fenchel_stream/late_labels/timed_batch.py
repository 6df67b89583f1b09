"""A batch of one of two streams, with the times of its records read once.

Needed where two streams are read as one: the order of their batches, the check of their rows and
the age of waiting predictions depend on these times.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import polars as pl

from fenchel_stream.streams.source import Batch
from fenchel_stream.validation.columns import to_seconds


@dataclass(frozen=True, kw_only=True)
class TimedBatch(Batch):
    """A batch that knows its stream and its times.

    Attributes
    ----------
    stream
        Name of the stream: ``"events"`` or ``"labels"``.
    seconds
        The time of each row of `rows` in seconds since 1970 (Float64); null if it has none.
    unparsable
        Which rows have a value that is not a time in the column of the time (Boolean).
    median
        The median of `seconds`, which is the time of the batch; None if no record has a time. A
        single record with a wrong time has little effect on a median.
    """

    stream: str
    seconds: pl.Series
    unparsable: pl.Series
    median: float | None


def with_times(batch: Batch, stream: str, column: str | None) -> TimedBatch:
    """Return the batch with its times.

    Parameters
    ----------
    batch
        A batch of one source.
    stream
        Name of the stream that it is a part of.
    column
        Column of the time; None for the times that records have beside their values.

    Examples
    --------
    >>> import polars as pl
    >>> from fenchel_stream.late_labels.timed_batch import with_times
    >>> from fenchel_stream.streams import Batch
    >>> rows = pl.DataFrame({"t": ["1970-01-01T00:01:00Z", "soon", None]})
    >>> timed = with_times(Batch(rows, ["a:1", "a:2", "a:3"], {}), "events", "t")
    >>> timed.seconds.to_list(), timed.unparsable.to_list(), timed.median
    ([60.0, None, None], [False, True, False], 60.0)
    """
    height = batch.rows.height
    seconds: pl.Series | None = None
    unparsable: pl.Series | None = None
    if column is None:
        seconds = batch.times
    elif column in batch.rows.columns:
        seconds, unparsable = to_seconds(batch.rows[column])
    if seconds is None:
        seconds = pl.repeat(None, height, dtype=pl.Float64, eager=True)
    if unparsable is None:
        unparsable = pl.repeat(False, height, eager=True)
    median = seconds.median()
    content = {field.name: getattr(batch, field.name) for field in fields(Batch)}
    return TimedBatch(
        **content,
        stream=stream,
        seconds=seconds,
        unparsable=unparsable,
        median=None if median is None else float(median),  # type: ignore[arg-type]
    )
