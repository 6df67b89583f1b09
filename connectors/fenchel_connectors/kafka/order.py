"""One order of the records of several partitions, independent of the order of their arrival."""

from __future__ import annotations

from collections import defaultdict, deque
from operator import attrgetter
from typing import Any

from fenchel_connectors.kafka.reader import Reader
from fenchel_stream.errors import DataError

AHEAD = 200_000
"""Records in memory that may wait for records of another partition."""

CHUNK = 500  # records that one poll fetches


class InOrder:
    """Records in the order of their offsets, and of their partitions if offsets are equal.

    A record comes once no other record can precede it. A partition without new records therefore
    makes the others wait.

    Parameters
    ----------
    reader
        The consumer of the partitions.

    Attributes
    ----------
    offsets
        The next record of each partition.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.offsets = dict(reader.offsets)
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

    def _fetch(self) -> None:
        for record in self.reader.poll(CHUNK):
            self._held[record.partition].append(record)
        offset, last = self.reader.frontier()
        turn: list[Any] = []
        for partition, records in self._held.items():
            end = offset + (partition < last)
            while records and records[0].offset < end:
                turn.append(records.popleft())
        self._ready += sorted(turn, key=attrgetter("offset", "partition"))
        if (waiting := sum(map(len, self._held.values()))) > AHEAD:
            raise DataError(
                f"{waiting} records wait for partition {last} of {self.reader.topic}, which is at "
                f"offset {offset}: deterministic needs partitions that grow alike, or a run of "
                "each, as run.group = true gives"
            )
