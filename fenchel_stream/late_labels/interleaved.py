"""Events and their labels, two streams read as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from threading import Condition
from typing import Any

import polars as pl

from fenchel_stream.late_labels.prefetch import Ahead
from fenchel_stream.streams.source import Batch, LiveSource, Position, Source

TICK = 0.5
"""Seconds without a batch after which an empty one is given out."""


class Interleaved:
    """Two sources as one, whose batches say by `Batch.part` of which they are.

    Batches come in the order of their times, events before labels of the same time, so that two
    files come in the same order whenever they are read. Where a source has nothing for now, the
    other one goes on alone. A batch without a time comes at once.

    Parameters
    ----------
    events, labels
        The sources.
    time
        Of a batch, in seconds; None if it has none.

    Notes
    -----
    A position holds those of both, under their names.

    Examples
    --------
    >>> from fenchel_stream.late_labels.interleaved import Interleaved
    >>> from fenchel_stream.streams.source import as_source
    >>> events, labels = as_source([{"t": t} for t in (1, 2, 5)]), as_source([{"t": 3}])
    >>> both = Interleaved(events, labels, lambda batch: batch.rows["t"][0])
    >>> [(batch.part, batch.rows["t"][0]) for batch in both.batches(1)]
    [('events', 1), ('events', 2), ('labels', 3), ('events', 5)]
    """

    def __init__(
        self, events: Source, labels: Source, time: Callable[[Batch], float | None]
    ) -> None:
        self.sources = {"events": events, "labels": labels}
        self.time = time
        self._readers: dict[str, Ahead] = {}

    def batches(self, size: int, position: Position | None = None) -> Iterator[Batch]:
        """Yield the batches of both, and an empty one now and then while both have nothing.

        Each has at most `size` records, and goes on where `position` says or begins anew.
        """
        turn = Condition()
        before: dict[str, Any] = dict(position or {})
        readers = self._readers = {}
        try:
            for name, source in self.sources.items():
                readers[name] = Ahead(source, size, before.get(name), waits(source), turn)
            begun = not any(isinstance(source, LiveSource) for source in self.sources.values())
            while not begun:
                with turn:
                    begun = turn.wait_for(lambda: all(r.begun for r in readers.values()), TICK)
                yield Batch(pl.DataFrame(), [], self._where() if begun else before)
            while not all(reader.ended for reader in readers.values()):
                for reader in readers.values():
                    reader.look()
                with turn:
                    came = turn.wait_for(lambda: _decided(readers.values()), TICK)
                heads = {name: reader.head for name, reader in readers.items() if reader.head}
                part, batch = "", Batch(pl.DataFrame(), [], {})
                if came and heads:
                    part = min(heads, key=lambda name: self._order(heads[name]))
                    batch = readers[part].take()
                elif came:
                    break
                yield replace(batch, position=self._where(), part=part)
        finally:
            for reader in readers.values():
                reader.close()

    @property
    def total(self) -> int | None:
        """Number of records of both, if both know."""
        totals = [source.total for source in self.sources.values()]
        return None if None in totals else sum(filter(None, totals))

    def _where(self) -> Position:
        return {name: reader.position for name, reader in self._readers.items()}

    def _order(self, batch: Batch) -> float:
        time = self.time(batch)
        return float("-inf") if time is None else time


class LiveInterleaved(Interleaved):
    """The same where a source waits for more, or wants to hear of checkpoints."""

    def saved(self, position: Position) -> None:
        """Tell the sources that everything before `position` is in a checkpoint."""
        for name, source in self.sources.items():
            # A checkpoint may be written before anything is read.
            told = name in self._readers and position.get(name) is not None
            if told and isinstance(source, LiveSource):
                self._readers[name].saved(position[name])


def _decided(readers: Iterable[Ahead]) -> bool:
    """Return whether it is clear which batch comes next, or that none will come any more."""
    return all(reader.known for reader in readers) and (
        any(reader.head for reader in readers) or all(reader.ended for reader in readers)
    )


def interleave(
    events: Source, labels: Source, time: Callable[[Batch], float | None]
) -> Interleaved:
    """Return both sources as one, live if one of them waits for more."""
    live = waits(events) or waits(labels)
    return (LiveInterleaved if live else Interleaved)(events, labels, time)


def waits(source: Source) -> bool:
    """Return whether a source may wait for more."""
    return isinstance(source, LiveSource) or bool(getattr(source, "waits", False))
