"""Decodes records of Kafka to rows, with columns for key, time and headers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from fenchel_connectors.decoding import Decoded, decode, decode_all
from fenchel_connectors.lines import readable
from fenchel_connectors.records import to_frame
from fenchel_stream.streams.source import Batch, Position, Reject

Decoder = Callable[[bytes], Mapping[str, Any]]


class Rows:
    """Makes batches of the records of a topic.

    Parameters
    ----------
    decoder
        Decodes the bytes of a value to a row; JSON by default. If it raises an exception, the
        record is set aside as ``undecodable``.
    key, timestamp
        Names of columns for the key, as text, and for the time in milliseconds since 1970; no
        column if None.
    headers
        Names of headers, each of which becomes a column of its name, as text.
    """

    def __init__(
        self,
        decoder: Decoder | None = None,
        *,
        key: str | None = None,
        timestamp: str | None = None,
        headers: Sequence[str] = (),
    ) -> None:
        self.decoder = decoder
        self.key = key
        self.timestamp = timestamp
        self.headers = list(headers)

    def batch(self, records: list[Any], position: Position) -> Batch:
        """Return the batch of some records, after which reading resumes at `position`."""
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
        """Return the rows if all records are good JSON, and an empty list otherwise."""
        raw = [record.value for record in records]
        return [] if self.decoder is not None or None in raw else decode_all(raw)

    def _each(self, records: list[Any]) -> tuple[list[dict[str, Any]], list[Any], list[Reject]]:
        rows, good, rejects = [], [], []
        for record in records:
            row, fault, detail = self._decode(record.value)
            if fault:
                raw = "" if record.value is None else readable(record.value)
                rejects.append(Reject(place(record), fault, raw, detail, record.value, record.key))
            else:
                rows.append(row)
                good.append(record)
        return rows, good, rejects

    def _decode(self, value: bytes | None) -> Decoded:
        if value is None:
            return {}, "null_value", "a key without a value, which deletes in a compacted topic"
        if self.decoder is None:
            return decode(value)
        try:
            return dict(self.decoder(value)), "", ""
        except Exception as error:  # noqa: BLE001 - a decoder of the user may raise anything
            return {}, "undecodable", f"{type(error).__name__}: {error}"

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
