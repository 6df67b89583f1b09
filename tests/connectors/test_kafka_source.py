"""The Kafka source, on real brokers."""

from __future__ import annotations

import json
import logging
import random
import signal
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

from fenchel_connectors import KafkaSource
from fenchel_connectors.kafka import order as order_of_records
from fenchel_connectors.kafka import reader as reading
from fenchel_connectors.kafka.client import ClientOptions
from fenchel_connectors.kafka.client_log import CLIENT_LOG, SILENCE
from fenchel_connectors.kafka.reader import Reader
from fenchel_stream.checkpoint import CheckpointStore
from fenchel_stream.errors import CheckpointError, ConfigError, DataError
from fenchel_stream.streams import Batch, Position
from tests.brokers import Broker
from tests.connectors.streams import plain
from tests.runs import assert_same, kept, learn, rows, start, until


def source(broker: Broker, topic: str, **options: Any) -> KafkaSource:
    return KafkaSource(f"//{broker.bootstrap}/{topic}", **options)


def take(
    stream: KafkaSource, records: int, size: int = 10, position: Position | None = None
) -> list[Batch]:
    """Return the batches of so many records, however often nothing comes."""
    taken: list[Batch] = []
    with stream.reading(size, position) as batches:
        while sum(len(batch.where) + len(batch.rejects) for batch in taken) < records:
            batch = next(batches)
            if batch.where or batch.rejects:
                taken.append(batch)
    return taken


def numbers(count: int, partitions: int = 1) -> list[dict[str, Any]]:
    return [{"value": b'{"n": %d}' % n, "partition": n % partitions} for n in range(count)]


def test_batches_and_what_stands_beside_the_values(broker: Broker) -> None:
    topic = broker.topic()
    for n in range(3):
        headers = [("trace", b"t%d" % n), ("odd", b"\xff")] if n else []
        key = [None, b"k1", b"\xfe"][n]
        time = 1_700_000_000_000 + n
        broker.send(topic, [b'{"n": %d}' % n], key=key, headers=headers, timestamp_ms=time)
    stream = source(broker, topic, key="who", timestamp="at", headers=["trace", "odd"])
    assert stream.live
    assert stream.total is None
    (batch,) = take(stream, 3, size=3)
    assert batch.rows.to_dicts() == [
        {"n": 0, "who": None, "at": 1_700_000_000_000, "trace": None, "odd": None},
        {"n": 1, "who": "k1", "at": 1_700_000_000_001, "trace": "t1", "odd": "\\xff"},
        {"n": 2, "who": "\\xfe", "at": 1_700_000_000_002, "trace": "t2", "odd": "\\xff"},
    ]
    assert batch.where == [f"{topic}:0:{n}" for n in range(3)]
    assert batch.keys is not None
    assert batch.keys.to_list() == [None, "k1", "\\xfe"]
    assert batch.times is not None
    assert batch.times.to_list() == [1_700_000_000.0, 1_700_000_000.001, 1_700_000_000.002]
    assert batch.originals == [b'{"n": 0}', b'{"n": 1}', b'{"n": 2}']


BAD = {
    b"{": "malformed",
    b'{"n":' + b"[" * 3000 + b"]" * 3000 + b"}": "too_deep",
    b'{"n": NaN}': "non_finite",
    b'{"n": 1e999}': "non_finite",
    b"[1]": "non_object",
    b'{"n": "\xff"}': "invalid_utf8",
    b'{"n": 1, "n": 2}': "duplicate_keys",
    None: "null_value",
}


def test_a_bad_record_costs_itself_alone(broker: Broker) -> None:
    topic = broker.topic()
    records: list[bytes | None] = []
    for value in BAD:
        records += [value, b'{"n": 7}']
    broker.send(topic, records, key=b"k")
    (batch,) = take(source(broker, topic), len(records), size=len(records))
    assert [reject.reason for reject in batch.rejects] == list(BAD.values())
    assert [reject.original for reject in batch.rejects] == list(BAD)
    assert [reject.where for reject in batch.rejects] == [
        f"{topic}:0:{2 * n}" for n in range(len(BAD))
    ]
    assert {reject.key for reject in batch.rejects} == {b"k"}
    assert batch.rows["n"].to_list() == [7] * len(BAD)
    assert batch.where == [f"{topic}:0:{2 * n + 1}" for n in range(len(BAD))]


