"""Formats of schema registries on topics of real brokers, from the source to dead letters."""

from __future__ import annotations

import base64
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fenchel_connectors import KafkaSource
from fenchel_connectors.formats import schemas
from fenchel_stream.errors import ConfigError, UnavailableError
from fenchel_stream.streams.source import Batch
from tests.brokers import Broker
from tests.connectors.formats.helpers import avro, framed, record
from tests.connectors.formats.registry_server import RegistryServer
from tests.connectors.streams import plain
from tests.connectors.test_kafka_source import source, take
from tests.runs import assert_same, kept, learn, read_lines, rows, start

FIELDS: list[tuple[str, Any]] = [("a", "double"), ("b", "double"), ("c", "string"), ("y", "string")]
SCHEMA = record("R", FIELDS)
LATER = record("R", [*FIELDS, ("d", ["null", "double"])])


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with RegistryServer() as running:
        yield running


def options(server: RegistryServer, **more: Any) -> dict[str, Any]:
    return {"decoder": "avro", "registry": server.url, **more}


def test_a_schema_that_changes_in_the_middle(broker: Broker, server: RegistryServer) -> None:
    old, new, topic = server.register(SCHEMA), server.register(LATER), broker.topic()
    made = rows(6)
    values = [avro(old, SCHEMA, one) for one in made[:3]]
    values += [avro(new, LATER, {**one, "d": 1.5}) for one in made[3:]]
    broker.send(topic, values)
    (batch,) = take(source(broker, topic, **options(server)), 6, size=6)
    expected = [{**one, "d": None} for one in made[:3]] + [{**one, "d": 1.5} for one in made[3:]]
    assert batch.rows.to_dicts() == expected
    assert batch.originals == values
    assert server.asked[f"/schemas/ids/{new}"] == 1


def test_the_three_formats(broker: Broker, server: RegistryServer) -> None:
    kinds = {
        "avro": (server.register(record("R", [("n", "long")])), b"\x0e"),
        "protobuf": (
            server.register('syntax = "proto3"; message R { int64 n = 1; }', "PROTOBUF"),
            b"\0\x08\x07",
        ),
        "json_schema": (server.register({"required": ["n"]}, "JSON"), b'{"n": 7}'),
    }
    for decoder, (number, body) in kinds.items():
        topic = broker.topic()
        broker.send(topic, [framed(number, body)] * 3)
        stream = source(broker, topic, decoder=decoder, registry=server.url)
        (batch,) = take(stream, 3, size=3)
        assert batch.rows["n"].to_list() == [7, 7, 7]


def test_bad_values_are_dead_letters(
    broker: Broker, server: RegistryServer, tmp_path: Path
) -> None:
    number, topic = server.register(SCHEMA), broker.topic()
    good = [avro(number, SCHEMA, one) for one in rows(36)]
    bad = {
        framed(99, b"\xff"): "unknown_schema",
        framed(number, b"\xff"): "undecodable",
        b'{"a": 1}': "other_format",
        framed(server.register('"nothing"'), b"\xff"): "unusable_schema",
    }
    broker.send(topic, [*good[:20], *bad, *good[20:]])
    url = f"kafka://{broker.bootstrap}/{topic}"
    outcome = learn(tmp_path, url, source={"options": options(server)}, run={"limit": 40})
    assert outcome.rows == 36
    letters = read_lines(tmp_path / "rejects.jsonl")
    assert [letter["reason"] for letter in letters] == list(bad.values())
    assert [letter["where"] for letter in letters] == [f"{topic}:0:{n}" for n in range(20, 24)]
    raw = [
        base64.b64decode(letter["base64"]) if "base64" in letter else letter["raw"].encode()
        for letter in letters
    ]
    assert raw == list(bad)


