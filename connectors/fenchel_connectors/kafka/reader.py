"""Reads the records of some partitions from chosen offsets on, as they arrive."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any, Literal, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, OffsetOutOfRangeError
from kafka.structs import OffsetAndMetadata

from fenchel_connectors.kafka.client import ClientOptions
from fenchel_connectors.kafka.topic import unreachable
from fenchel_stream.errors import ConfigError, DataError

log = logging.getLogger(__name__)

CLIENT_LOG = logging.getLogger("kafka")

Place = Literal["earliest", "latest"]

PATIENCE = 3.0
"""Seconds that a partition may end before the offset that is read next. After a change of leaders
it does so for a moment, and some brokers report no error for an offset that does not exist."""

CLOSING = 3
"""Seconds that the last commit may take when the reader closes."""

ANSWERING = 5
"""Seconds that a broker may take to report its offsets."""


class _Silence:
    """Silences the client's log while it closes: it logs the requests that it aborts as errors.

    All threads share this log, and several readers may close at the same time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._level = logging.NOTSET

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._level = CLIENT_LOG.level
                CLIENT_LOG.setLevel(logging.CRITICAL)
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                CLIENT_LOG.setLevel(self._level)


SILENCE = _Silence()


class Reader:
    """A consumer of fixed partitions, without the rebalancing of a consumer group.

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

    Attributes
    ----------
    offsets
        The next record of each partition.

    Raises
    ------
    ConfigError
        The brokers do not answer, or the client refuses an option.
    DataError
        The broker has dropped the next records.
    """

    def __init__(
        self,
        topic: str,
        offsets: Mapping[int, int | Place],
        options: ClientOptions,
        reset: Place | None = None,
    ) -> None:
        self.topic = topic
        self.options = options
        self.reset = reset
        self.offsets: dict[int, int] = {}
        self._commit: Any = None
        self._short: dict[int, float] = {}  # since when a partition ends before its next offset
        self._topic_partitions = [TopicPartition(topic, number) for number in offsets]
        try:
            self._consumer = KafkaConsumer(**options.values)
        except (KafkaError, TypeError, ValueError, OSError) as error:
            raise ConfigError(unreachable(options, error)) from None
        try:
            self._consumer.assign(self._topic_partitions)
            self._begin(offsets)
        except KafkaError as error:
            self.close()
            raise ConfigError(unreachable(options, error)) from None
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
        """
        try:
            arrived = self._consumer.poll(0, max_records=count)
        except OffsetOutOfRangeError as error:
            ((partition, _),) = error.args[0].items()
            self._lost(partition)
            return []
        except KafkaError as error:
            raise DataError(unreachable(self.options, error)) from None
        records: list[Any] = []
        for partition, consecutive in arrived.items():
            records += consecutive
            self.offsets[partition.partition] = consecutive[-1].offset + 1
        if not records:
            self._look_at_ends()
        return records

    def frontier(self) -> tuple[int, int]:
        """Return the smallest (offset, partition) that a record to come may have."""
        return min((self._consumer.position(p), p.partition) for p in self._topic_partitions)

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit offsets to the consumer group, if configured, so that tools can show the lag."""
        if self.options.values.get("group_id") is None:
            return
        self._commit = self._consumer.commit_async(
            {
                TopicPartition(self.topic, number): OffsetAndMetadata(offset, "", -1)
                for number, offset in offsets.items()
            },
            callback=self._committed,
        )

    def close(self) -> None:
        """Close the client once the last commit is done, or after a few seconds."""
        end = time.monotonic() + CLOSING
        while self._commit is not None and not self._commit.is_done and time.monotonic() < end:
            time.sleep(0.005)
        with SILENCE:
            self._consumer.close(autocommit=False, timeout_ms=1000 * CLOSING)

    def _begin(self, offsets: Mapping[int, int | Place]) -> None:
        first = self._bounds("earliest")
        for partition in self._topic_partitions:
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
        offset = self._bounds(where)[partition]
        self._consumer.seek(partition, offset)
        self.offsets[partition.partition] = offset

    def _bounds(self, where: Place) -> dict[Any, int]:
        ask = (
            self._consumer.beginning_offsets if where == "earliest" else self._consumer.end_offsets
        )
        bounds: dict[Any, int] = ask(self._topic_partitions, timeout_ms=1000 * ANSWERING)
        return bounds

    def _look_at_ends(self) -> None:
        """Treat the next record of a partition as lost if its end stays before that record."""
        now = time.monotonic()
        for partition in self._topic_partitions:
            number = partition.partition
            end = self._consumer.highwater(partition)
            if end is None or self.offsets[number] <= end:
                self._short.pop(number, None)
            elif now - self._short.setdefault(number, now) > PATIENCE:
                self._lost(partition)

    def _lost(self, partition: Any) -> None:
        """Resume at `reset` if the broker has dropped the next record, or raise DataError."""
        try:
            self._skip(partition)
        except KafkaError as error:
            if not error.retriable:
                raise DataError(unreachable(self.options, error)) from None
            # The broker does not report its offsets now. The next poll leads here again.

    def _skip(self, partition: Any) -> None:
        offset = self.offsets[partition.partition]
        first = self._bounds("earliest")[partition]
        last = self._consumer.highwater(partition) or self._bounds("latest")[partition]
        held = f"{first} to {last - 1}" if last > first else f"none before {last}"
        what = (
            f"{self.topic}[{partition.partition}]: offset {offset} comes next, and the broker has "
            f"{held}"
        )
        if self.reset is None:
            raise DataError(
                f'{what}: what lies between is lost; reset = "earliest" or "latest" in '
                "[source.options] goes on there without it"
            )
        self._move(partition, self.reset)
        log.warning("%s: went on at %d (%s)", what, self.offsets[partition.partition], self.reset)

    def _committed(self, offsets: object, outcome: object) -> None:
        if isinstance(outcome, Exception):
            # Only the shown lag is wrong; the position is in the checkpoint.
            log.warning("offsets could not be committed: %s", self.options.scrub(outcome))
