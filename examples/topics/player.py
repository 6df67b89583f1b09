"""Plays the flights of 2013: to one topic at departure, their labels to another on arrival."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import orjson
import polars as pl
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

FLIGHTS = Path(__file__).parent.parent / "data" / "flights.csv.gz"
EVENTS, LABELS = "flights", "arrivals"

EVERY = 8
"""One flight of so many is played: then the whole year is less than 100,000 messages."""

CHUNK = 200

# By default Kafka deletes records with times older than a week, and these are of 2013.
KEPT = {"num_partitions": 1, "configs": {"retention.ms": "-1"}}


def timeline() -> list[tuple[int, str, bytes, bytes]]:
    """Return all messages in the order of their times: milliseconds, topic, key, value.

    The arrival times in the data are local, so that they cannot be compared. The duration of a
    flight is assumed to be 40 minutes and one minute for every eight miles.
    """
    flights = pl.read_csv(FLIGHTS).gather_every(EVERY).with_row_index("flight")
    departs = pl.datetime(
        2013,
        "month",
        "day",
        pl.col("sched_dep_time") // 100 % 24,
        pl.col("sched_dep_time") % 100,
        time_unit="ms",
    )
    flights = flights.with_columns(
        departs=departs, arrives=departs + pl.duration(minutes=40 + pl.col("distance") // 8)
    )
    messages = []
    for row in flights.drop("departs", "arrives").rows(named=True):
        key, late = f"2013-{row.pop('flight')}".encode(), row.pop("late")
        messages.append((EVENTS, key, orjson.dumps(row)))
        messages.append((LABELS, key, orjson.dumps({"late": late})))
    times = flights.select(
        pl.concat_list("departs", "arrives").explode().dt.epoch("ms").alias("time")
    )["time"]
    order = times.arg_sort(nulls_last=True).to_list()
    at = times.to_list()
    return [(at[number], *messages[number]) for number in order]


class Player(threading.Thread):
    """Sends the messages that the topics do not hold yet, at a fixed rate, until it is stopped.

    Parameters
    ----------
    bootstrap
        Address of the broker.
    rate
        Messages a second.
    replicas
        Of each topic that is made; -1 leaves them to the cluster.

    Attributes
    ----------
    total
        Number of all messages.
    sent
        Number of messages that the topics hold.
    """

    def __init__(self, bootstrap: str, rate: float, replicas: int = 1) -> None:
        super().__init__(name="player")
        self.bootstrap, self.rate, self.replicas = bootstrap, rate, replicas
        self.messages = timeline()
        self.total = len(self.messages)
        self._stop_asked = threading.Event()
        self._make_topics()
        # Each topic is always filled in the same order, so that its length tells its content.
        left = self._lengths()
        self.sent = sum(left.values())
        self._todo = []
        for message in self.messages:
            if left[message[1]]:
                left[message[1]] -= 1
            else:
                self._todo.append(message)

    def run(self) -> None:
        """Send the messages that are left."""
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=20)
        begin = time.monotonic()
        try:
            for start in range(0, len(self._todo), CHUNK):
                if self._stop_asked.wait(max(0.0, begin + start / self.rate - time.monotonic())):
                    break
                chunk = self._todo[start : start + CHUNK]
                for at, topic, key, value in chunk:
                    producer.send(topic, value, key=key, timestamp_ms=at)
                producer.flush()
                self.sent += len(chunk)
        finally:
            producer.close()

    def stop(self) -> None:
        """Stop sending, and return once the broker has all messages sent so far."""
        self._stop_asked.set()
        self.join()

    def _make_topics(self) -> None:
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            for name in {EVENTS, LABELS}.difference(admin.list_topics()):
                admin.create_topics({name: {**KEPT, "replication_factor": self.replicas}})
        finally:
            admin.close()

    def _lengths(self) -> dict[str, int]:
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, group_id=None)
        try:
            parts = [TopicPartition(name, 0) for name in (EVENTS, LABELS)]
            return {part.topic: end for part, end in consumer.end_offsets(parts).items()}
        finally:
            consumer.close()
