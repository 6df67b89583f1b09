"""One node of Apache Kafka: a broker and a controller in one process, on loopback."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.apache.jars import classpath

CLUSTER_ID = "puNErthfTqq-q8_StreZHw"

JAVA = (
    "java",
    "-Xms200m",
    "-Xmx400m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)


@dataclass(frozen=True)
class Node:
    """The configuration of one node, and the commands that format and start it.

    Attributes
    ----------
    folder
        Where its data and its configuration are.
    number
        Its place in `ports` and `controllers`.
    ports, controllers
        The ports of all nodes, for clients and for each other.
    settings
        Further settings of the broker, which count more than those of this module.
    """

    folder: Path
    number: int
    ports: Sequence[int]
    controllers: Sequence[int]
    settings: Mapping[str, str | int]

    def format(self, *options: str) -> None:
        """Write the configuration, and prepare the folder of the data if it is not prepared yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{key}={value}" for key, value in {**self._defaults(), **self.settings}.items()]
        self._file.write_text("\n".join(lines) + "\n")
        command = [*JAVA, "-cp", classpath(), "kafka.tools.StorageTool", "format"]
        place = ["--ignore-formatted", "-t", CLUSTER_ID, "-c", str(self._file)]
        subprocess.run([*command, *place, *options], check=True, capture_output=True)

    def command(self) -> list[str]:
        """Return the command that runs the node until a signal."""
        return [*JAVA, "-cp", classpath(), "kafka.Kafka", str(self._file)]

    @property
    def _file(self) -> Path:
        return self.folder / "server.properties"

    def _defaults(self) -> dict[str, str | int]:
        nodes = len(self.ports)
        port, controller = self.ports[self.number], self.controllers[self.number]
        voters = [f"{n}@127.0.0.1:{one}" for n, one in enumerate(self.controllers, 1)]
        majority = nodes // 2 + 1
        return {
            "process.roles": "broker,controller",
            "node.id": self.number + 1,
            "controller.quorum.voters": ",".join(voters),
            "listeners": f"CLIENT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"CLIENT://127.0.0.1:{port}",
            "inter.broker.listener.name": "CLIENT",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.folder / "data"),
            "auto.create.topics.enable": "false",
            "default.replication.factor": nodes,
            "min.insync.replicas": majority,
            # The topics of the broker's own cannot be made with fewer nodes than replicas.
            "offsets.topic.replication.factor": nodes,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": nodes,
            "transaction.state.log.min.isr": majority,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": nodes,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            # Records have the times of their data, which are years ago.
            "log.retention.ms": -1,
            # A test cannot wait for minutes until the broker cleans up.
            "log.initial.task.delay.ms": 500,
            "log.retention.check.interval.ms": 500,
            "log.cleaner.backoff.ms": 200,
            "log.segment.delete.delay.ms": 100,
            # The default is more than the heap.
            "log.cleaner.dedupe.buffer.size": 2 << 20,
        }
