"""Predictions and dead letters as records of a topic, each once.

What a run has learnt is in its checkpoint, and what it has published is in the topic: neither can
be written together with the other, so one of them must be ahead when the process dies, and on
recovery one of them must give way. Here the topic is ahead, and is never taken back:

- Each record says where its source record stood (``where``): prediction and position are one
  record, and become visible together. With `transactional`, so does a whole batch.
- A batch is committed before the next checkpoint is renamed into place. A checkpoint thus never
  speaks of a prediction that was not published.
- A checkpoint keeps the end of the topic. Who goes on from it reads what the topic holds after
  that, and leaves out each prediction that is there already when it comes to it again.

So the checkpoint is the truth about what was learnt, the topic about what was published. When the
process dies

- before a transaction is committed, the broker takes it back as soon as the next process asks for
  the same transactional id, and the batch is published by that one;
- after that and before the checkpoint, the batch is predicted again, and not published again;
- while the checkpoint is written, before or after the rename, likewise: either the old one counts
  or the new one, and each knows the end of the topic of its time;
- while it recovers, nothing has changed.

A process that was thought dead and is not cannot write any more: the broker refuses the older of
two with one transactional id. Without `transactional`, a batch may be seen before it is whole, and
what is still under way when the process is killed may arrive after the next one has looked.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError

from fenchel_connectors.jsonl_sink import OPTIONS
from fenchel_connectors.kafka.client import ClientOptions, split_address
from fenchel_connectors.kafka.topic import find_topic, unreachable
from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.streams.source import Position

LARGEST = 64 << 20
"""Bytes of a record before it is compressed; what the broker takes is for it to say."""

CUT = 1000
"""Characters that are left of the text of a record that no broker takes."""

UNSETTLED = 10_000
"""Records that may be under way, where no checkpoint asks for them, before they are waited for."""

CLOSING = 5.0
"""Seconds that the client may take to leave."""

LOOKING = 75.0
"""Seconds without a record after which a look at what is there is given up: another run may have
begun a transaction and died, which hides what comes after it until the broker ends it, by default
after a minute."""

LOOK = 50
"""Milliseconds that a look at what is there may wait: at the end of a topic it waits in vain."""


class KafkaSink:
    """A topic that takes one JSON object a record.

    Parameters
    ----------
    address
        ``//host:port/topic``, as that of `KafkaSource`. The topic must exist.
    client
        Options of the Kafka client, see `ClientOptions`.
    key
        The field of a record that becomes its key in the topic.
    value
        The field whose bytes become its value; by default all fields do, as JSON.
    writer
        What tells the records of this run from those of others in the same topic.
    transactional
        Commit each batch as one transaction, with `writer` as transactional id.

    Raises
    ------
    ConfigError
        No broker answers, or there is no such topic.

    Notes
    -----
    A position is the end of each partition, with what tells the topic from another one of the same
    name, and those records of this run (``ahead``) that were published but not yet come to again.

    Examples
    --------
    >>> from fenchel_connectors import KafkaSink
    >>> KafkaSink("//localhost/flights/late")
    Traceback (most recent call last):
        ...
    fenchel_stream.errors.ConfigError: kafka://localhost/flights/late is not of the form ...
    """

    def __init__(
        self,
        address: str,
        *,
        client: dict[str, Any] | None = None,
        key: str = "where",
        value: str | None = None,
        writer: str = "",
        transactional: bool = False,
    ) -> None:
        servers, self.name = split_address(address)
        self.client = ClientOptions(client or {}, servers)
        self.key = key
        self.value = value
        self.writer = writer
        self.transactional = transactional
        self.topic = find_topic(self.name, self.client)
        self._ends: dict[int, int] = {}
        self._ahead: set[str] = set()
        self._sent: list[tuple[Any, Mapping[str, Any]]] = []
        self._closed = False
        try:
            self._producer = KafkaProducer(**self._options())
        except (KafkaError, TypeError, ValueError) as error:
            raise ConfigError(unreachable(self.client, error)) from None
        try:
            if transactional:
                # Whoever had the id before is shut out, and what it did not commit is taken back.
                self._producer.init_transactions()
            self.truncate(None)
        except KafkaError as error:
            self.close()
            raise ConfigError(unreachable(self.client, error)) from None
        except BaseException:
            self.close()
            raise

    def write(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Publish the records that are not there yet.

        Raises
        ------
        DataError
            The brokers do not take them.
        """
        new = [record for record in records if not self._published(record["where"])]
        if not new:
            return
        try:
            if self.transactional:
                self._producer.begin_transaction()
            for record in new:
                self._send(record)
            if self.transactional:
                self._settle()
                self._producer.commit_transaction()
            elif len(self._sent) > UNSETTLED:
                self._settle()
        except KafkaError as error:
            raise self._refused(error) from None

    def flush(self) -> None:
        """Return once the brokers have everything written so far.

        Raises
        ------
        DataError
            They do not take it.
        """
        try:
            self._settle()
        except KafkaError as error:
            raise self._refused(error) from None

    @property
    def position(self) -> Position:
        """The end of each partition, and the records of this run that are ahead of it."""
        ends = {str(number): self._ends[number] for number in sorted(self._ends)}
        return {**self.topic.identity(), "offsets": ends, "ahead": sorted(self._ahead)}

    def truncate(self, position: Position | None) -> None:
        """Leave out from now on what this run has published after `position`.

        Nothing is dropped: readers have seen it. Where `position` is None, the run begins anew, and
        publishes again what an earlier one has published.

        Raises
        ------
        CheckpointError
            `position` is of another topic.
        DataError
            The topic cannot be read, or not to its end.
        """
        parts = [TopicPartition(self.name, number) for number in range(self.topic.partitions)]
        self._ahead.clear()
        offsets: dict[str, int] = {}
        if position is not None:
            self.topic.check(position)
            self._ahead.update(position["ahead"])
            offsets = position["offsets"]
        try:
            consumer = KafkaConsumer(**self.client.of(KafkaConsumer) | {"group_id": None})
            try:
                consumer.assign(parts)
                begin = consumer.end_offsets(parts)
                if position is not None:
                    # What the broker has dropped since nobody can read any more.
                    first = consumer.beginning_offsets(parts)
                    begin = {p: max(offsets.get(str(p.partition), 0), first[p]) for p in parts}
                found = self._read(consumer, begin)
            finally:
                consumer.close()
        except KafkaError as error:
            raise self._refused(error) from None
        if position is not None:
            self._ahead |= found

    def close(self) -> None:
        """Publish what is under way and leave; closing twice does no harm.

        Raises
        ------
        DataError
            The brokers do not take it.
        """
        if self._closed:
            return
        try:
            self._settle(CLOSING)
            self._producer.close(timeout=CLOSING)
        except KafkaError as error:
            raise self._refused(error) from None
        self._closed = True

    def _read(self, consumer: Any, begin: Mapping[Any, int]) -> set[str]:
        """Return where the records come from that this run has put after some offsets."""
        for part, offset in begin.items():
            consumer.seek(part, offset)
        found: set[str] = set()
        mine = self.writer.encode()
        # As they are when reading begins: what others publish meanwhile is nothing to wait for.
        # Some brokers are wrong about the end of a topic, but not about what they can read.
        ends: dict[Any, int] = {}
        last = time.monotonic()
        while any(part not in ends or consumer.position(part) < ends[part] for part in begin):
            for records in consumer.poll(timeout_ms=LOOK).values():
                last = time.monotonic()
                headers = [dict(record.headers) for record in records]
                found |= {one["where"].decode() for one in headers if one.get("writer") == mine}
            if time.monotonic() - last > LOOKING:
                raise KafkaTimeoutError(
                    f"nothing came for {LOOKING:g} s of what the topic holds: the broker is gone, "
                    "or a transaction there has not ended"
                )
            known = {part: consumer.highwater(part) for part in begin}
            ends = {part: end for part, end in known.items() if end is not None} | ends
        self._ends = {part.partition: consumer.position(part) for part in begin}
        return found

    def _published(self, where: str) -> bool:
        """Return whether a record is in the topic already, which is asked once."""
        if where not in self._ahead:
            return False
        self._ahead.remove(where)
        return True

    def _send(self, record: Mapping[str, Any]) -> None:
        key = record.get(self.key)
        future = self._producer.send(
            self.name,
            orjson.dumps(record, str, OPTIONS).rstrip(b"\n")
            if self.value is None
            else record[self.value],
            key=None if key is None else str(key).encode(),
            headers=[("writer", self.writer.encode()), ("where", record["where"].encode())],
        )
        self._sent.append((future, record))

    def _settle(self, patience: float | None = None) -> None:
        """Wait until all that was sent is there, and note where it ends."""
        while self._sent:
            self._producer.flush(patience)
            sent, self._sent = self._sent, []
            for future, record in sent:
                try:
                    there = future.get(CLOSING)
                except MessageSizeTooLargeError:
                    if "raw" not in record or record.get("cut"):
                        raise
                    # Its place is in the letter: whoever needs the rest finds it there.
                    self._send(_cut(record))
                    continue
                self._ends[there.partition] = max(
                    self._ends.get(there.partition, 0), there.offset + 1
                )

    def _refused(self, error: KafkaError) -> DataError:
        self._sent.clear()  # it is told once
        return DataError(f"{self.name} cannot be written: {unreachable(self.client, error)}")

    def _options(self) -> dict[str, Any]:
        options = {"compression_type": "gzip", "max_request_size": LARGEST, "linger_ms": 5}
        options |= self.client.of(KafkaProducer) | {"acks": "all", "enable_idempotence": True}
        if self.transactional:
            options["transactional_id"] = f"fenchel-stream-{self.writer}"
        return options


def _cut(letter: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in letter.items() if name != "base64"}
    return {**rest, "raw": letter["raw"][:CUT], "cut": True}
