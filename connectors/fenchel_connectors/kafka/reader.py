"""Reads the records of some partitions from chosen offsets on, as they arrive."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, LogTruncationError, OffsetOutOfRangeError

from fenchel_connectors.kafka.client import ClientOptions
from fenchel_connectors.kafka.client_log import SILENCE
from fenchel_connectors.kafka.connection import connect
from fenchel_connectors.kafka.failures import failure, passes
from fenchel_connectors.kafka.watch import Watch
from fenchel_stream.errors import ConfigError, DataError

log = logging.getLogger(__name__)

Place = Literal["earliest", "latest"]

PATIENCE = 3.0
"""Seconds that a partition may end before the offset that is read next. After a change of leaders
it does so for a moment, and some brokers report no error for an offset that does not exist."""

CLOSING = 3
"""Seconds that the client may take to close."""

ANSWERING = 5
"""Seconds that a broker may take to report its offsets."""

ADVICE = (
    'reset = "earliest" or "latest" in [source.options] resumes without them, and another '
    "checkpoint directory begins anew"
)


class Reader:
    """A consumer of chosen partitions, without the rebalancing of a consumer group.

    Parameters
    ----------
    topic
        Name of the topic.
    offsets
        Where to begin, by partition: an offset, ``"earliest"`` or ``"latest"``.
    options
        Options of the client.
    reset
        Where to resume if the broker has dropped an offset; None makes that an error.
    watch
        Of the topic. With it, a topic that was made again is told from one that lost records.

    Attributes
    ----------
    offsets
        The next record of each partition.
    error
        Why the last `poll` got no records; None if it raised no error. Waiting helps.

    Raises
    ------
    UnavailableError
        The brokers do not answer.
    ConfigError
        The client refuses an option, or the brokers refuse the user.
    DataError
        The broker has dropped the next records.
    """

    def __init__(
        self,
        topic: str,
        offsets: Mapping[int, int | Place],
        options: ClientOptions,
        reset: Place | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.topic = topic
        self.options = options
        self.reset = reset
        self.watch = watch
        self.offsets: dict[int, int] = {}
        self.error: KafkaError | None = None
        self._short: dict[int, float] = {}  # since when a partition ends before its next offset
        self._partitions = [TopicPartition(topic, number) for number in offsets]
        # In no group: an assignment by hand needs none, and the group may be forbidden.
        self._consumer = connect(KafkaConsumer, options, topic, group_id=None)
        try:
            self._consumer.assign(self._partitions)
            self._begin(offsets)
        except KafkaError as error:
            self.close()
            raise failure(error, options, topic=topic, kind=ConfigError) from None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def poll(self, count: int) -> list[Any]:
        """Return at most `count` records that have arrived, without waiting for more.

        The records of one partition are consecutive and in order.

        Raises
        ------
        DataError
            The next record is lost, or an error does not end by itself.
        """
        self.error = None
        try:
            arrived = self._consumer.poll(0, max_records=count)
        except KafkaError as error:
            self._take(error)
            return []
        records: list[Any] = []
        for partition, consecutive in arrived.items():
            records += consecutive
            self.offsets[partition.partition] = consecutive[-1].offset + 1
        if not records:
            self._look_at_ends()
        return records

    def positions(self) -> dict[int, int]:
        """Return for each partition the smallest offset that a record to come may have.

        It is beyond `offsets` where the topic holds no records, but marks of transactions or gaps
        that compaction has left. No network is asked, so that a broker that is away does no harm.
        """
        try:
            return {
                partition.partition: self._consumer.position(partition, timeout_ms=0)
                for partition in self._partitions
            }
        except KafkaError as error:
            self._take(error)
            return dict(self.offsets)

    def add(self, numbers: Iterable[int]) -> bool:
        """Read further partitions from their first records; return whether it was possible."""
        added = [TopicPartition(self.topic, number) for number in numbers]
        try:
            first = self._bounds("earliest", added)
        except KafkaError as error:
            self._take(error)
            return False
        self._partitions += added
        self._consumer.assign(self._partitions)  # keeps the positions of the others
        for partition in added:
            self._consumer.seek(partition, first[partition])
            self.offsets[partition.partition] = first[partition]
        return True

    def close(self) -> None:
        """Close the client; a second call does no harm."""
        with SILENCE:
            self._consumer.close(autocommit=False, timeout_ms=1000 * CLOSING)

    def _begin(self, offsets: Mapping[int, int | Place]) -> None:
        first = self._bounds("earliest", self._partitions)
        for partition in self._partitions:
            where = offsets[partition.partition]
            if isinstance(where, str):
                self._move(partition, where)
                continue
            self._consumer.seek(partition, where)
            self.offsets[partition.partition] = where
            if where < first[partition]:
                self._lost(partition)

    def _move(self, partition: Any, where: Place) -> None:
        # `seek_to_end` would find the offset later, but the checkpoint needs it now.
        self._seek(partition, self._bounds(where, [partition])[partition])

    def _seek(self, partition: Any, offset: int) -> None:
        self._consumer.seek(partition, offset)
        self.offsets[partition.partition] = offset

    def _bounds(self, where: Place, partitions: list[Any]) -> dict[Any, int]:
        ask = (
            self._consumer.beginning_offsets if where == "earliest" else self._consumer.end_offsets
        )
        bounds: dict[Any, int] = ask(partitions, timeout_ms=1000 * ANSWERING)
        return bounds

    def _look_at_ends(self) -> None:
        """Treat the next record of a partition as lost if its end stays before that record."""
        now = time.monotonic()
        for partition in self._partitions:
            number = partition.partition
            end = self._consumer.highwater(partition)
            if end is None or self.offsets[number] <= end:
                self._short.pop(number, None)
            elif now - self._short.setdefault(number, now) > PATIENCE:
                self._lost(partition)

    def _take(self, error: KafkaError) -> None:
        """Note an error that ends by itself, mend what can be mended, and raise any other error."""
        if isinstance(error, OffsetOutOfRangeError):
            ((partition, _),) = error.args[0].items()
            self._lost(partition)
        elif isinstance(error, LogTruncationError):
            for partition, end in error.divergent_offsets.items():
                self._cut(partition, None if end is None else end.offset)
        elif passes(error):
            self.error = error
        else:
            raise failure(error, self.options, topic=self.topic) from None

    def _lost(self, partition: Any) -> None:
        """Resume at `reset` if the broker has dropped the next record, or raise DataError."""
        self._check_topic()
        offset = self.offsets[partition.partition]
        try:
            first = self._bounds("earliest", [partition])[partition]
            last = (
                self._consumer.highwater(partition)
                or self._bounds("latest", [partition])[partition]
            )
            held = f"{first} to {last - 1}" if last > first else f"none before {last}"
            self._resume(
                partition, f"offset {offset} comes next, and the broker has {held}", self.reset
            )
        except KafkaError as error:
            # The broker may not report its offsets now. The next poll leads here again.
            self._take(error)

    def _cut(self, partition: Any, end: int | None) -> None:
        """Resume where the log of a partition was cut behind this reader, or raise DataError."""
        self._check_topic()
        offset = self.offsets[partition.partition]
        what = (
            f"offset {offset} comes next, but the log was cut"
            f"{'' if end is None else f' at offset {end}'} and written anew, because a broker "
            "that lacked records became leader"
        )
        try:
            self._resume(partition, what, self.reset if end is None else end)
        except KafkaError as error:
            self._take(error)

    def _resume(self, partition: Any, what: str, where: int | Place | None) -> None:
        what = f"{self.topic}[{partition.partition}]: {what}"
        if self.reset is None or where is None:
            raise DataError(f"{what}; the records between are lost: {ADVICE}")
        if isinstance(where, int):
            self._seek(partition, where)
        else:
            self._move(partition, where)
        log.warning("%s; resumed at %d", what, self.offsets[partition.partition])

    def _check_topic(self) -> None:
        """Raise DataError if offsets changed because the topic was made again."""
        if self.watch is not None:
            self.watch.ask(ANSWERING)
            self.watch.check()
