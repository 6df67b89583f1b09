"""What tests of every source share: a batch as plain values, and the promise about positions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fenchel_stream.streams.source import Batch, Position, Reject, Source

Plain = tuple[list[str], list[str], list[tuple[Any, ...]], list[str], Position, list[Reject]]


def plain(batch: Batch) -> Plain:
    """Return all that a batch holds, comparable: repr tells 1 from 1.0 and True."""
    rows = [tuple(map(repr, row)) for row in batch.rows.rows()]
    types = list(map(repr, batch.rows.dtypes))
    return batch.rows.columns, types, rows, batch.where, batch.position, batch.rejects


def read(source: Source, size: int, position: Position | None = None) -> list[Plain]:
    return [plain(batch) for batch in source.batches(size, position)]


def assert_resumable(source: Source, size: int) -> Sequence[Plain]:
    """Assert that from every position given out the rest is read as if nothing had happened."""
    whole = read(source, size)
    for done, (*_, position, _) in enumerate(whole, 1):
        kept = json.loads(json.dumps(position))  # as a checkpoint keeps it
        assert read(source, size, kept) == whole[done:]
    for columns, types, rows, where, _, rejects in whole[:-1]:
        assert len(rows) + len(rejects) == size, (columns, types)
        assert len(where) == len(rows)
    return whole