def test_a_decoder_of_ones_own(broker: Broker) -> None:
    topic = broker.topic()
    broker.send(topic, [b"a=1", b"nonsense", b"a=3"])
    stream = source(broker, topic, decoder="tests.models:decode_pairs")
    (batch,) = take(stream, 3, size=3)
    assert batch.rows.to_dicts() == [{"a": 1.0}, {"a": 3.0}]
    (reject,) = batch.rejects
    assert (reject.where, reject.reason, reject.raw) == (f"{topic}:0:1", "undecodable", "nonsense")
    assert reject.detail.startswith("ValueError")


@pytest.mark.parametrize("deterministic", [False, True])
def test_from_every_position_the_rest_is_read_once(broker: Broker, deterministic: bool) -> None:
    topic = broker.topic(partitions=3)
    broker.send(topic, numbers(60, 3))
    whole = take(source(broker, topic, deterministic=deterministic), 60, size=10)
    assert sorted(n for batch in whole for n in batch.rows["n"]) == list(range(60))
    for done, batch in enumerate(whole, 1):
        position = json.loads(json.dumps(batch.position))
        again = source(broker, topic, deterministic=deterministic)
        rest = take(again, 60 - 10 * done, size=10, position=position)
        if deterministic:
            assert list(map(plain, rest)) == list(map(plain, whole[done:]))
        places = {place for batch in whole[:done] + rest for place in batch.where}
        assert len(places) == sum(len(batch.where) for batch in whole[:done] + rest) == 60


def test_partitions_must_not_grow_too_far_apart(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_of_records, "AHEAD", 10)
    topic = broker.topic(partitions=2)
    broker.send(topic, [b'{"n": 1}'] * 20, partition=1)
    with pytest.raises(DataError, match=rf"\d+ records wait for partition 0 of {topic}"):
        take(source(broker, topic, deterministic=True), 20)


def test_deterministic_batches_are_in_order_of_offsets(broker: Broker) -> None:
    """However unevenly the partitions grow while they are read."""
    topic = broker.topic(partitions=3)
    rng = random.Random(1)
    order = [0] * 40 + [1] * 60 + [2] * 50
    rng.shuffle(order)
    records = [{"value": b'{"n": %d}' % n, "partition": p} for n, p in enumerate(order)]
    broker.send(topic, records[:70])
    places = sorted((order[:n].count(p), p) for n, p in enumerate(order))
    expected = [f"{topic}:{p}:{offset}" for offset, p in places if offset <= 39]
    stream = source(broker, topic, deterministic=True, max_age=0.0)
    with stream.reading(7) as batches:
        taken = [next(batches)]
        broker.send(topic, records[70:])
        # Partition 0 ends after 40 records; nobody knows what its next one is.
        while sum(len(batch.where) for batch in taken) < len(expected) // 7 * 7:
            taken.append(next(batches))
    where = [place for batch in taken for place in batch.where]
    assert where == expected[: len(where)]
    assert {len(batch.where) for batch in taken} <= {0, 7}


def test_a_batch_comes_when_it_is_old_enough(broker: Broker) -> None:
    topic = broker.topic()
    broker.send(topic, numbers(3))
    with source(broker, topic, max_age=0.0).reading(10) as batches:
        values: list[int] = []
        while len(values) < 3:
            batch = next(batches)
            values += batch.rows["n"].to_list() if batch.where else []
        # And nothing is an empty batch, at the place where reading goes on.
        idle = next(batches)
        assert (idle.where, idle.rejects, idle.rows.shape) == ([], [], (0, 0))
        assert idle.position["offsets"] == {"0": 3}


def test_some_partitions_are_read_alone(broker: Broker) -> None:
    topic = broker.topic(partitions=3)
    broker.send(topic, numbers(30, 3))
    first = take(source(broker, topic, partitions=[2, 0]), 20)
    second = take(source(broker, topic, partitions=[1]), 10)
    assert {n % 3 for batch in first for n in batch.rows["n"]} == {0, 2}
    assert {n % 3 for batch in second for n in batch.rows["n"]} == {1}
    assert set(first[-1].position["offsets"]) == {"0", "2"}
    one_by_one = source(broker, topic).partitions()
    assert one_by_one == {f"partition-{n}": {"partitions": [n]} for n in range(3)}
    with pytest.raises(ConfigError, match=r"partitions none: topic .* has partitions 0, 1, 2"):
        next(source(broker, topic, partitions=[]).batches(10))
    with pytest.raises(ConfigError, match="partitions 1, 5: topic"):
        next(source(broker, topic, partitions=[1, 5]).batches(10))
    with pytest.raises(CheckpointError, match="made of partitions 0, 2, and this run reads 1"):
        next(source(broker, topic, partitions=[1]).batches(10, first[-1].position))


