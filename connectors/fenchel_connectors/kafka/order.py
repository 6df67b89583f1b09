"""One order of the records of several partitions, independent of the order of their arrival."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import Any

from fenchel_connectors.kafka.reader import Reader
from fenchel_stream.errors import DataError

AHEAD = 200_000
"""Records in memory that may wait for records of another partition."""

CHUNK = 500  # records that one poll fetches


class InOrder:
    """Records in the order of their ranks, and of their partitions if ranks are equal.

    The rank of a record is its offset. In a partition that was added while a run read the topic, it
    is the offset plus the rank that the order had reached when the partition was found. The
    position of the source keeps that number, so that a run that resumes from a checkpoint has the
    same order. Two runs that find the partition at different moments learn the same records, each
    once, but in different orders.

    A record comes once no other record can precede it. A partition without new records therefore
    makes the others wait.

    Parameters
    ----------
    reader
        The consumer of the partitions.
    starts
        The rank of offset 0 in each partition that was added; 0 in the others.
    known
        The partitions that the order has already; all of the reader by default.

    Attributes
    ----------
    offsets
        The next record of each partition.
    """

    def __init__(
        self,
        reader: Reader,
        starts: Mapping[int, int] | None = None,
        known: Iterable[int] | None = None,
    ) -> None:
        self.reader = reader
        self.starts = dict(starts or {})
        self.offsets = {n: reader.offsets[n] for n in (reader.offsets if known is None else known)}
        self._held: dict[int, deque[Any]] = defaultdict(deque)
        self._ready: list[Any] = []

    def poll(self, count: int) -> list[Any]:
        """Return at most `count` records that are next in order, without waiting for more."""
        if len(self._ready) < count:
            self._fetch()
        records = self._ready[:count]
        del self._ready[:count]
        for record in records:
            self.offsets[record.partition] = record.offset + 1
        return records

    def add(self, numbers: Iterable[int]) -> None:
        """Take in partitions that the reader reads from now on."""
        # A run that resumes here sorts the records anew: those that are ready must join them.
        for record in reversed(self._ready):
            self._held[record.partition].appendleft(record)
        self._ready.clear()
        rank = min(self._rank(number, offset) for number, offset in self.offsets.items())
        for number in numbers:
            self.offsets[number] = self.reader.offsets[number]
            self.starts[number] = rank - self.offsets[number]

    def _fetch(self) -> None:
        for record in self.reader.poll(CHUNK):
            held = self._held[record.partition]
            while held and held[-1].offset >= record.offset:
                held.pop()  # the log was cut, and other records have these offsets now
            held.append(record)
        positions = self.reader.positions()
        rank, last = min((self._rank(number, at), number) for number, at in positions.items())
        turn: list[Any] = []
        for partition, records in self._held.items():
            end = rank + (partition < last)
            while records and self._rank(partition, records[0].offset) < end:
                turn.append(records.popleft())
        self._ready += sorted(turn, key=self._place)
        if (waiting := sum(map(len, self._held.values()))) > AHEAD:
            raise DataError(
                f"{waiting} records wait for partition {last} of {self.reader.topic}, which is at "
                f"offset {positions[last]}: deterministic needs partitions that grow alike, or a "
                "run of each, as run.group = true gives"
            )

    def _rank(self, partition: int, offset: int) -> int:
        return self.starts.get(partition, 0) + offset

    def _place(self, record: Any) -> tuple[int, int]:
        return self._rank(record.partition, record.offset), record.partition
