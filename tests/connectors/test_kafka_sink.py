"""Predictions and dead letters in topics: each once for whoever reads, whatever dies and when."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import string
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from kafka import KafkaConsumer, KafkaProducer

from fenchel_connectors.kafka import KafkaSink
from fenchel_connectors.kafka import published as reading
from fenchel_connectors.kafka import publisher as sending
from fenchel_connectors.kafka import sink as sinking
from fenchel_stream.checkpoint import CheckpointStore
from fenchel_stream.errors import CheckpointError, ConfigError, DataError
from fenchel_stream.runner.config import parse
from fenchel_stream.runner.learner import Learner
from tests.brokers import Broker
from tests.runs import (
    PATIENCE,
    Process,
    learn,
    pipe,
    read_lines,
    rows,
    tables,
    to_toml,
    until,
    write_jsonl,
)


def committed(broker: Broker, topic: str, count: int) -> list[dict[str, Any]]:
    """Return what a reader of committed records sees, `count` of them and no more."""
    published = broker.read(topic, count, isolation_level="read_committed")
    last = published[-1].offset if published else -1
    # One more record shows that nothing else stands before it.
    broker.send(topic, [b'{"where": "end"}'])
    published = broker.read(topic, count + 1, isolation_level="read_committed")
    assert json.loads(published[-1].value)["where"] == "end"
    assert [record.offset for record in published[:-1]][-1:] == ([last] if count else [])
    return [orjson.loads(record.value) | {"as key": record.key} for record in published[:-1]]


@dataclass
class Publishing:
    """A run whose predictions go to a topic, and those of one that nobody interrupts."""

    broker: Broker
    topic: str
    settings: dict[str, Any]
    wanted: list[dict[str, Any]]

    def check(self) -> None:
        """Assert that a reader of committed records sees each prediction once."""
        published = committed(self.broker, self.topic, len(self.wanted))
        for name in ("where", "prediction", "probabilities", "model"):
            assert [one[name] for one in published] == [one[name] for one in self.wanted]


@pytest.fixture
def publishing(broker: Broker, tmp_path: Path) -> Callable[..., Publishing]:
    """Make such a run of so many rows, without running it."""

    def make(count: int, transactional: bool = True) -> Publishing:
        url = write_jsonl(tmp_path / "data.jsonl", rows(count))
        learn(tmp_path / "whole", url, checkpoint={"every": 3})
        wanted = read_lines(tmp_path / "whole" / "predictions.jsonl")
        topic = broker.topic()
        output = {
            "predictions": f"kafka://{broker.bootstrap}/{topic}",
            "transactional": transactional,
        }
        settings = tables(tmp_path, url, output=output, checkpoint={"every": 3})
        return Publishing(broker, topic, settings, wanted)

    return make


def test_what_is_published(broker: Broker, tmp_path: Path) -> None:
    events, topic = broker.topic(), broker.topic()
    broker.send(
        events,
        [
            {"value": json.dumps(row).encode(), "key": f"k{number}".encode()}
            for number, row in enumerate(rows(60))
        ],
    )
    settings = tables(tmp_path, f"kafka://{broker.bootstrap}/{events}")
    settings["output"] = {"predictions": f"kafka://{broker.bootstrap}/{topic}"}
    settings["run"] |= {"limit": 60}
    Learner(parse(settings)).run()
    published = committed(broker, topic, 60)
    assert [one["where"] for one in published] == [f"{events}:0:{n}" for n in range(60)]
    assert [one["as key"] for one in published] == [f"k{n}".encode() for n in range(60)]
    assert [one["key"] for one in published] == [f"k{n}" for n in range(60)]
    digest = parse(settings).digest()
    assert [one["model"] for one in published] == [f"{digest}-{n // 20 * 20}" for n in range(60)]
    for one in published[20:]:
        assert one["prediction"] == max(one["probabilities"], key=one["probabilities"].get)


STEPS: dict[str, tuple[Any, str, bool]] = {
    "committed": (KafkaProducer, "commit_transaction", True),
    "begun": (KafkaProducer, "begin_transaction", True),
    "checkpoint begun": (CheckpointStore, "save", False),
    "not renamed": (Path, "rename", False),
    "renamed": (Path, "rename", True),
    "checkpoint done": (CheckpointStore, "save", True),
    "recovered": (KafkaSink, "truncate", True),
    "shut out": (KafkaProducer, "init_transactions", True),
    "sent": (KafkaProducer, "commit_transaction", False),
}
"""Steps of a run at which it may die: a method, and whether it is done by then."""


def die_at(what: Any, name: str, after: bool, count: int, settings: dict[str, Any]) -> None:
    """Run until a method has been called `count` times, then die as by a power cut."""
    real: Callable[..., Any] = getattr(what, name)
    calls = 0

    def deadly(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments, **named)
        if calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(what, name, deadly)
    Learner(parse(settings)).run()


def killed(step: str, count: int, settings: dict[str, Any]) -> None:
    process = multiprocessing.get_context("forkserver").Process(
        target=die_at, args=(*STEPS[step], count, settings)
    )
    process.start()
    process.join(PATIENCE)
    assert process.exitcode == -signal.SIGKILL, f"{step}: exit code {process.exitcode}"


def test_each_once_whatever_dies(publishing: Callable[..., Publishing]) -> None:
    """One run that dies at each step in turn, and goes on each time."""
    run = publishing(600)
    for step in STEPS:
        # A sink looks at its topic when it is opened, and again when it goes on from a position.
        killed(step, {"shut out": 1}.get(step, 2), run.settings)
    Learner(parse(run.settings)).run()
    run.check()


def test_it_dies_within_transactions_again_and_again(
    broker: Broker, publishing: Callable[..., Publishing]
) -> None:
    broker.needs("aborts again")
    run = publishing(300)
    for _ in range(3):
        killed("sent", 3, run.settings)
    Learner(parse(run.settings)).run()
    run.check()


def test_it_dies_before_anything_was_learnt(publishing: Callable[..., Publishing]) -> None:
    run = publishing(100)
    # Batches are out, and there is but the checkpoint that was made before the first.
    for count in (1, 2, 1):
        killed("committed", count, run.settings)
    Learner(parse(run.settings)).run()
    run.check()


@pytest.mark.parametrize("transactional", [True, False])
def test_a_cut_publishes_nothing_twice(
    publishing: Callable[..., Publishing], transactional: bool
) -> None:
    run = publishing(300, transactional)
    for limit in (45, 130, 131, None):
        run.settings["run"] |= {"limit": limit}
        Learner(parse(run.settings)).run()
    run.check()


def test_a_directory_that_is_moved_is_the_same_run(
    publishing: Callable[..., Publishing], tmp_path: Path
) -> None:
    """It finds what it has published, and takes back what it has not committed."""
    run = publishing(200)
    place = tmp_path / "place"
    (tmp_path / "first").mkdir()
    place.symlink_to("first")
    run.settings["checkpoint"]["directory"] = str(place / "state")
    killed("committed", 2, run.settings)
    (tmp_path / "first").rename(tmp_path / "second")
    place.unlink()
    place.symlink_to("second")
    killed("sent", 2, run.settings)
    run.settings["checkpoint"]["directory"] = str((place / "state").rename(tmp_path / "moved"))
    killed("not renamed", 2, run.settings)
    Learner(parse(run.settings)).run()
    run.check()


def test_runs_tell_their_own_records_from_those_of_others(
    publishing: Callable[..., Publishing], tmp_path: Path
) -> None:
    """One run is begun twice, in two directories: both publish all there is."""
    run = publishing(100)
    for directory in ("one", "two"):
        run.settings["checkpoint"]["directory"] = str(tmp_path / directory)
        killed("committed", 2, run.settings)
    for directory in ("one", "two"):
        run.settings["checkpoint"]["directory"] = str(tmp_path / directory)
        Learner(parse(run.settings)).run()
    published = committed(run.broker, run.topic, 2 * len(run.wanted))
    where = Counter(one["where"] for one in published)
    assert where == {one["where"]: 2 for one in run.wanted}


def test_the_end_of_a_busy_topic_is_that_of_the_start(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others publish faster than it can be read."""
    topic = broker.topic()
    address = f"//{broker.bootstrap}/{topic}"
    first = KafkaSink(address, writer="a")
    begin = first.position
    first.write([{"where": f"f:{n}"} for n in range(20)])
    first.close()
    asked = 0

    class Slow(KafkaConsumer):  # type: ignore[misc]
        def poll(self, *arguments: Any, **named: Any) -> Any:
            nonlocal asked
            asked += 1
            assert asked < 50, "it reads on and on"
            for _ in range(3):
                broker.send(topic, [b"{}" * 600])
            return super().poll(*arguments, **named)

    monkeypatch.setattr(reading, "KafkaConsumer", Slow)
    second = KafkaSink(address, writer="a", client={"fetch_max_bytes": 1000})
    second.truncate(begin)
    second.close()
    assert second.position["ahead"] == sorted(f"f:{n}" for n in range(20))


