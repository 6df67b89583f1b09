"""Predictions and dead letters as records of a topic, each published once.

The checkpoint holds what a run has learnt, and the topic holds what it has published. The two
cannot be written in one step. When the process dies, one of them is ahead, and recovery must
adapt the other. Here the topic is ahead, and published records are never taken back:

- Each record names the place of its source record (``where``). Prediction and place are one record
  and become visible together. With `transactional`, a whole batch becomes visible together.
- A batch is committed before the next checkpoint is renamed into place. A checkpoint thus never
  counts a prediction that was not published.
- A checkpoint keeps the end of the topic. A resumed run reads the records after that end, and skips
  each prediction that it finds among them.

The process may die

- before a transaction is committed: the broker aborts it when the next process asks for the same
  transactional id, and that process publishes the batch;
- after the commit and before the checkpoint: the batch is predicted again, and not published again;
- while the checkpoint is written: either the old checkpoint counts or the new one, and each knows
  the end of the topic at its time;
- during recovery: nothing has changed yet.

A process that hangs and is replaced cannot write later: of two producers with one transactional id,
the broker refuses the older. Without `transactional`, readers may see a part of a batch. Records in
flight when the process is killed may then arrive after the next process has read the topic.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import Any, ClassVar

import orjson
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError

from fenchel_connectors.jsonl_sink import OPTIONS
from fenchel_connectors.kafka.client import ClientOptions, split_address
from fenchel_connectors.kafka.client_log import SILENCE
from fenchel_connectors.kafka.connection import connect
from fenchel_connectors.kafka.failures import explain, failure
from fenchel_connectors.kafka.patience import Patience
from fenchel_connectors.kafka.topic import find_topic
from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.streams.sink import RawRecord, Sink
from fenchel_stream.streams.source import Position

LARGEST = 64 << 20
"""Bytes of a record before it is compressed; what the broker takes is for it to say."""

DEFAULTS: dict[str, Any] = {
    "compression_type": "gzip",
    "linger_ms": 5,
    "max_request_size": LARGEST,
    "max_block_ms": 10_000,
    "delivery_timeout_ms": 2**31 - 1,
}
"""Defaults that differ from kafka-python's: the client sends a record until the brokers have it. A
record that is handed to it a second time could stand in the topic twice."""

FORCED: dict[str, Any] = {"acks": "all", "enable_idempotence": True}
"""Options that cannot be set: any other value would lose records or publish them twice."""

CUT = 1000
"""Characters of its text that a dead letter keeps if the broker refuses it as too large."""

UNSETTLED = 10_000
"""Records in flight after which `write` waits for the broker, even if no checkpoint is due."""

CLOSING = 5.0
"""Seconds that the client may take to close."""

LOOKING = 75.0
"""Seconds without a record after which reading the topic is given up. Another run may have begun a
transaction and died. That hides later records until the broker aborts it, by default after a
minute."""

STUCK = 120.0
"""Seconds for which the cluster may answer while a transaction does not end. After all brokers had
died, kafka-python 3.0.12 has waited for ever; a run that starts again publishes the batch."""

LOOK = 50
"""Milliseconds that one poll of the topic may wait. At the end of the topic it always waits."""


RESENDER = "dead letters"
"""The `writer` of records that `KafkaSink.resend` publishes."""


class KafkaSink(Sink):
    """A topic that takes one JSON object a record.

    Parameters
    ----------
    address
        ``//host:port/topic``, as that of `KafkaSource`. The topic must exist.
    client
        Options of the Kafka client, see `ClientOptions`.
    key
        The field of a record that becomes its key in the topic.
    writer
        Name of the run, which marks its records among those of other runs in the same topic.
    transactional
        Commit each batch as one transaction, with `writer` as transactional id.

    Raises
    ------
    ConfigError
        No broker answers, or the topic does not exist.

    Notes
    -----
    A position is the identity of the topic, the end of each partition, and the places of those
    records of this run (``ahead``) that the topic holds and the resumed run has not reached yet.

    Examples
    --------
    >>> from fenchel_connectors import KafkaSink
    >>> KafkaSink("//localhost/flights/late")
    Traceback (most recent call last):
        ...
    fenchel_stream.errors.ConfigError: kafka://localhost/flights/late is not of the form ...
    """

    client_table: ClassVar[str | None] = "kafka"
    shared: ClassVar[bool] = True

    def __init__(
        self,
        address: str,
        *,
        client: dict[str, Any] | None = None,
        key: str = "where",
        writer: str = "",
        transactional: bool = False,
    ) -> None:
        servers, self.name = split_address(address)
        self.client = ClientOptions(client or {}, servers)
        self.key = key
        self.writer = writer
        self.transactional = transactional
        self.topic = find_topic(self.name, self.client)
        self._ends: dict[int, int] = {}
        self._ahead: set[str] = set()
        self._sent: list[tuple[Any, Mapping[str, Any]]] = []
        self._closed = False
        self._patience = Patience(self.name, self.client)
        self._producer = connect(
            KafkaProducer, self.client, self.name, action="write", **self._options()
        )
        try:
            if transactional:
                # This fences the earlier producer with this id, and aborts its open transaction.
                self._producer.init_transactions()
            self.truncate(None)
        except KafkaError as error:
            self.close()
            raise failure(
                error, self.client, topic=self.name, action="write", kind=ConfigError
            ) from None
        except BaseException:
            self.close()
            raise

    def write(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Publish the records that the topic does not hold yet; wait while the brokers are away.

        Raises
        ------
        DataError
            The brokers refuse them.
        """
        new = [record for record in records if not self._published(record["where"])]
        if not new:
            return
        try:
            self._patience.wait_for(
                lambda: self._publish(new), stuck_after=STUCK if self.transactional else inf
            )
        except KafkaError as error:
            raise self._refused(error) from None

    def flush(self) -> None:
        """Return once the brokers have everything written so far.

        Raises
        ------
        DataError
            The brokers refuse a record.
        """
        try:
            self._patience.wait_for(self._settle)
        except KafkaError as error:
            raise self._refused(error) from None

    def on_outage(self, call: Callable[[float], None]) -> None:
        """Call a function about twice a second while the brokers are away."""
        self._patience.while_waiting = call

    @property
    def position(self) -> Position:
        """The identity and the end of the topic, and the records ahead of the run."""
        ends = {str(number): self._ends[number] for number in sorted(self._ends)}
        return {**self.topic.identity(), "offsets": ends, "ahead": sorted(self._ahead)}

    def truncate(self, position: Position | None) -> None:
        """Skip from now on the records that this run has published after `position`.

        Nothing is dropped, because readers have seen it. If `position` is None, the run begins
        anew, and publishes again what an earlier run has published.

        Raises
        ------
        CheckpointError
            `position` is of another topic.
        DataError
            The topic cannot be read to its end.
        """
        partitions = [TopicPartition(self.name, number) for number in range(self.topic.partitions)]
        self._ahead.clear()
        offsets: dict[str, int] = {}
        if position is not None:
            self.topic.check(position)
            self._ahead.update(position["ahead"])
            offsets = position["offsets"]

        def look() -> set[str]:
            consumer = connect(KafkaConsumer, self.client, self.name, group_id=None)
            try:
                consumer.assign(partitions)
                begin = consumer.end_offsets(partitions)
                if position is not None:
                    # The broker may have dropped old records since.
                    first = consumer.beginning_offsets(partitions)
                    begin = {p: max(offsets.get(str(p.partition), 0), first[p]) for p in partitions}
                return self._read(consumer, begin)
            finally:
                with SILENCE:
                    consumer.close()

        try:
            # A run that begins should end soon if its brokers do not answer.
            published = look() if position is None else self._patience.repeat(look)
        except KafkaError as error:
            raise self._refused(error) from None
        if position is not None:
            self._ahead |= published

    def close(self) -> None:
        """Wait for the records in flight and close the client; a second call does no harm.

        Raises
        ------
        DataError
            The brokers refuse a record.
        """
        if self._closed:
            return
        try:
            self._settle(CLOSING)
            self._producer.close(timeout=CLOSING)
        except KafkaError as error:
            raise self._refused(error) from None
        self._closed = True

    @classmethod
    def resend(cls, address: str, records: Sequence[RawRecord], **options: Any) -> int:
        """Publish the raw records that the topic does not hold yet, and return their number.

        Raises
        ------
        ConfigError
            No broker answers, or the topic does not exist.
        DataError
            The brokers refuse a record.
        """
        sink = cls(address, key="key", writer=RESENDER, **options)
        try:
            # Only the topic itself knows for certain which records were sent before.
            sink.truncate({**sink.position, "offsets": {}, "ahead": []})
            new = [record for record in records if not sink._published(record.where)]
            for record in new:
                sink._send({"where": record.where, "key": record.key}, record.value)
            sink.flush()
        except KafkaError as error:
            raise sink._refused(error) from None
        finally:
            sink.close()
        return len(new)

    def _publish(self, records: list[Mapping[str, Any]]) -> None:
        if self.transactional:
            self._producer.begin_transaction()
        for record in records:
            self._send(record, orjson.dumps(record, str, OPTIONS).rstrip(b"\n"))
        if self.transactional:
            self._settle()
            self._producer.commit_transaction()
        elif len(self._sent) > UNSETTLED:
            self._settle()

    def _read(self, consumer: Any, begin: Mapping[Any, int]) -> set[str]:
        """Return the places (``where``) of the records that this run has put after some offsets."""
        for partition, offset in begin.items():
            consumer.seek(partition, offset)
        places: set[str] = set()
        writer = self.writer.encode()
        # The ends at the first poll: records that others publish meanwhile are not waited for.
        # Some brokers report a wrong end of a topic, but a correct high watermark when polled.
        ends: dict[Any, int] = {}
        last = time.monotonic()
        while any(
            partition not in ends or consumer.position(partition, timeout_ms=0) < ends[partition]
            for partition in begin
        ):
            for records in consumer.poll(timeout_ms=LOOK).values():
                last = time.monotonic()
                headers = [dict(record.headers) for record in records]
                places |= {one["where"].decode() for one in headers if one.get("writer") == writer}
            if time.monotonic() - last > LOOKING:
                raise KafkaTimeoutError(
                    f"no record came for {LOOKING:g} s before the end of the topic: the broker is "
                    "gone, or a transaction in the topic has not ended"
                )
            known = {partition: consumer.highwater(partition) for partition in begin}
            ends = {partition: end for partition, end in known.items() if end is not None} | ends
        self._ends = {p.partition: consumer.position(p, timeout_ms=0) for p in begin}
        return places

    def _published(self, where: str) -> bool:
        """Return whether the topic holds the record of a place already, and forget the place."""
        if where not in self._ahead:
            return False
        self._ahead.remove(where)
        return True

    def _send(self, record: Mapping[str, Any], value: bytes) -> None:
        key = record.get(self.key)
        while True:
            try:
                future = self._producer.send(
                    self.name,
                    value,
                    key=None if key is None else str(key).encode(),
                    headers=[("writer", self.writer.encode()), ("where", record["where"].encode())],
                )
            except KafkaTimeoutError:
                continue  # the client has no room for more, and did not take the record
            self._sent.append((future, record))
            return

    def _settle(self, patience: float | None = None) -> None:
        """Wait until the brokers have all records in flight, and note the new ends."""
        while self._sent:
            self._producer.flush(patience)
            sent, self._sent = self._sent, []
            for future, record in sent:
                try:
                    stored = future.get(CLOSING)
                except MessageSizeTooLargeError:
                    if "raw" not in record or record.get("cut"):
                        raise
                    # The letter keeps the place of the record, where the rest is.
                    letter = _cut(record)
                    self._send(letter, orjson.dumps(letter, str, OPTIONS).rstrip(b"\n"))
                    continue
                self._ends[stored.partition] = max(
                    self._ends.get(stored.partition, 0), stored.offset + 1
                )

    def _refused(self, error: KafkaError) -> DataError:
        self._sent.clear()  # the same error is raised once
        why = explain(error, self.client, topic=self.name, action="write")
        return DataError(f"{self.name} cannot be written: {why}")

    def _options(self) -> dict[str, Any]:
        options = DEFAULTS | self.client.of(KafkaProducer) | FORCED
        if self.transactional:
            options["transactional_id"] = f"fenchel-stream-{self.writer}"
        return options


def _cut(letter: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in letter.items() if name != "base64"}
    return {**rest, "raw": letter["raw"][:CUT], "cut": True}
