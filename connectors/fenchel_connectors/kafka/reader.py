"""The records of some partitions, from chosen offsets on, as they arrive."""

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
"""Seconds that a partition may end before the offset that is read next: after a change of leaders
it does for a moment, and some brokers say nothing of an offset that does not exist."""

CLOSING = 3
"""Seconds that what was committed last may take at the end."""

ANSWERING = 5
"""Seconds that a broker may take to say which offsets it has."""


class _Silence:
    """Keeps the client from logging as errors what it breaks off at its end.

    Its log is one for all threads, of which several may be at their ends at the same time.
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
    """A consumer of fixed partitions, which nobody else takes away.

    Parameters
    ----------
    topic
        Name of the topic.
    offsets
        Where to begin, by partition: an offset, ``"earliest"`` or ``"latest"``.
    options
        Of the client.
    reset
        Where to go on if the broker no longer has an offset; None makes that an error.

    Attributes
    ----------
    offsets
        The next record of each partition.

    Raises
    ------
    ConfigError
        The brokers do not answer, or an option is not one of theirs.
    DataError
        Records that come next are gone.
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
        self._ended: dict[int, float] = {}  # since when a partition ends before its offset
        self._parts = [TopicPartition(topic, number) for number in offsets]
        try:
            self._consumer = KafkaConsumer(**options.values)
        except (KafkaError, TypeError, ValueError, OSError) as error:
            raise ConfigError(unreachable(options, error)) from None
        try:
            self._consumer.assign(self._parts)
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

        Those of one partition stand together and in order.
        """
        try:
            found = self._consumer.poll(0, max_records=count)
        except OffsetOutOfRangeError as error:
            ((part, _),) = error.args[0].items()
            self._lost(part)
            return []
        except KafkaError as error:
            raise DataError(unreachable(self.options, error)) from None
        records: list[Any] = []
        for part, some in found.items():
            records += some
            self.offsets[part.partition] = some[-1].offset + 1
        if not records:
            self._look_at_ends()
        return records

    def frontier(self) -> tuple[int, int]:
        """Return offset and partition before which, in this order, no record will come any more."""
        return min((self._consumer.position(part), part.partition) for part in self._parts)

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Tell the group, if there is one, how far learning is, for those who watch its lag."""
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
        """Leave the cluster, once it knows what was committed."""
        end = time.monotonic() + CLOSING
        while self._commit is not None and not self._commit.is_done and time.monotonic() < end:
            time.sleep(0.005)
        with SILENCE:
            self._consumer.close(autocommit=False, timeout_ms=1000 * CLOSING)

    def _begin(self, offsets: Mapping[int, int | Place]) -> None:
        first = self._bounds("earliest")
        for part in self._parts:
            where = offsets[part.partition]
            if isinstance(where, str):
                self._move(part, where)
                continue
            self._consumer.seek(part, where)
            self.offsets[part.partition] = where
            if where < first[part]:
                self._lost(part)

    def _move(self, part: Any, where: Place) -> None:
        # Not by `seek_to_end`: an offset that is found only now is one for the checkpoint.
        offset = self._bounds(where)[part]
        self._consumer.seek(part, offset)
        self.offsets[part.partition] = offset

    def _bounds(self, where: Place) -> dict[Any, int]:
        ask = (
            self._consumer.beginning_offsets if where == "earliest" else self._consumer.end_offsets
        )
        bounds: dict[Any, int] = ask(self._parts, timeout_ms=1000 * ANSWERING)
        return bounds

    def _look_at_ends(self) -> None:
        for part in self._parts:
            end = self._consumer.highwater(part)
            if end is None or self.offsets[part.partition] <= end:
                self._ended.pop(part.partition, None)
            elif (
                time.monotonic() - self._ended.setdefault(part.partition, time.monotonic())
                > PATIENCE
            ):
                self._lost(part)

    def _lost(self, part: Any) -> None:
        """Go on where the user said, or not at all: the next record is not there."""
        try:
            self._go_on(part)
        except KafkaError as error:
            if not error.retriable:
                raise DataError(unreachable(self.options, error)) from None
            # The broker does not say what it has: it is asked again when the next poll finds this.

    def _go_on(self, part: Any) -> None:
        offset = self.offsets[part.partition]
        first = self._bounds("earliest")[part]
        last = self._consumer.highwater(part) or self._bounds("latest")[part]
        held = f"{first} to {last - 1}" if last > first else f"none before {last}"
        what = (
            f"{self.topic}[{part.partition}]: offset {offset} comes next, and the broker has {held}"
        )
        if self.reset is None:
            raise DataError(
                f'{what}: what lies between is lost; reset = "earliest" or "latest" in '
                "[source.options] goes on there without it"
            )
        self._move(part, self.reset)
        log.warning("%s: went on at %d (%s)", what, self.offsets[part.partition], self.reset)

    def _committed(self, offsets: object, outcome: object) -> None:
        if isinstance(outcome, Exception):
            # Only those who watch the lag miss it; the position is in the checkpoint.
            log.warning("offsets could not be committed: %s", self.options.scrub(outcome))
