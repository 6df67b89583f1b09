"""A run on three brokers that move leaders, restart and die. Takes about two minutes."""

from __future__ import annotations

import gc
import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.errors import KafkaError

from fenchel_connectors import KafkaSource
from fenchel_stream.errors import DataError
from tests.apache.cluster import NODES, Cluster
from tests.brokers import PATIENCE
from tests.runs import read_lines, rows, saved, start

pytestmark = pytest.mark.filterwarnings(
    # The client leaves a socket to the garbage collector whenever it finds a broker away.
    "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes, which the tests may stop as long as they start them again."""
    with Cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running
    gc.collect()  # the sockets, while the warning of them is expected


class Player(threading.Thread):
    """Sends rows, a hundred a second, until it is stopped; each is acknowledged by a majority.

    Attributes
    ----------
    sent
        How many rows the topic holds, once the thread has ended.
    """

    def __init__(self, cluster: Cluster, topic: str, partitions: int) -> None:
        super().__init__(name="player")
        self.sent = 0
        self._producer = KafkaProducer(
            **cluster.client, linger_ms=5, delivery_timeout_ms=600_000, request_timeout_ms=5000
        )
        self._topic, self._partitions = topic, partitions
        self._stop_asked = threading.Event()

    def run(self) -> None:
        futures = []
        data = rows(5000)
        with closing(self._producer):
            for number in count():
                if self._stop_asked.wait(0.01):
                    break
                value = json.dumps(data[number % len(data)]).encode()
                part = number % self._partitions
                futures.append(self._producer.send(self._topic, value, partition=part))
            self._producer.flush(PATIENCE)
        self.sent = sum(future.succeeded() for future in futures)
        assert self.sent == len(futures)

    def stop(self) -> None:
        """Send no more, and return once the brokers have everything."""
        self._stop_asked.set()
        self.join()


def test_a_run_outlives_its_brokers(cluster: Cluster, tmp_path: Path) -> None:
    """Leaders move, a broker restarts, one is killed, and then all three at once."""
    events, predictions = cluster.topic(partitions=3), cluster.topic(partitions=3)
    cluster.in_sync(events)
    url = f"kafka://{cluster.bootstrap}/"
    changes: dict[str, Any] = {
        "source": {"options": {"deterministic": True}},
        "output": {"predictions": url + predictions},
        "kafka": {"group_id": events},
    }
    player = Player(cluster, events, 3)
    player.start()
    with start(tmp_path, url + events, **changes) as process:
        process.checkpoint_after(100)
        before = cluster.leaders(events)
        # A leader moves because its node holds the partition no more. Then all nodes hold it again,
        # since two of three must acknowledge a record also while a broker is away.
        cluster.move(events, [[(node + shift) % NODES for shift in (1, 2)] for node in before])
        cluster.until(
            lambda admin: not set(enumerate(before)) & set(enumerate(cluster.leaders(events)))
        )
        cluster.move(events, [list(range(NODES))] * len(before))
        cluster.in_sync(events)
        cluster.stop_node(0)
        time.sleep(2)
        cluster.start()
        cluster.in_sync(events)
        cluster.in_sync(predictions)
        cluster.stop_node(1, signal.SIGKILL)
        time.sleep(12)  # until the others know that it is dead
        process.checkpoint_after(saved(tmp_path) + 100)
        cluster.start()
        cluster.in_sync(events)
        cluster.in_sync(predictions)
        for number in range(NODES):
            cluster.stop_node(number, signal.SIGKILL)
        time.sleep(3)
        cluster.start()
        process.checkpoint_after(saved(tmp_path) + 100)
        player.stop()
        # In order, records wait for those of another partition: not all of the last come.
        expected = player.sent // 3 * 3 // 20 * 20
        process.checkpoint_after(expected)
        process.signal(signal.SIGTERM)
        assert process.wait() == 0, process.err.read_text()
        log = process.err.read_text()
    total = saved(tmp_path)
    assert expected <= total <= player.sent
    published = cluster.read(predictions, total, range(3))
    places = [json.loads(record.value)["where"] for record in published]
    assert len(places) == len(set(places)) == total
    assert not (tmp_path / "rejects.jsonl").exists() or not read_lines(tmp_path / "rejects.jsonl")
    assert "Traceback" not in log
    assert len(log.splitlines()) < 200, log


def test_a_log_that_an_unclean_election_has_cut(cluster: Cluster) -> None:
    """A replica that lacks records becomes leader, since no other one is left."""
    cluster.start()
    topic = cluster.topic(min_insync_replicas=1, unclean_leader_election_enable="true")
    # The leader is moved to node 0 by way of a time in which no other node holds the topic.
    for nodes in ([0], [0, 1]):
        cluster.move(topic, [nodes])
        cluster.in_sync(topic, len(nodes))
    assert cluster.leaders(topic) == [0]
    _send(cluster, topic, range(10))
    source = partial(KafkaSource, f"//{cluster.bootstrap}/{topic}")
    with closing(source().batches(10)) as batches:  # type: ignore[type-var]
        found: list[int] = []
        position = None

        def read_until(end: int) -> None:
            nonlocal position
            while len(found) < end:
                batch = next(batches)
                if batch.where:
                    found.extend(batch.rows["n"])
                    position = batch.position

        read_until(10)
        cluster.stop_node(1)
        cluster.in_sync(topic, 1)
        _send(cluster, topic, range(10, 30))
        read_until(30)
        cluster.stop_node(0, signal.SIGKILL)
        cluster.start_node(1)
        cluster.until(lambda admin: cluster.leaders(topic) == [1])
        _send(cluster, topic, range(100, 140))
        message = rf"{topic}\[0\]: offset 30 comes next, but the log was cut at offset 10"
        with pytest.raises(DataError, match=message):
            read_until(31)
    assert found == list(range(30))
    cluster.start()


def _send(cluster: Cluster, topic: str, numbers: range) -> None:
    """Send again until it is possible: the leader has just changed."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return cluster.send(topic, [b'{"n": %d}' % n for n in numbers], partition=0)
        except KafkaError:
            assert time.monotonic() < end, "the cluster takes no records"
