"""A broker whose settings are wrong: what a run says, and what it does without."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fenchel_connectors import KafkaSource
from fenchel_connectors.kafka import publisher as publishing
from fenchel_connectors.kafka.sink import KafkaSink
from fenchel_stream.errors import ConfigError
from tests.brokers import Broker, free_port
from tests.runs import read_lines, rows, start

pytestmark = pytest.mark.filterwarnings(
    # The client leaves a socket to the garbage collector whenever a connection is refused.
    "ignore::pytest.PytestUnraisableExceptionWarning"
)

AWAY = f"127.0.0.1:{free_port()}"
"""Where nobody listens."""

SECOND = f"127.0.0.1:{free_port()}"
"""Where the broker listens, too, and sends its clients to `AWAY`."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Alone, and with topics of its own that want three replicas."""
    broker = Broker("apache", tmp_path_factory.mktemp("misconfigured"))
    assert broker._node is not None
    controller = f"CONTROLLER://127.0.0.1:{broker._node.controllers[0]}"
    settings: dict[str, str | int] = {
        "listeners": f"CLIENT://{broker.bootstrap},SECOND://{SECOND},{controller}",
        "advertised.listeners": f"CLIENT://{broker.bootstrap},SECOND://{AWAY}",
        "listener.security.protocol.map": "CLIENT:PLAINTEXT,SECOND:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "offsets.topic.replication.factor": 3,
        "transaction.state.log.replication.factor": 3,
    }
    broker._node = replace(broker._node, settings=settings)
    broker._node.format()
    with broker:
        yield broker
    gc.collect()  # the sockets, while the warning of them is expected


def test_it_sends_its_clients_elsewhere(broker: Broker) -> None:
    topic = broker.topic()
    stream = KafkaSource(f"//{SECOND}/{topic}", client={"bootstrap_timeout_ms": 2000})
    message = f"Kafka at {AWAY}, to which {SECOND} sends its clients: .*does the broker run?"
    with stream.reading(1) as batches, pytest.raises(ConfigError, match=message):
        next(batches)


def test_it_keeps_no_offsets_of_groups(broker: Broker, tmp_path: Path) -> None:
    """However many commits fail, one line says so."""
    topic = broker.topic()
    broker.send(topic, [json.dumps(row).encode() for row in rows(200)])
    url = f"kafka://{broker.bootstrap}/{topic}"
    with start(tmp_path, url, "--limit", "200", kafka={"group_id": "a"}) as run:
        assert run.wait() == 0, run.err.read_text()
    assert len(read_lines(tmp_path / "predictions.jsonl")) == 200
    assert run.err.read_text().count("offsets cannot be committed to group a: Kafka") == 1


def test_it_serves_no_transactions(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(publishing.DEFAULTS, "max_block_ms", 1000)
    topic = broker.topic()
    with pytest.raises(ConfigError, match="no coordinator of transactions answers"):
        KafkaSink(f"//{broker.bootstrap}/{topic}", writer="a", transactional=True)