def test_a_broker_that_goes_away_while_it_is_read(
    own_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_broker.needs("stop")
    address = f"//{own_broker.bootstrap}/{own_broker.topic()}"
    first = KafkaSink(address, writer="a")
    begin = first.position
    first.write([{"where": f"f:{n}"} for n in range(20)])
    first.close()
    second = KafkaSink(address, writer="a")
    outages: list[float] = []
    with ExitStack() as frozen:

        class Frozen(KafkaConsumer):  # type: ignore[misc]
            def seek(self, *arguments: Any) -> None:
                super().seek(*arguments)
                if not outages:
                    frozen.enter_context(own_broker.frozen())

        def thaw(outage: float) -> None:
            if outage:
                frozen.close()
            outages.append(outage)

        monkeypatch.setattr(reading, "KafkaConsumer", Frozen)
        second.on_outage(thaw)
        second.truncate(begin)
    assert second.position["ahead"] == sorted(f"f:{n}" for n in range(20))
    assert max(outages) > 0
    second.close()


def test_a_transaction_of_another_run_that_does_not_end(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    """It hides what was published after its beginning: the sink waits for its end."""
    topic = broker.topic()
    first = KafkaSink(f"//{broker.bootstrap}/{topic}", writer="a")
    begin = first.position
    with closing(KafkaProducer(**broker.client, transactional_id="other")) as other:
        other.init_transactions()
        other.begin_transaction()
        other.send(topic, b"{}").get(PATIENCE)
        first.write([{"where": "f:1"}])
        first.flush()
        ended: list[float] = []

        def end(outage: float) -> None:
            if outage and not ended:
                ended.append(outage)
                other.commit_transaction()

        first.on_outage(end)
        first.truncate(begin)
    assert first.position["ahead"] == ["f:1"]
    assert ended
    assert f"{topic}: waits until the topic can be used again" in caplog.text
    assert f"{topic}: can be used again, after" in caplog.text
    first.close()


@contextmanager
def hanging(
    sink: KafkaSink, monkeypatch: pytest.MonkeyPatch, *, committed_first: bool
) -> Iterator[KafkaProducer]:
    """Let the producer of a sink wait in its next commit, before or after the brokers have it."""
    release, stuck = threading.Event(), sink._publisher._producer
    commit = stuck.commit_transaction

    def hang() -> None:
        if committed_first:
            commit()
        release.wait(PATIENCE)

    monkeypatch.setattr(stuck, "commit_transaction", hang)
    try:
        yield stuck
    finally:
        release.set()


@pytest.mark.parametrize("committed_first", [True, False])
def test_a_transaction_that_does_not_end_is_begun_anew(
    broker: Broker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    committed_first: bool,
) -> None:
    """The client waits for ever, before or after the brokers have committed."""
    broker.needs("takeover")
    monkeypatch.setattr(sinking, "STUCK", 1.0)
    topic = broker.topic()
    sink = KafkaSink(f"//{broker.bootstrap}/{topic}", writer="a", transactional=True)
    sink.write([{"where": "f:0"}])
    with hanging(sink, monkeypatch, committed_first=committed_first) as stuck:
        sink.write([{"where": f"f:{n}"} for n in range(1, 21)])
        sink.write([{"where": "f:21"}])
    sink.close()
    stuck.close(timeout=1)
    assert [one["where"] for one in committed(broker, topic, 22)] == [f"f:{n}" for n in range(22)]
    assert "a transaction does not end; another producer begins it anew" in caplog.text


def test_partitions_that_are_added_before_a_transaction_hangs(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The producer that takes over looks at them, too, for what was published."""
    broker.needs("takeover", "new partitions")
    monkeypatch.setattr(sinking, "STUCK", 1.0)
    topic = broker.topic()
    client = {"metadata_max_age_ms": 200}
    sink = KafkaSink(f"//{broker.bootstrap}/{topic}", client=client, writer="a", transactional=True)
    sink.write([{"where": "f:0"}])
    with broker.admin() as admin:
        admin.create_partitions({topic: 3})
    with hanging(sink, monkeypatch, committed_first=True) as stuck:
        until(lambda: len(stuck.partitions_for(topic)) == 3)
        sink.write([{"where": f"f:{n}"} for n in range(1, 21)])
        sink.write([{"where": "f:21"}])
    sink.close()
    assert sorted(sink.position["offsets"]) == ["0", "1", "2"]
    records = broker.read(topic, 22, (0, 1, 2), isolation_level="read_committed")
    published = [json.loads(record.value)["where"] for record in records]
    assert sorted(published) == sorted(f"f:{n}" for n in range(22))


class TestRefused:
    """A refusal of the brokers is an error, also in a run without checkpoints."""

    def test_what_is_too_large(self, broker: Broker) -> None:
        broker.needs("size limit")
        huge = "".join(random.Random(1).choices(string.printable, k=6_000_000))
        with opened(broker) as sink:
            sink.write([{"where": "f:1", "key": huge}])
            with pytest.raises(DataError, match="cannot be written: Kafka at .* MessageSize"):
                sink.close()

    def test_by_a_sink(self, own_broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
        own_broker.needs("stop")
        sink = KafkaSink(f"//{own_broker.bootstrap}/{own_broker.topic()}")
        sink.write([{"where": "f:1"}])
        sink.flush()
        with own_broker.frozen():
            sink.write([{"where": "f:2"}])
            monkeypatch.setattr(sending, "CLOSING", 0.5)
            with pytest.raises(DataError, match="cannot be written: Kafka at"):
                sink.close()
            # A client that is left open prints a traceback when the process ends.
            assert sink._publisher._producer._closed
            monkeypatch.undo()
        sink.close()

    def test_by_a_run(self, own_broker: Broker, tmp_path: Path) -> None:
        """It waits at the end of its stream, until the broker has all predictions."""
        own_broker.needs("restart", "durability")
        topic = own_broker.topic()
        url = f"kafka://{own_broker.bootstrap}/{topic}"
        settings = tables(tmp_path, "jsonl:-", output={"predictions": url})
        del settings["checkpoint"]
        (tmp_path / "run.toml").write_text(to_toml(settings))
        lines = [json.dumps(row) + "\n" for row in rows(40)]
        piped = ExitStack()
        stdin = piped.enter_context(pipe(tmp_path))
        with piped, Process(tmp_path, "run", str(tmp_path / "run.toml"), stdin=stdin) as run:
            stdin.write_text("".join(lines[:20]))
            own_broker.read(topic, 20)
            own_broker.stop(signal.SIGKILL)
            stdin.write_text("".join(lines[20:]))
            piped.close()
            run.until(lambda: f"{topic}: waits until the topic can" in run.err.read_text())
            own_broker.start()
            assert run.wait() == 0, run.err.read_text()
            assert f"{topic}: can be used again, after" in run.err.read_text()
        assert len(own_broker.read(topic, 40)) == 40


def test_two_at_once_and_others_in_the_topic(broker: Broker) -> None:
    topic = broker.topic()
    address = f"//{broker.bootstrap}/{topic}"
    first = KafkaSink(address, writer="a", transactional=True)
    first.write([{"where": "f:1", "prediction": 1}])
    begin = first.position
    first.write([{"where": "f:2", "prediction": float("nan")}])
    other = KafkaSink(address, writer="b", transactional=True)
    other.write([{"where": "f:3", "prediction": 3}])
    second = KafkaSink(address, writer="a", transactional=True)
    with pytest.raises(DataError, match=f"{topic} cannot be written"):
        first.write([{"where": "f:4", "prediction": 4}])
    first.close()
    second.truncate(begin)
    # What is ahead stays so in a checkpoint that is made meanwhile.
    assert second.position["ahead"] == ["f:2"]
    third = KafkaSink(address, writer="a", transactional=True)
    third.truncate(second.position)
    third.write([{"where": f"f:{n}", "prediction": n} for n in (2, 3)])
    assert third.position["ahead"] == []
    for sink in (second, other, third):
        sink.close()
    published = committed(broker, topic, 4)
    assert [(one["where"], one["prediction"]) for one in published] == [
        ("f:1", 1),
        ("f:2", None),
        ("f:3", 3),
        ("f:3", 3),
    ]


@contextmanager
def opened(broker: Broker, **options: Any) -> Iterator[KafkaSink]:
    """Open a sink for a topic of its own, and close it twice."""
    sink = KafkaSink(f"//{broker.bootstrap}/{broker.topic()}", **options)
    try:
        yield sink
    finally:
        sink.close()
        sink.close()


def test_another_topic_of_the_same_name(broker: Broker) -> None:
    with opened(broker) as sink:
        position = {**sink.position, "name": "other"}
        with pytest.raises(CheckpointError, match="name is 'other'"):
            sink.truncate(position)


def test_mistakes(broker: Broker, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="create it first"):
        KafkaSink(f"//{broker.bootstrap}/no-such-topic")
    to_topics = "transactional needs predictions that go to a topic"
    settings = tables(tmp_path, "river:Phishing")
    for predictions in (None, str(tmp_path / "predictions.jsonl")):
        settings["output"] = {"transactional": True, "predictions": predictions}
        with pytest.raises(ConfigError, match=to_topics):
            Learner(parse(settings))
    settings["output"] = {"transactional": True, "predictions": "kafka://h:1/t"}
    del settings["checkpoint"]
    with pytest.raises(ConfigError, match=r"output\.transactional needs a \[checkpoint\]"):
        parse(settings)
