"""Kafka under TLS, from topic to topic, on a real broker behind a proxy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import Broker
from tests.runs import Process, kept, rows, start
from tests.tls import TlsProxy


@pytest.fixture
def secured(certificate: tuple[Path, Path], tmp_path: Path) -> Iterator[Broker]:
    """A broker that nobody reaches without TLS."""
    with TlsProxy(*certificate) as proxy, Broker("tansu", tmp_path, proxy) as broker:
        yield broker


def run(broker: Broker, folder: Path, **kafka: Any) -> Process:
    """Start a run from a topic to another one, with some options of the client."""
    events, predictions = broker.topic(), broker.topic()
    broker.send(events, [json.dumps(row).encode() for row in rows(40)])
    url = f"kafka://{broker.bootstrap}/"
    output = {"predictions": url + predictions}
    options = {"bootstrap_timeout_ms": 3000, **kafka}
    return start(folder, url + events, "--limit", "40", output=output, source={}, kafka=options)


def test_from_topic_to_topic(secured: Broker, tmp_path: Path) -> None:
    table = secured.client.copy()
    del table["bootstrap_servers"]
    with run(secured, tmp_path / "run", **table) as process:
        assert process.wait() == 0, process.err.read_text()
    meta = kept(tmp_path / "run").meta
    assert (meta["records"], meta["position"]["offsets"]) == (40, {"0": 40})
    assert sum(meta["outputs"]["predictions"]["offsets"].values()) == 40


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "fenchel-stream: Kafka at 127.0.0.1:"),
        ({"security_protocol": "SSL"}, "certificate verify failed"),
    ],
)
def test_what_does_not_fit_is_told(
    secured: Broker, tmp_path: Path, table: dict[str, str], message: str
) -> None:
    with run(secured, tmp_path / "run", **table) as process:
        assert process.wait() == 2
        assert message in process.err.read_text()
