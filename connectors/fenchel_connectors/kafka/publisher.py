"""One producer, and the records that it has in flight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError

from fenchel_connectors.encoding import encode
from fenchel_connectors.kafka.client import ClientOptions
from fenchel_connectors.kafka.client_log import SILENCE
from fenchel_connectors.kafka.connection import connect

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
"""Records in flight after which `publish` waits for the broker, even if no checkpoint is due."""

CLOSING = 5.0
"""Seconds that the client may take to close."""


class Publisher:
    """A producer of one topic, whose records name their writer and their place.

    A publisher of the same transactional id ends what an earlier one has begun, and the brokers
    refuse whatever the earlier one sends from then on.

    Parameters
    ----------
    topic
        Name of the topic.
    options
        Of the client.
    writer
        Header of all records.
    key
        The field of a record that becomes its key.
    transactional
        Publish each batch as one transaction.

    Attributes
    ----------
    ends
        The end of each partition, as far as it is known.

    Raises
    ------
    KafkaError
        The brokers do not answer, or refuse.
    """

    def __init__(
        self, topic: str, options: ClientOptions, *, writer: str, key: str, transactional: bool
    ) -> None:
        self.ends: dict[int, int] = {}
        self._topic, self._writer, self._key = topic, writer, key
        self._transactional = transactional
        self._sent: list[tuple[Any, Mapping[str, Any]]] = []
        settings = DEFAULTS | options.of(KafkaProducer) | FORCED
        if transactional:
            settings["transactional_id"] = f"fenchel-stream-{writer}"
        self._producer = connect(KafkaProducer, options, topic, action="write", **settings)
        try:
            if transactional:
                # This fences the earlier producer with this id, and aborts its open transaction.
                self._producer.init_transactions()
        except BaseException:
            self.abandon()
            raise

    def publish(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Send the records, and wait for the brokers if they are a transaction or many."""
        if self._transactional:
            self._producer.begin_transaction()
        for record in records:
            self.send(record, encode(record))
        if self._transactional:
            self.settle()
            self._producer.commit_transaction()
        elif len(self._sent) > UNSETTLED:
            self.settle()

    def send(self, record: Mapping[str, Any], value: bytes) -> None:
        """Hand a record to the client, with the value that it has in the topic."""
        key = record.get(self._key)
        while True:
            try:
                future = self._producer.send(
                    self._topic,
                    value,
                    key=None if key is None else str(key).encode(),
                    headers=[
                        ("writer", self._writer.encode()),
                        ("where", record["where"].encode()),
                    ],
                )
            except KafkaTimeoutError:
                continue  # the client has no room for more, and did not take the record
            self._sent.append((future, record))
            return

    def settle(self, patience: float | None = None) -> None:
        """Wait until the brokers have all records in flight, and note the new ends.

        Raises
        ------
        KafkaError
            The brokers refuse a record, or have not answered after `patience` seconds. The same
            refusal is raised once.
        """
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
                    self.send(letter, encode(letter))
                    continue
                self.ends[stored.partition] = max(
                    self.ends.get(stored.partition, 0), stored.offset + 1
                )

    def close(self) -> None:
        """Wait for the records in flight and close the client.

        Raises
        ------
        KafkaError
            The brokers refuse a record, or do not answer in time.
        """
        try:
            self.settle(CLOSING)
        except BaseException:
            self.abandon()
            raise
        self._producer.close(timeout=CLOSING)

    def abandon(self) -> None:
        """End the client without waiting for the records in flight.

        A client with records in flight that is left open waits for them once more when the process
        ends, in vain, and prints a traceback.
        """
        with SILENCE, suppress(KafkaError):
            self._producer._sender.force_close()  # noqa: SLF001 - there is no public way
            self._producer.close(timeout=CLOSING)


def _cut(letter: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in letter.items() if name != "base64"}
    return {**rest, "raw": letter["raw"][:CUT], "cut": True}