def test_start_at_the_latest_record(broker: Broker) -> None:
    broker.needs("end offsets")
    topic = broker.topic()
    broker.send(topic, numbers(5))
    with source(broker, topic, start="latest").reading(1) as batches:
        assert next(batches).where == []
        broker.send(topic, [b'{"n": 99}'])
        while not (batch := next(batches)).where:
            pass
    assert batch.where == [f"{topic}:0:5"]


def test_partitions_that_are_new_are_read_from_their_start(broker: Broker) -> None:
    broker.needs("new partitions")
    topic = broker.topic(partitions=1)
    broker.send(topic, numbers(10))
    (first,) = take(source(broker, topic), 10)
    with broker.admin() as admin:
        admin.create_partitions({topic: 2})
    broker.send(topic, [b'{"n": 10}'], partition=1)
    (second,) = take(source(broker, topic, start="latest"), 1, position=first.position)
    assert second.where == [f"{topic}:1:0"]


class TestOtherTopics:
    def test_another_name(self, broker: Broker) -> None:
        topic, other = broker.topic(), broker.topic()
        broker.send(topic, numbers(10))
        (batch,) = take(source(broker, topic), 10)
        with pytest.raises(CheckpointError, match=f"whose name is '{topic}', and that of {other}"):
            next(source(broker, other).batches(10, batch.position))

    def test_made_again_under_the_same_name(self, broker: Broker) -> None:
        broker.needs("topic ids")
        topic = broker.topic()
        broker.send(topic, numbers(10))
        (batch,) = take(source(broker, topic), 10)
        with broker.admin() as admin:
            admin.delete_topics([topic])
        broker.topic(name=topic)
        broker.send(topic, numbers(10))
        with pytest.raises(CheckpointError, match="whose topic_id is"):
            next(source(broker, topic).batches(10, batch.position))

    def test_none(self, broker: Broker) -> None:
        with pytest.raises(ConfigError, match="topic 'nowhere' is not known at"):
            next(source(broker, "nowhere").batches(10))

    def test_a_position_of_another_kind_of_source(self, broker: Broker) -> None:
        with pytest.raises(CheckpointError, match="whose name is None"):
            next(source(broker, broker.topic()).batches(10, {"offset": 3, "line": 1}))


class TestLost:
    """Offsets that the broker no longer has, or does not have yet."""

    def test_beyond_the_end(self, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading, "PATIENCE", 0.2)
        topic = broker.topic()
        broker.send(topic, numbers(10))
        (batch,) = take(source(broker, topic), 10)
        far = {**batch.position, "offsets": {"0": 500}}
        message = rf"{topic}\[0\]: offset 500 comes next, and the broker has 0 to 9"
        with pytest.raises(DataError, match=message) as caught:
            take(source(broker, topic), 1, position=far)
        assert caught.value.exit_code == 3
        (again,) = take(source(broker, topic, reset="earliest"), 10, position=far)
        assert again.rows["n"].to_list() == list(range(10))

    def test_an_empty_topic(self, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading, "PATIENCE", 0.2)
        topic = broker.topic()
        with source(broker, topic).reading(1) as batches:
            start = next(batches).position
        message = rf"{topic}\[0\]: offset 7 comes next, and the broker has none before 0"
        with pytest.raises(DataError, match=message):
            take(source(broker, topic), 1, position={**start, "offsets": {"0": 7}})

    def test_before_the_start(self, broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
        broker.needs("deleted records")
        topic = broker.topic()
        broker.send(topic, numbers(10))
        (first, *_) = take(source(broker, topic), 10, size=2)
        with broker.admin() as admin:
            admin.delete_records({TopicPartition(topic, 0): 6})
        with pytest.raises(DataError, match="offset 2 comes next, and the broker has 6 to 9"):
            take(source(broker, topic), 1, position=first.position)
        (rest,) = take(source(broker, topic, reset="earliest"), 4, 4, first.position)
        assert rest.rows["n"].to_list() == [6, 7, 8, 9]
        assert "the broker has 6 to 9; resumed at 6" in caplog.text


def committed(broker: Broker, group: str, topic: str, partitions: int) -> list[int | None]:
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, group_id=group)
    with closing(consumer):
        return [consumer.committed(TopicPartition(topic, n)) for n in range(partitions)]


