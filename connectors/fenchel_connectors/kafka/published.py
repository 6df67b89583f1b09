"""What a topic holds of a run already: the places of the records that the run has published."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError

from fenchel_connectors.kafka.client import ClientOptions
from fenchel_connectors.kafka.client_log import SILENCE
from fenchel_connectors.kafka.connection import connect
from fenchel_connectors.kafka.topic import Topic

LOOKING = 75.0
"""Seconds without a record after which reading the topic is given up. Another run may have begun a
transaction and died. That hides later records until the broker aborts it, by default after a
minute."""

LOOK = 50
"""Milliseconds that one poll of the topic may wait. At the end of the topic it always waits."""


def find_published(
    topic: Topic, options: ClientOptions, writer: str, offsets: Mapping[str, int] | None
) -> tuple[set[str], dict[int, int]]:
    """Read a topic to its end, and return what one writer has put there, and the end.

    Parameters
    ----------
    topic
        What to read.
    options
        Of the client.
    writer
        Only records with this name in their header ``writer`` count.
    offsets
        Where to begin in each partition; by default at the end.

    Returns
    -------
    places
        The headers ``where`` of those records.
    ends
        The end of each partition.

    Raises
    ------
    KafkaTimeoutError
        The end is not reached.
    """
    partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    consumer = connect(KafkaConsumer, options, topic.name, group_id=None)
    try:
        consumer.assign(partitions)
        begin = consumer.end_offsets(partitions)
        if offsets is not None:
            # The broker may have dropped old records since.
            first = consumer.beginning_offsets(partitions)
            begin = {p: max(offsets.get(str(p.partition), 0), first[p]) for p in partitions}
        places = _read(consumer, begin, writer.encode())
        return places, {p.partition: consumer.position(p, timeout_ms=0) for p in begin}
    finally:
        with SILENCE:
            consumer.close()


def _read(consumer: Any, begin: Mapping[Any, int], writer: bytes) -> set[str]:
    for partition, offset in begin.items():
        consumer.seek(partition, offset)
    places: set[str] = set()
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
    return places
