"""Decodes records of Kafka to rows, with columns for key, time and headers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from fenchel_connectors.formats import Decoded, Format, choose_format
from fenchel_connectors.formats.format import OTHER_FORMAT
from fenchel_connectors.lines import readable
from fenchel_connectors.records import to_frame
from fenchel_stream.errors import ConfigError
from fenchel_stream.streams.source import Batch, Position, Reject

DOUBTFUL = 10
"""If the first values of a stream, this many, are all in another format or have schemas that the
registry does not know, the configuration is wrong."""

NO_VALUE: Decoded = {}, "null_value", "a key without a value, which deletes in a compacted topic"


class Rows:
    """Makes batches of the records of a topic.

    Parameters
    ----------
    format
        Decodes the bytes of a value to a row; JSON by default.
    key, timestamp
        Names of columns for the key, as text, and for the time in milliseconds since 1970; no
        column if None.
    headers
        Names of headers, each of which becomes a column of its name, as text.
    """

    def __init__(
        self,
        format: Format | None = None,  # noqa: A002 - the noun of the field
        *,
        key: str | None = None,
        timestamp: str | None = None,
        headers: Sequence[str] = (),
    ) -> None:
        self.format = format or choose_format()
        self.key = key
        self.timestamp = timestamp
        self.headers = list(headers)
        self._doubted: int | None = None  # values in doubt since the start; None without doubt

    def begin(self, fresh: bool) -> None:
        """Prepare to read a stream. It is `fresh` if no run has read it before.

        Raises
        ------
        UnavailableError
            The stream is fresh, and a server that the format needs does not answer.
        """
        self._doubted = 0 if fresh else None
        self.format.begin(fresh)

    def ready(self, records: list[Any]) -> bool:
        """Return at once whether `batch` can decode the records now."""
        return self.format.ready([record.value for record in records])

    @property
    def outage_seconds(self) -> float:
        """How long records have waited for a server that is away; 0 while it answers."""
        return self.format.outage_seconds

    def close(self) -> None:
        """Stop the work that `ready` has begun in the background."""
        self.format.close()

    def batch(self, records: list[Any], position: Position) -> Batch:
        """Return the batch of some records, after which reading resumes at `position`.

        Raises
        ------
        ConfigError
            The first values of a fresh stream are all in another format.
        """
        rejects: list[Reject] = []
        rows = self._all(records)
        if not rows:
            rows, records, rejects = self._each(records)
        keys = pl.Series("key", [_text(record.key) for record in records], pl.String)
        times = pl.Series("timestamp", [record.timestamp for record in records], pl.Int64)
        if (times < 0).any():
            times = times.set(times < 0, None)
        frame, columns = to_frame(rows), self._columns(records, keys, times)
        return Batch(
            frame.with_columns(columns) if columns else frame,
            list(map(place, records)),
            position,
            rejects,
            keys=keys,
            times=times / 1000,
            originals=[record.value for record in records],
        )

    def _all(self, records: list[Any]) -> list[dict[str, Any]]:
        """Return the rows if all records are good, and an empty list otherwise."""
        values = [record.value for record in records]
        rows = [] if None in values else self.format.decode_all(values)
        if rows:
            self._doubted = None
        return rows

    def _each(self, records: list[Any]) -> tuple[list[dict[str, Any]], list[Any], list[Reject]]:
        rows, good, rejects = [], [], []
        for record in records:
            value = record.value
            row, fault, detail = NO_VALUE if value is None else self.format.decode(value)
            self._judge(place(record), fault, detail)
            if fault:
                raw = "" if value is None else readable(value)
                rejects.append(Reject(place(record), fault, raw, detail, value, record.key))
            else:
                rows.append(row)
                good.append(record)
        return rows, good, rejects

    def _judge(self, where: str, fault: str, detail: str) -> None:
        """Raise ConfigError if a fresh stream begins with values of another format only."""
        if self._doubted is None or fault == NO_VALUE[1]:
            return
        self._doubted = self._doubted + 1 if fault in {OTHER_FORMAT, "unknown_schema"} else None
        if self._doubted == DOUBTFUL:
            raise ConfigError(f"{where}: none of the first {DOUBTFUL} values can be read; {detail}")

    def _columns(self, records: list[Any], keys: pl.Series, times: pl.Series) -> list[pl.Series]:
        """Return the columns for key, time and headers; they replace columns of the same name."""
        columns = []
        if self.key is not None:
            columns.append(keys.alias(self.key))
        if self.timestamp is not None:
            columns.append(times.alias(self.timestamp))
        if self.headers:
            headers = [dict(record.headers) for record in records]
            columns += [
                pl.Series(name, [_text(one.get(name)) for one in headers], pl.String)
                for name in self.headers
            ]
        return columns


def place(record: Any) -> str:
    """Return the label of a record, as ``flights:0:17``: topic, partition, offset."""
    return f"{record.topic}:{record.partition}:{record.offset}"


def _text(raw: bytes | None) -> str | None:
    """Return a key or a header as text, with escapes for bytes that are not UTF-8."""
    return None if raw is None else raw.decode("utf-8", "backslashreplace")