def fill(broker: Broker, topic: str, count: int, partitions: int = 2) -> None:
    """Send rows, some of which cannot be learnt."""
    broker.send(
        topic,
        [
            {
                "value": b"{" if n % 41 == 17 else json.dumps(row).encode(),
                "partition": n % partitions,
            }
            for n, row in enumerate(rows(count))
        ],
    )


DETERMINISTIC = {"options": {"deterministic": True}}


class TestRuns:
    """The runner on a topic."""

    def test_the_checkpoint_counts_and_the_group_is_told(
        self, broker: Broker, tmp_path: Path
    ) -> None:
        topic = broker.topic(partitions=2)
        fill(broker, topic, 400)
        url = f"kafka://{broker.bootstrap}/{topic}"
        group = f"group-{topic}"
        tables: dict[str, dict[str, Any]] = {"source": DETERMINISTIC, "kafka": {"group_id": group}}
        learn(tmp_path / "whole", url, run={"limit": 400}, **tables)
        learn(tmp_path / "cut", url, run={"limit": 200}, **tables)
        assert committed(broker, group, topic, 2) == [100, 100]
        consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, group_id=group)
        with closing(consumer):
            consumer.commit({TopicPartition(topic, 0): OffsetAndMetadata(199, "", -1)})
        learn(tmp_path / "cut", url, run={"limit": 400}, **tables)
        assert committed(broker, group, topic, 2) == [200, 200]
        assert_same(kept(tmp_path / "cut"), kept(tmp_path / "whole"))

    def test_killed_at_any_moment(self, broker: Broker, tmp_path: Path) -> None:
        topic = broker.topic(partitions=2)
        fill(broker, topic, 600)
        url = f"kafka://{broker.bootstrap}/{topic}"
        learn(tmp_path / "whole", url, run={"limit": 600}, source=DETERMINISTIC)
        flags = ["--set", "source.options.deterministic=true", "--limit", "600"]
        rng = random.Random(0)
        done = 0
        for _ in range(3):
            with start(tmp_path / "cut", url, *flags) as process:
                process.checkpoint_after(done + 1 + rng.randrange(100))
                process.signal(signal.SIGKILL)
                assert process.wait() == -signal.SIGKILL
            done = kept(tmp_path / "cut").meta["records"]
        with start(tmp_path / "cut", url, *flags) as process:
            assert process.wait() == 0, process.err.read_text()
        assert_same(kept(tmp_path / "cut"), kept(tmp_path / "whole"))

    def test_stopped_while_nothing_comes(self, broker: Broker, tmp_path: Path) -> None:
        topic = broker.topic()
        fill(broker, topic, 40, partitions=1)
        url = f"kafka://{broker.bootstrap}/{topic}"
        with start(tmp_path, url) as process:
            process.checkpoint_after(40)
            process.signal(signal.SIGTERM)
            assert process.wait() == 0, process.err.read_text()
        assert kept(tmp_path).meta["position"]["offsets"] == {"0": 40}

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
    def test_what_comes_after_an_idle_run_is_not_lost(
        self, number: signal.Signals, broker: Broker, tmp_path: Path
    ) -> None:
        """It has learnt nothing, but it knows where the topic ended when it began."""
        broker.needs("end offsets")
        topic, store = broker.topic(), CheckpointStore(tmp_path / "checkpoints")
        fill(broker, topic, 10, partitions=1)
        latest = {"options": {"start": "latest"}}
        url = f"kafka://{broker.bootstrap}/{topic}"
        with start(tmp_path, url, source=latest) as process:
            process.until(lambda: (last := store.latest()) and last.meta["position"])
            process.signal(number)
            assert process.wait() in {0, -signal.SIGKILL}
        fill(broker, topic, 20, partitions=1)
        # Nothing was learnt: settings may be mended, and the place is still the same.
        learn(tmp_path, url, run={"limit": 20}, model={"hidden": [9]}, source=latest)
        meta = kept(tmp_path).meta
        assert (meta["records"], meta["position"]["offsets"]) == (20, {"0": 30})

    def test_another_start_counts_while_nothing_was_learnt(
        self, broker: Broker, tmp_path: Path
    ) -> None:
        broker.needs("end offsets")
        topic, store = broker.topic(), CheckpointStore(tmp_path / "checkpoints")
        fill(broker, topic, 20, partitions=1)
        url = f"kafka://{broker.bootstrap}/{topic}"
        with start(tmp_path, url, source={"options": {"start": "latest"}}) as process:
            process.until(lambda: (last := store.latest()) and last.meta["position"])
            process.signal(signal.SIGTERM)
            assert process.wait() == 0
        fill(broker, topic, 10, partitions=1)
        learn(tmp_path, url, run={"limit": 20}, source={"options": {"start": "earliest"}})
        assert kept(tmp_path).meta["position"]["offsets"] == {"0": 20}
        # From now on there is something to go on from.
        learn(tmp_path, url, run={"limit": 30}, source={"options": {"start": "latest"}})
        assert kept(tmp_path).meta["position"]["offsets"] == {"0": 30}

    def test_the_place_of_an_idle_run_is_that_of_its_topic(
        self, broker: Broker, tmp_path: Path
    ) -> None:
        topic, other = broker.topic(), broker.topic()
        store = CheckpointStore(tmp_path / "checkpoints")
        with start(tmp_path, f"kafka://{broker.bootstrap}/{topic}") as process:
            process.until(lambda: (last := store.latest()) and last.meta["position"])
            process.signal(signal.SIGTERM)
            assert process.wait() == 0
        fill(broker, other, 20, partitions=1)
        learn(tmp_path, f"kafka://{broker.bootstrap}/{other}", run={"limit": 20})
        assert kept(tmp_path).meta["position"]["name"] == other

    def test_a_broker_that_comes_back(self, own_broker: Broker, tmp_path: Path) -> None:
        own_broker.needs("restart")
        topic = own_broker.topic()
        fill(own_broker, topic, 40, partitions=1)
        with start(tmp_path, f"kafka://{own_broker.bootstrap}/{topic}") as process:
            process.checkpoint_after(40)
            own_broker.stop()
            own_broker.start()
            fill(own_broker, topic, 40, partitions=1)
            process.checkpoint_after(80)
            process.signal(signal.SIGTERM)
            assert process.wait() == 0, process.err.read_text()


