"""One reading of a topic, from the connection to the end: through outages, with new partitions.

`KafkaSource` cuts batches of what arrives here. Read this module for what happens while a broker is
away, and when a topic grows.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, Self

from fenchel_connectors.kafka.client import ClientOptions
from fenchel_connectors.kafka.group_offsets import GroupOffsets
from fenchel_connectors.kafka.order import InOrder
from fenchel_connectors.kafka.outage import Outage
from fenchel_connectors.kafka.reader import Place, Reader
from fenchel_connectors.kafka.topic import Topic
from fenchel_connectors.kafka.watch import Watch
from fenchel_stream.errors import UnavailableError
from fenchel_stream.streams.source import Position

log = logging.getLogger(__name__)

RETRY = 1.0
"""Seconds between two attempts to take in new partitions."""

Begin = Callable[[Topic], Mapping[int, int | Place]]
"""From a topic, the partitions to be read, and where reading of each begins."""


class Session:
    """A reader of a topic and what it needs, from `__enter__` to `__exit__`.

    Parameters
    ----------
    name
        Of the topic.
    options
        Of the client.
    begin
        Chooses the partitions of a topic and where reading of each begins.
    position
        Where an earlier run was; None for a run that begins.
    reset
        Where to resume if the broker has dropped the next record.
    deterministic
        Whether records come in the order of `InOrder`.

    Attributes
    ----------
    outage
        Of the cluster.
    """

    def __init__(
        self,
        name: str,
        options: ClientOptions,
        begin: Begin,
        position: Position | None,
        *,
        reset: Place | None,
        deterministic: bool,
    ) -> None:
        self.name = name
        self.options = options
        self.begin = begin
        self.earlier = position
        self.reset = reset
        self.deterministic = deterministic
        self.outage = Outage(name)
        self._watch = Watch(name, options, known=position is not None)
        self._group: GroupOffsets | None = None
        self._topic: Topic | None = None
        self._reader: Reader
        self._arrivals: Reader | InOrder
        self._refused = 0.0  # when new partitions could not be taken in
        self._held = ExitStack()

    def __enter__(self) -> Self:
        self._held.enter_context(self._watch)
        return self

    def __exit__(self, *error: object) -> None:
        self._held.close()

    def connect(self) -> bool:
        """Open the reader; return False if a run that resumes has to wait for its brokers.

        Raises
        ------
        UnavailableError
            No broker answers, and there is no earlier run.
        ConfigError
            The topic or a partition does not exist, or the brokers refuse the user.
        """
        try:
            topic = self._watch.find()
            with ExitStack() as held:
                self._reader = Reader(
                    self.name, self.begin(topic), self.options, self.reset, self._watch
                )
                held.callback(self._reader.close)
                if self.options.values.get("group_id") is not None:
                    self._group = GroupOffsets(self.name, self.options)
                    held.callback(self._group.close)
                self._held.push(held.pop_all())
        except UnavailableError as error:
            if self.earlier is None:
                raise
            self.outage.begin(error)
            return False
        self._topic = topic
        self._arrivals = self._reader
        if self.deterministic:
            self._arrivals = self._in_order()
        self.outage.end()
        return True

    def poll(self, count: int) -> list[Any]:
        """Return at most `count` records that have arrived, without waiting for more.

        Raises
        ------
        DataError
            The next record is lost, the topic is another one now, or the brokers refuse the user.
        """
        self._watch.check()
        if (error := self._watch.error or self._reader.error) is not None:
            self.outage.begin(error)
        else:
            self.outage.end()
            self._grow()
        return self._arrivals.poll(count)

    def position(self) -> Position:
        """Return where reading is after all records that were returned: JSON values."""
        if self._topic is None:
            return self.earlier or {}
        offsets = self._arrivals.offsets
        position = {
            **self._topic.identity(),
            "offsets": {str(number): offsets[number] for number in sorted(offsets)},
        }
        if isinstance(self._arrivals, InOrder) and (starts := self._arrivals.starts):
            position["starts"] = {str(number): starts[number] for number in sorted(starts)}
        return position

    def commit(self, position: Position) -> None:
        """Commit the offsets of a checkpoint to the group, if the client has one."""
        if self._group is not None:
            self._group.commit({int(number): n for number, n in position["offsets"].items()})

    def _in_order(self) -> InOrder:
        """Return the order in which an earlier run left off, with the partitions added since."""
        earlier = self.earlier or {}
        starts = {int(number): rank for number, rank in earlier.get("starts", {}).items()}
        known = {int(number) for number in earlier.get("offsets", {})} or set(self._reader.offsets)
        order = InOrder(self._reader, starts, known)
        if added := self._reader.offsets.keys() - known:
            order.add(sorted(added))
        return order

    def _grow(self) -> None:
        """Take in partitions that were added to the topic."""
        topic = self._watch.topic
        if topic is None or self._topic is None or topic.partitions <= self._topic.partitions:
            return
        if time.monotonic() - self._refused < RETRY:
            return
        added = sorted(self.begin(topic).keys() - self._reader.offsets.keys())
        if added and not self._reader.add(added):
            self._refused = time.monotonic()
            return
        self._topic = topic
        if not added:
            log.warning(
                "%s has %d partitions now, and this run reads only %s",
                self.name,
                topic.partitions,
                ", ".join(map(str, sorted(self._reader.offsets))),
            )
            return
        if isinstance(self._arrivals, InOrder):
            self._arrivals.add(added)
        log.warning(
            "%s: partitions %s are new, and are read from their first records",
            self.name,
            ", ".join(map(str, added)),
        )
