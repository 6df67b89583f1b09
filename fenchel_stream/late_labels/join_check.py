"""The check of events and labels from two streams: each needs a key and may have a time."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from typing import Self

import polars as pl

from fenchel_stream.errors import DataError
from fenchel_stream.late_labels.timed_batch import TimedBatch
from fenchel_stream.streams.source import Batch, Reject
from fenchel_stream.validation.columns import to_categories
from fenchel_stream.validation.doubt import ABSENT, names_of
from fenchel_stream.validation.row_check import CheckedRows, RowCheck, reject_row

REASONS = ("missing_key", "nested_key", "unparsable_time")
"""Why a row that could be decoded cannot be joined."""


@dataclass(frozen=True, kw_only=True)
class KeyedCheckedRows(CheckedRows):
    """Rows of one of the two streams that can be joined.

    Attributes
    ----------
    stream
        Name of the stream: ``"events"`` or ``"labels"``.
    now
        The time of the batch in seconds, see `TimedBatch.median`; None if it has none.
    keys, times
        The key of each row as text, and its time in seconds (Float64), null if it has none.
    """

    stream: str
    now: float | None
    keys: pl.Series
    times: pl.Series

    def without(self, rows: Container[int]) -> Self:
        kept = [row for row in range(len(self.where)) if row not in rows]
        return replace(super().without(rows), keys=self.keys[kept], times=self.times[kept])


class JoinCheck:
    """Checks the features of events, the targets of labels, and the keys and times of both.

    Beside the reasons of `RowCheck` a row is set aside for

    - ``missing_key``: a column of the key is null or absent,
    - ``nested_key``: a column of the key holds a list or an object,
    - ``unparsable_time``: the column of the time holds a value that is not a time.

    Parameters
    ----------
    events, labels
        The checks of the other columns of the two streams.
    key
        Columns of the key; empty for the keys that records have beside their values. Keys are
        compared as text: 1 and ``"1"`` are the same key.

    Attributes
    ----------
    time
        Column of the time; None for the times that records have beside their values.

    Examples
    --------
    >>> import polars as pl
    >>> from fenchel_stream.late_labels.join_check import JoinCheck
    >>> from fenchel_stream.late_labels.timed_batch import with_times
    >>> from fenchel_stream.streams import Batch
    >>> from fenchel_stream.validation.row_check import RowCheck
    >>> events = RowCheck("y", "regression", ignore=["id"], labelled=False)
    >>> check = JoinCheck(events, RowCheck("y", "regression"), ["id"], None)
    >>> rows = pl.DataFrame({"id": [7, None], "x": [0.5, 1.5]})
    >>> checked = check(with_times(Batch(rows, ["a:1", "a:2"], {}), "events", None))
    >>> checked.X.to_dicts(), checked.keys.to_list(), checked.rejects[0].reason
    ([{'x': 0.5}], ['7'], 'missing_key')
    """

    def __init__(
        self, events: RowCheck, labels: RowCheck, key: Sequence[str], time: str | None
    ) -> None:
        self.checks = {"events": events, "labels": labels}
        self.key = list(key)
        self.time = time

    @property
    def joining(self) -> set[str]:
        """The columns of key and time."""
        return {*self.key, *([] if self.time is None else [self.time])}

    def resume(self, stream: str) -> None:
        """Note that an earlier run has used a stream, see `RowCheck.resumed`."""
        self.checks[stream].resumed = True

    def __call__(self, batch: Batch) -> KeyedCheckedRows:
        """Check one batch of `Interleaved`.

        Raises
        ------
        DataError
            A column that is needed does not exist, or its first values are all unusable.
        """
        if not isinstance(batch, TimedBatch):
            raise TypeError("JoinCheck needs a TimedBatch, as Interleaved yields it")
        check, rows = self.checks[batch.stream], batch.rows
        keys, nested = self._keys(batch)
        self._expect_keys(batch, keys)
        if self.time is not None and self.time in rows.columns:
            advice = "name the column of the times in labels.time, or leave it out"
            check.expect(rows[self.time], batch.seconds, batch.unparsable, "a time", advice)
        faults = pl.select(
            pl.when(nested)
            .then(pl.lit("nested_key"))
            .when(keys.is_null())
            .then(pl.lit("missing_key"))
            .when(batch.unparsable)
            .then(pl.lit("unparsable_time"))
        ).to_series()
        good = faults.is_null()
        rejects = [] if good.all() else self._rejects(batch, faults)
        if batch.stream == "labels":
            rows = rows.select(name for name in check.targets if name in rows.columns)
            if not rows.width:
                rows = pl.DataFrame(height=batch.rows.height)
        kept = good.arg_true().to_list()
        joinable = batch if good.all() and rows is batch.rows else _select(batch, rows, kept)
        checked = check(joinable, batch.rows.columns)
        keys, times = keys.filter(good), batch.seconds.filter(good)
        if checked.numbers is not None:
            keys, times = keys[checked.numbers], times[checked.numbers]
        rejects += checked.rejects
        check.first.look(len(checked.where), [*batch.rejects, *rejects])
        return KeyedCheckedRows(
            checked.X,
            checked.y,
            checked.where,
            rejects,
            stream=batch.stream,
            now=batch.median,
            keys=keys,
            times=times,
        )

    def _keys(self, batch: TimedBatch) -> tuple[pl.Series, pl.Series]:
        """Return the keys as text, null for a row without a key, and which keys are nested."""
        rows, height = batch.rows, batch.rows.height
        nested = pl.repeat(False, height, eager=True)
        if not self.key:
            if batch.keys is not None:
                return batch.keys, nested
            return pl.repeat(None, height, dtype=pl.String, eager=True), nested
        columns = {}
        for name in self.key:
            column = rows[name] if name in rows.columns else pl.repeat(None, height, eager=True)
            columns[name], wrong = to_categories(column)
            check = self.checks[batch.stream]
            advice = "name the columns of the key in labels.key"
            check.expect(column.alias(name), columns[name], wrong, "a key", advice)
            nested = nested if wrong is None else nested | wrong
        if len(columns) == 1:
            return next(iter(columns.values())).rename("key"), nested
        frame = pl.DataFrame(columns)
        keys = frame.select(pl.struct(pl.all()).struct.json_encode().alias("key")).to_series()
        missing = frame.select(pl.any_horizontal(pl.all().is_null())).to_series()
        return pl.select(pl.when(~missing).then(keys).alias("key")).to_series(), nested

    def _expect_keys(self, batch: TimedBatch, keys: pl.Series) -> None:
        """Raise DataError if a fixed column is missing, or none of the first rows has a key."""
        missing = [name for name in self.key if name not in batch.rows.columns]
        if self.time is not None and self.time not in batch.rows.columns:
            missing.append(self.time)
        if batch.fixed_columns and missing:
            raise DataError(
                f"{batch.stream} have no column {missing[0]!r}, which [labels] names; columns: "
                f"{names_of(batch.rows.columns)}"
            )
        doubts = self.checks[batch.stream].doubts
        keyless = keys.null_count()
        if doubts.grow("the key", len(keys) - keyless, keyless, ABSENT):
            names = ", ".join(self.key or ["the record's own key"])
            raise DataError(
                f"none of the first {doubts.unusable['the key']} {batch.stream} has a key "
                f"({names}), by which [labels] joins them"
            )

    def _rejects(self, batch: Batch, faults: pl.Series) -> list[Reject]:
        columns = [name for name in sorted(self.joining) if name in batch.rows.columns]
        values = batch.rows.select(columns)
        rejects = []
        for number in faults.is_not_null().arg_true().to_list():
            row = values.row(number, named=True) if columns else {}
            shown = {name: row.get(name) for name in sorted(self.joining)}
            detail = f"its columns for joining are {shown}"[:200]
            rejects.append(reject_row(batch, number, faults[number], detail))
        return rejects


def _select(batch: TimedBatch, rows: pl.DataFrame, kept: list[int]) -> Batch:
    """Return a batch of the rows with the numbers `kept`."""
    return replace(
        batch,
        rows=rows[kept] if rows.width else pl.DataFrame(height=len(kept)),
        where=[batch.where[number] for number in kept],
        keys=None if batch.keys is None else batch.keys[kept],
        originals=None if batch.originals is None else [batch.originals[n] for n in kept],
    )
