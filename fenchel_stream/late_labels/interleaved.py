"""Reads two sources, events and their labels, as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Condition
from typing import Any

import polars as pl

from fenchel_stream.late_labels.prefetch import Prefetcher
from fenchel_stream.late_labels.timed_batch import TimedBatch, with_times
from fenchel_stream.streams.source import Batch, Position, Source

TICK = 0.5
"""Seconds to wait for a batch before a batch without records is yielded."""


class Interleaved(Source):
    """Two sources that are read as one. Each batch is a `TimedBatch`, which names its stream.

    Batches come in the order of their times. At equal times events come before labels. Two files
    are therefore read in the same order every time. While one source has no batch, the other goes
    on alone. A batch without a time comes at once.

    Parameters
    ----------
    events, labels
        The sources.
    time
        Column of the time; None for the times that records have beside their values.

    Notes
    -----
    A position holds the positions of both sources, under the names of the streams.

    Examples
    --------
    >>> from fenchel_stream.late_labels.interleaved import Interleaved
    >>> from fenchel_stream.streams import as_source
    >>> events, labels = as_source([{"t": t} for t in (1, 2, 5)]), as_source([{"t": 3}])
    >>> both = Interleaved(events, labels, "t")
    >>> [(batch.stream, batch.rows["t"][0]) for batch in both.batches(1)]
    [('events', 1), ('events', 2), ('labels', 3), ('events', 5)]
    """

    def __init__(self, events: Source, labels: Source, time: str | None) -> None:
        self.sources = {"events": events, "labels": labels}
        self.time = time
        self.live = any(source.live or source.waits for source in self.sources.values())
        self._readers: dict[str, Prefetcher] = {}

    @property
    def files(self) -> Sequence[Path]:
        return [file for source in self.sources.values() for file in source.files]

    def batches(self, size: int, position: Position | None = None) -> Iterator[Batch]:
        """Yield the batches of both sources, and batches without records while neither has one.

        Each batch has at most `size` records. Reading resumes at `position`, or begins at the
        start if it is None.
        """
        turn = Condition()
        origin: dict[str, Any] = dict(position or {})
        with ExitStack() as resources:
            readers = self._readers = {
                name: resources.enter_context(
                    Prefetcher(
                        source,
                        size,
                        origin.get(name),
                        partial(with_times, stream=name, column=self.time),
                        turn,
                    )
                )
                for name, source in self.sources.items()
            }
            # A live source says where reading begins, before its first record. Until both sources
            # have begun, a checkpoint must keep the position that was asked for.
            begun = not any(source.live for source in self.sources.values())
            while not begun:
                with turn:
                    begun = turn.wait_for(
                        lambda: all(reader.begun for reader in readers.values()), TICK
                    )
                yield Batch(pl.DataFrame(), [], self._position() if begun else origin)
            while not all(reader.ended for reader in readers.values()):
                for reader in readers.values():
                    reader.look()
                with turn:
                    decided = turn.wait_for(lambda: _decided(readers.values()), TICK)
                heads = {name: reader.head for name, reader in readers.items() if reader.head}
                if decided and heads:
                    first = min(heads, key=lambda name: _time_of(heads[name]))
                    batch = readers[first].take()
                    yield replace(batch, position=self._position())
                elif decided:
                    break
                else:
                    yield Batch(pl.DataFrame(), [], self._position())

    @property
    def total(self) -> int | None:
        """Number of records of both sources; None if one of the numbers is unknown."""
        totals = [source.total for source in self.sources.values()]
        return None if None in totals else sum(filter(None, totals))

    @property
    def outage_seconds(self) -> float:
        """The longer of the outages of both sources."""
        return max(source.outage_seconds for source in self.sources.values())

    def saved(self, position: Position) -> None:
        """Tell both sources that a checkpoint holds everything before `position`."""
        for name, reader in self._readers.items():
            # A checkpoint may be written before a source has yielded anything.
            if position.get(name) is not None:
                reader.saved(position[name])

    def _position(self) -> Position:
        return {name: reader.position for name, reader in self._readers.items()}


def _time_of(batch: TimedBatch) -> float:
    """Return the time of a batch; a batch without a time comes before all others."""
    return float("-inf") if batch.median is None else batch.median


def _decided(readers: Iterable[Prefetcher]) -> bool:
    """Return whether it is clear which batch comes next, or that no batch will come."""
    return all(reader.known for reader in readers) and (
        any(reader.head for reader in readers) or all(reader.ended for reader in readers)
    )
