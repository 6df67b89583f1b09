"""Three nodes of Apache Kafka, for what one broker cannot show: leaders move, brokers die.

They need about 400 MB each, and 10 to 20 seconds until all answer.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import KafkaError

from tests.apache.jars import obstacle
from tests.apache.node import Node
from tests.brokers import PATIENCE, Broker, free_port

NODES = 3


class Cluster(Broker):
    """A cluster on loopback, each node in a process of its own.

    Parameters
    ----------
    folder
        Where the data and the output of the nodes go.
    settings
        Further settings of all brokers.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str | int] | None = None) -> None:
        if reason := obstacle():
            pytest.skip(reason)
        self.name = "apache"
        self.folder = folder
        self.replicas = NODES
        ports = [free_port() for _ in range(NODES)]
        controllers = [free_port() for _ in range(NODES)]
        self.listens = self.bootstrap = ",".join(f"127.0.0.1:{port}" for port in ports)
        self.client = {"bootstrap_servers": self.bootstrap.split(",")}
        self.nodes = [
            Node(folder / f"node-{number}", number, ports, controllers, settings or {})
            for number in range(NODES)
        ]
        self._process = None  # each node has its own
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def __exit__(self, *error: object) -> None:
        for number in list(self._running):
            self.stop_node(number, signal.SIGKILL)

    def start(self) -> None:
        """Start all nodes that do not run, and return once all answer."""
        for number in range(NODES):
            if number not in self._running:
                self.start_node(number)
        for node in self.nodes:
            address = ("127.0.0.1", node.ports[node.number])
            self._until_it_answers(partial(_connect, address))
        self.until(lambda admin: len(admin.describe_cluster()["brokers"]) == NODES)

    def start_node(self, number: int) -> None:
        """Start one node, again with the data that it kept; it answers some seconds later."""
        node = self.nodes[number]
        if not node.folder.exists():
            node.format()
        with (node.folder / "log").open("ab") as log:
            self._running[number] = subprocess.Popen(node.command(), stdout=log, stderr=log)

    def stop_node(self, number: int, with_signal: int = signal.SIGTERM) -> None:
        """Send one node a signal and wait for its end."""
        process = self._running.pop(number)
        process.send_signal(with_signal)
        process.wait(PATIENCE)

    def move(self, topic: str, nodes: Sequence[Sequence[int]]) -> None:
        """Ask for other nodes to hold each partition of a topic. It takes a while."""
        with self.admin() as admin:
            admin.alter_partition_reassignments(
                {
                    TopicPartition(topic, partition): [number + 1 for number in numbers]
                    for partition, numbers in enumerate(nodes)
                }
            )

    def in_sync(self, topic: str, replicas: int = NODES) -> None:
        """Return once every partition of a topic has so many replicas that are up to date."""
        self.until(
            lambda admin: all(
                len(one["isr_nodes"]) == replicas
                for one in admin.describe_topics([topic])[0]["partitions"]
            )
        )

    def leaders(self, topic: str) -> list[int]:
        """Return the leader of each partition: the number of its node, -1 without one."""
        with self.admin() as admin:
            partitions = admin.describe_topics([topic])[0]["partitions"]
        partitions.sort(key=lambda one: one["partition_index"])
        return [one["leader_id"] - 1 if one["leader_id"] > 0 else -1 for one in partitions]

    def until(self, done: Callable[[KafkaAdminClient], Any]) -> None:
        """Ask the cluster again and again until something is true."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                with self.admin() as admin:
                    if done(admin):
                        return
            except (KafkaError, OSError, KeyError):
                pass
            assert time.monotonic() < end, "the cluster does not get ready"
            time.sleep(0.3)


def _connect(address: tuple[str, int]) -> None:
    socket.create_connection(address, 1).close()
