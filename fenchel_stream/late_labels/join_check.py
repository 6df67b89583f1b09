"""The check of events and labels that come on two streams: each needs a key, and has a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from fenchel_stream.errors import DataError
from fenchel_stream.streams.source import RAW_LIMIT, Batch, Reject
from fenchel_stream.validation.columns import to_categories, to_seconds
from fenchel_stream.validation.row_check import ABSENT, CheckedRows, RowCheck

REASONS = ("missing_key", "nested_key", "unparsable_time")
"""Why a row that could be decoded cannot be joined."""


@dataclass(frozen=True, kw_only=True)
class CheckedPart(CheckedRows):
    """Rows of one of the streams, each with a key (text) and a time (seconds, or null)."""

    keys: pl.Series
    times: pl.Series


class JoinCheck:
    """Checks events as to their features, labels as to their targets, and both as to their keys.

    Beside the reasons of `RowCheck` a row is set aside for

    - ``missing_key``: a column of the key is null or not there,
    - ``nested_key``: it is a list or an object,
    - ``unparsable_time``: a time is there, but is none.

    Parameters
    ----------
    events, labels
        The checks of what else a row needs.
    key
        Columns of the key; none for the keys that records have in their topic. The same value is
        the same key whatever its type: 1 and ``"1"``.
    time
        Column of the time; None for the time that records have in their topic.

    Examples
    --------
    >>> import polars as pl
    >>> from fenchel_stream.late_labels.join_check import JoinCheck
    >>> from fenchel_stream.validation.row_check import RowCheck
    >>> from fenchel_stream.streams.source import Batch
    >>> events = RowCheck("y", "regression", ignore=["id"], labelled=False)
    >>> check = JoinCheck(events, RowCheck("y", "regression"), ["id"], None)
    >>> rows = pl.DataFrame({"id": [7, None], "x": [0.5, 1.5]})
    >>> checked = check(Batch(rows, ["a:1", "a:2"], {}, part="events"))
    >>> checked.X.to_dicts(), checked.keys.to_list(), checked.rejects[0].reason
    ([{'x': 0.5}], ['7'], 'missing_key')
    """

    def __init__(
        self, events: RowCheck, labels: RowCheck, key: Sequence[str], time: str | None
    ) -> None:
        self.checks = {"events": events, "labels": labels}
        self.key = list(key)
        self.time = time
        self._without: dict[str, int] = {}  # rows so far, while none had a key

    @property
    def targets(self) -> list[str]:
        """The columns to predict, which only labels need."""
        return self.checks["labels"].targets

    @property
    def joining(self) -> set[str]:
        """The columns of key and time."""
        return {*self.key, *([] if self.time is None else [self.time])}

    @property
    def resumed(self) -> bool:
        """Whether an earlier run has begun this stream, as for `RowCheck`."""
        return self.checks["events"].resumed

    @resumed.setter
    def resumed(self, value: bool) -> None:
        for check in self.checks.values():
            check.resumed = value

    def __call__(self, batch: Batch) -> CheckedPart:
        """Check one batch of one of the streams.

        Raises
        ------
        DataError
            A column that is needed does not exist, or its first values are all unusable.
        """
        check, rows = self.checks[batch.part], batch.rows
        keys, nested = self._keys(batch)
        times, untimely = self._times(batch)
        self._expect_keys(batch, keys)
        faults = pl.select(
            pl.when(nested)
            .then(pl.lit("nested_key"))
            .when(keys.is_null())
            .then(pl.lit("missing_key"))
            .when(untimely)
            .then(pl.lit("unparsable_time"))
        ).to_series()
        good = faults.is_null()
        rejects = [] if good.all() else self._rejects(batch, faults)
        if batch.part == "labels":
            rows = rows.select(name for name in check.targets if name in rows.columns)
            if not rows.width:
                rows = pl.DataFrame(height=batch.rows.height)
        kept = good.arg_true().to_list()
        part = batch if good.all() and rows is batch.rows else _part(batch, rows, kept)
        checked = check(part, batch.rows.columns)
        keys, times = keys.filter(good), times.filter(good)
        if checked.numbers is not None:
            keys, times = keys[checked.numbers], times[checked.numbers]
        return CheckedPart(
            checked.X,
            checked.y,
            checked.where,
            [*rejects, *checked.rejects],
            keys=keys,
            times=times,
        )

    def end(self) -> None:
        """Warn of what can only be known at the end."""
        self.checks["labels"].end()

    @property
    def notes(self) -> list[str]:
        """What should be known beside the figures of the run."""
        return self.checks["labels"].notes

    def when(self, batch: Batch) -> float | None:
        """Return the time of a batch in seconds: the median of its records' times.

        One record from a wrong century moves it to no other.
        """
        times, _ = self._times(batch)
        found = times.median()
        return None if found is None else float(found)  # type: ignore[arg-type]

    def _keys(self, batch: Batch) -> tuple[pl.Series, pl.Series]:
        """Return the keys as text, null where there is none, and which are nested."""
        rows, height = batch.rows, batch.rows.height
        if not self.key:
            keys = batch.keys
            nowhere = pl.repeat(None, height, dtype=pl.String, eager=True)
            return (nowhere if keys is None else keys), pl.repeat(False, height, eager=True)
        nested = pl.repeat(False, height, eager=True)
        parts = {}
        for name in self.key:
            column = rows[name] if name in rows.columns else pl.repeat(None, height, eager=True)
            parts[name], wrong = to_categories(column)
            nested = nested if wrong is None else nested | wrong
        if len(parts) == 1:
            return next(iter(parts.values())).rename("key"), nested
        frame = pl.DataFrame(parts)
        keys = frame.select(pl.struct(pl.all()).struct.json_encode().alias("key")).to_series()
        missing = frame.select(pl.any_horizontal(pl.all().is_null())).to_series()
        return pl.select(pl.when(~missing).then(keys).alias("key")).to_series(), nested

    def _times(self, batch: Batch) -> tuple[pl.Series, pl.Series]:
        height = batch.rows.height
        times: pl.Series | None = None
        wrong: pl.Series | None = None
        if self.time is None:
            times = batch.times
        elif self.time in batch.rows.columns:
            times, wrong = to_seconds(batch.rows[self.time])
        if times is None:
            times = pl.repeat(None, height, dtype=pl.Float64, eager=True)
        return times, pl.repeat(False, height, eager=True) if wrong is None else wrong

    def _expect_keys(self, batch: Batch, keys: pl.Series) -> None:
        """Raise DataError if there has never been a key, or the columns say that there is none."""
        names = self.key or ["the record's own key"]
        missing = [name for name in self.key if name not in batch.rows.columns]
        if self.time is not None and self.time not in batch.rows.columns:
            missing.append(self.time)
        if batch.fixed_columns and missing:
            raise DataError(
                f"{batch.part} have no column {missing[0]!r}, which [labels] names; they have: "
                f"{', '.join(batch.rows.columns)}"
            )
        if self.resumed or keys.null_count() < len(keys):
            self._without[batch.part] = -1
        elif (before := self._without.get(batch.part, 0)) >= 0:
            self._without[batch.part] = before + len(keys)
            if before + len(keys) >= ABSENT:
                raise DataError(
                    f"none of the first {before + len(keys)} {batch.part} has a key "
                    f"({', '.join(names)}), by which [labels] joins them"
                )

    def _rejects(self, batch: Batch, faults: pl.Series) -> list[Reject]:
        columns = sorted(self.joining)
        rejects = []
        for number in faults.is_not_null().arg_true():
            record = batch.rows[number].to_dicts()[0]
            stated = {name: record.get(name) for name in columns}
            key = None if batch.keys is None else batch.keys[number]
            rejects.append(
                Reject(
                    batch.where[number],
                    faults[number],
                    json.dumps(record, default=str, skipkeys=True)[:RAW_LIMIT],
                    f"of the columns for joining it has {stated}"[:200],
                    None if batch.originals is None else batch.originals[number],
                    None if key is None else str(key).encode(),
                )
            )
        return rejects


def _part(batch: Batch, rows: pl.DataFrame, kept: list[int]) -> Batch:
    """Return a batch of some rows."""
    return replace(
        batch,
        rows=rows[kept] if rows.width else pl.DataFrame(height=len(kept)),
        where=[batch.where[number] for number in kept],
        keys=None if batch.keys is None else batch.keys[kept],
        originals=None if batch.originals is None else [batch.originals[n] for n in kept],
    )