class TestAway:
    """The registry goes away and comes back."""

    @pytest.mark.parametrize("deterministic", [False, True])
    def test_no_record_is_lost(
        self,
        broker: Broker,
        server: RegistryServer,
        deterministic: bool,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(schemas, "PAUSES", (0.05, 0.1))
        topic = broker.topic()
        made = rows(40)
        old, new = server.register(SCHEMA), server.register(SCHEMA)
        numbers = [old] * 20 + [new] * 20
        broker.send(topic, [avro(n, SCHEMA, one) for n, one in zip(numbers, made, strict=True)])
        every = options(server, deterministic=deterministic)
        whole = take(source(broker, topic, **every), 40)
        found: list[Batch] = []
        stream = source(broker, topic, **every)
        with closing(stream.batches(10)) as batches:  # type: ignore[type-var]
            while len(found) < 2:
                batch = next(batches)
                found += [batch] if batch.where else []
            assert stream.outage_seconds == 0
            server.stop()
            for _ in range(4):
                begin = time.monotonic()
                batch = next(batches)
                assert time.monotonic() - begin < 3, "the run is not seen to live"
                assert batch.where == []
                assert batch.position["offsets"] == {"0": 20}
            assert stream.outage_seconds > 1
            server.start()
            while len(found) < 4:
                batch = next(batches)
                found += [batch] if batch.where else []
            assert stream.outage_seconds == 0
        assert list(map(plain, found)) == list(map(plain, whole))

    def test_a_run_ends_when_it_should_and_goes_on_from_there(
        self, broker: Broker, server: RegistryServer, tmp_path: Path
    ) -> None:
        topic = broker.topic()
        made = rows(60)
        old, new = server.register(SCHEMA), server.register(SCHEMA)
        broker.send(topic, [avro(old, SCHEMA, one) for one in made[:20]])
        url = f"kafka://{broker.bootstrap}/{topic}"
        tables: dict[str, Any] = {"source": {"options": options(server)}}
        with start(tmp_path / "cut", url, **tables) as process:
            process.checkpoint_after(20)
            server.stop()
            broker.send(topic, [avro(new, SCHEMA, one) for one in made[20:]])
            process.until(lambda: "is asked for until it does" in process.err.read_text())
            process.signal(signal.SIGTERM)
            assert process.wait() == 0, process.err.read_text()
        assert kept(tmp_path / "cut").meta["position"]["offsets"] == {"0": 20}
        # It begins while the registry is away, which is waited for where a run goes on.
        with start(tmp_path / "cut", url, "--limit", "60", **tables) as process:
            process.until(lambda: "is asked for until it does" in process.err.read_text())
            server.start()
            assert process.wait() == 0, process.err.read_text()
            assert process.err.read_text().count("answers again, after") == 1
        learn(tmp_path / "whole", url, run={"limit": 60}, **tables)
        assert_same(kept(tmp_path / "cut"), kept(tmp_path / "whole"))

    def test_a_first_start_says_so(self, broker: Broker, server: RegistryServer) -> None:
        server.stop()
        with pytest.raises(UnavailableError, match="does not answer: Connection refused"):
            next(source(broker, broker.topic(), **options(server)).batches(10))

    def test_threads_end(self, broker: Broker, server: RegistryServer) -> None:
        topic = broker.topic()
        broker.send(topic, [framed(7, b"")])
        stream = source(broker, topic, **options(server), max_age=0.0)
        with closing(stream.batches(1)) as batches:  # type: ignore[type-var]
            next(batches)
            server.stop()
            next(batches)
        end = time.monotonic() + 10
        while any(thread.name == "schemas" for thread in threading.enumerate()):
            assert time.monotonic() < end, "a thread goes on"
            time.sleep(0.01)


class TestMistakes:
    """A whole topic in another format is a mistake in the configuration."""

    @pytest.mark.parametrize(
        ("body", "advice"),
        [(b'{"n": 7}', 'decoder = "json_schema"'), (b"\x0e", 'decoder = "avro" or "protobuf"')],
    )
    def test_a_magic_byte_that_nobody_expects(
        self, broker: Broker, body: bytes, advice: str
    ) -> None:
        topic = broker.topic()
        broker.send(topic, [framed(7, body)] * 20)
        with pytest.raises(ConfigError) as caught:
            take(source(broker, topic), 20)
        message = str(caught.value)
        assert f"{topic}:0:9: none of the first 10 values can be read" in message
        assert f"magic byte of a schema registry, schema 7: set {advice}" in message

    @pytest.mark.parametrize("value", [b'{"n": 7}', framed(7, b"\x0e")])
    def test_a_registry_that_does_not_belong_to_the_topic(
        self, broker: Broker, server: RegistryServer, value: bytes
    ) -> None:
        topic = broker.topic()
        broker.send(topic, [value] * 20)
        with pytest.raises(ConfigError, match="none of the first 10 values can be read"):
            take(source(broker, topic, **options(server)), 20)

    def test_after_a_good_value_there_is_none(self, broker: Broker) -> None:
        topic = broker.topic()
        broker.send(topic, [b'{"n": 7}', *[framed(7, b"\x0e")] * 19])
        (batch,) = take(source(broker, topic), 20, size=20)
        assert [reject.reason for reject in batch.rejects] == ["other_format"] * 19

    def test_a_run_that_goes_on_has_none(self, broker: Broker) -> None:
        topic = broker.topic()
        broker.send(topic, [b'{"n": 7}'] * 10)
        (batch,) = take(source(broker, topic), 10)
        broker.send(topic, [framed(7, b"\x0e")] * 20)
        found = take(source(broker, topic), 20, position=batch.position)
        assert sum(len(one.rejects) for one in found) == 20


def test_the_options_of_the_source() -> None:
    with pytest.raises(ConfigError, match="needs the address of a schema registry"):
        KafkaSource("//localhost:9092/flights", decoder="protobuf")