def test_a_broker_that_does_not_say_what_it_has_is_asked_again(
    own_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It falls silent between the answer that an offset is not there and the next one."""
    own_broker.needs("stop")
    monkeypatch.setattr(reading, "PATIENCE", 0.2)
    monkeypatch.setattr(reading, "ANSWERING", 0.5)
    topic = own_broker.topic()
    own_broker.send(topic, numbers(10))
    with Reader(topic, {0: 500}, ClientOptions({}, own_broker.bootstrap)) as reader:
        ask = reader._consumer.beginning_offsets
        silence, asked = ExitStack(), 0

        def falls_silent(*arguments: Any, **named: Any) -> Any:
            nonlocal asked
            asked += 1
            if asked == 1:
                silence.enter_context(own_broker.frozen())
            return ask(*arguments, **named)

        monkeypatch.setattr(reader._consumer, "beginning_offsets", falls_silent)
        with silence:
            until(lambda: reader.poll(10) or asked)
        with pytest.raises(DataError, match="offset 500 comes next, and the broker has 0 to 9"):
            until(lambda: reader.poll(10))


def test_several_may_close_at_the_same_time() -> None:
    """The client's log is one for all threads: the last one out gives it back."""
    before = CLIENT_LOG.level
    first, second = ExitStack(), ExitStack()
    for one in (first, second):
        one.enter_context(SILENCE)
    first.close()
    assert CLIENT_LOG.level == logging.CRITICAL
    second.close()
    assert CLIENT_LOG.level == before < logging.CRITICAL


class TestOptions:
    def test_secrets_come_from_elsewhere_and_are_told_to_nobody(
        self,
        broker: Broker,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        monkeypatch.setenv("CANARY", "canary-in-the-variable")
        (tmp_path / "password").write_text("canary-in-the-file\n")
        table = {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": "${CANARY}",
            "sasl_plain_password_file": str(tmp_path / "password"),
            "bootstrap_timeout_ms": 1000,
        }
        topic = broker.topic()
        stream = source(broker, topic, client=table)
        values = stream.client.values
        assert values["sasl_plain_username"] == "canary-in-the-variable"
        assert values["sasl_plain_password"] == "canary-in-the-file"
        with stream.reading(10) as batches:
            if broker.name == "noida":  # takes any password
                answer = str(next(batches))
            else:
                with pytest.raises(ConfigError) as caught:
                    next(batches)
                answer = str(caught.value)
        texts = [answer, repr(stream.client), caplog.text, stream.client.scrub(values)]
        assert not any("canary-in-the" in text for text in texts)

    @pytest.mark.parametrize(
        ("address", "options", "message"),
        [
            ("flights", {}, "not of the form kafka://host:9092/topic"),
            ("//host:9092", {}, "not of the form"),
            ("//host:9092/a/b", {}, "not of the form"),
            ("//me:secret@host/a", {}, "an address holds no password"),
            ("///a", {}, "no broker is named"),
            ("//host:/a", {}, "broker 'host:' is not of the form host:9092"),
            ("//host:http/a", {}, "broker 'host:http' is not"),
            ("//host:99999/a", {}, "broker 'host:99999' is not"),
            ("//host:0/a", {}, "broker 'host:0' is not"),
            ("//one:9092,/a", {}, "broker '' is not"),
            ("//::1:9092/a", {}, "broker '::1:9092' is not"),
            ("///a", {"client": {"bootstrap_servers": 9092}}, "must be a list of host:port"),
            ("///a", {"client": {"bootstrap_servers": [9092]}}, "broker 9092 is not"),
            ("//host/a b", {}, "no topic can be called 'a b'"),
            ("//host/..", {}, "no topic can be called"),
            ("//host/a?start=latest", {}, "no topic can be called"),
            (f"//host/{'a' * 250}", {}, "no topic can be called"),
            ("//host/a", {"client": {"security_protocol": "sasl_ssl"}}, "must be one of PLAINTEXT"),
            ("//host/a", {"client": {"security_protocol": "TLS"}}, "must be one of PLAINTEXT"),
            ("//host/a", {"client": {"bootstrap_servers": "b:9092"}}, "names brokers already"),
            ("//host/a", {"start": "now"}, "start is 'now'"),
            ("//host/a", {"reset": "none"}, "reset is 'none'"),
            ("//host/a", {"decoder": "nowhere"}, "decoder 'nowhere' is not of the form"),
            ("//host/a", {"client": {"auto_offset_reset": "latest"}}, "start and reset"),
            ("//host/a", {"client": {"enable_auto_commit": True}}, "positions are in the checkpo"),
            (
                "//host/a",
                {"client": {"ssl_password": "${NOT_SET_AT_ALL}"}},
                "NOT_SET_AT_ALL is not",
            ),
            (
                "//host/a",
                {"client": {"ssl_cafile": "no.pem"}},
                "kafka.ssl_cafile: no such file: no",
            ),
            (
                "//host/a",
                {"client": {"ssl_password_file": "nowhere"}},
                "ssl_password_file: nowhere",
            ),
        ],
    )
    def test_what_makes_no_sense_is_named(
        self, address: str, options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ConfigError, match=message):
            KafkaSource(address, **options)

    def test_brokers_of_each_form(self) -> None:
        stream = KafkaSource("//one:9092, two,[::1]:9093,127.0.0.1:1/a.b_c-D")
        assert stream.client.servers == "one:9092,two,[::1]:9093,127.0.0.1:1"

    def test_options_that_the_client_does_not_know(self, broker: Broker) -> None:
        stream = source(broker, broker.topic(), client={"colour": "red"})
        with pytest.raises(ConfigError, match="colour"):
            next(stream.batches(10))

    def test_brokers_from_the_table(self, broker: Broker) -> None:
        topic = broker.topic()
        broker.send(topic, numbers(3))
        table = {"bootstrap_servers": [broker.bootstrap], "api_version": [2, 1]}
        assert len(take(KafkaSource(f"///{topic}", client=table), 3)) == 1

    def test_no_broker_at_all(self, tmp_path: Path) -> None:
        """In a process of its own: the client leaks a socket when it cannot connect."""
        with start(tmp_path, "kafka://127.0.0.1:9/a", kafka={"bootstrap_timeout_ms": 300}) as run:
            assert run.wait() == 2
            assert "Kafka at 127.0.0.1:9: " in run.err.read_text()
