"""What only Apache Kafka does: logins, permissions, codecs, quotas, retention, topics that change.

One broker, which asks for a login, serves all tests of this module.
"""

from __future__ import annotations

import gc
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.admin import ACLOperation, ResourceType, ScramMechanism, UserScramCredentialUpsertion

from fenchel_connectors import KafkaSink, KafkaSource
from fenchel_connectors.kafka.client import ClientOptions
from fenchel_connectors.kafka.group_offsets import GroupOffsets
from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.streams.source import Batch, Position
from tests.apache.jars import classpath
from tests.apache.secured import ADMIN, READER, Permissions, login, secured_broker
from tests.brokers import PATIENCE, Broker
from tests.runs import read_lines, rows, start

DESCRIBE, READ = ACLOperation.DESCRIBE, ACLOperation.READ


pytestmark = pytest.mark.filterwarnings(
    # The client leaves a socket to the garbage collector whenever a broker refuses it.
    "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that asks for a login; its client is the administrator."""
    with secured_broker(tmp_path_factory.mktemp("secured")) as running:
        yield running
    gc.collect()  # the sockets, while the warning of them is expected


def source(broker: Broker, topic: str, user: str = ADMIN, **options: Any) -> KafkaSource:
    client = {"metadata_max_age_ms": 300, **login(user), **options.pop("client", {})}
    return KafkaSource(f"//{broker.bootstrap}/{topic}", client=client, **options)


def read(
    stream: KafkaSource,
    count: int,
    position: Position | None = None,
    *,
    size: int = 10,
    at: Callable[[int], None] = lambda done: None,
) -> list[Batch]:
    """Return batches of so many records; `at` is called with the number before each batch."""
    batches: list[Batch] = []
    done, end = 0, time.monotonic() + PATIENCE
    with closing(stream.batches(size, position)) as stream_of_batches:  # type: ignore[type-var]
        while done < count:
            assert time.monotonic() < end, f"{done} of {count} records came"
            at(done)
            batch = next(stream_of_batches)
            if batch.where:
                batches.append(batch)
                done += len(batch.where)
    return batches


def values(batches: list[Batch]) -> list[int]:
    return [n for batch in batches for n in batch.rows["n"]]


def places(batches: list[Batch]) -> list[str]:
    return [place for batch in batches for place in batch.where]


def numbers(begin: int, end: int, **every: Any) -> list[dict[str, Any]]:
    return [{"value": b'{"n": %d}' % n, **every} for n in range(begin, end)]


def when(count: int, action: Callable[[], object]) -> Callable[[int], None]:
    """Return what calls `action` once, as soon as so many records have come."""
    called: list[int] = []

    def at(done: int) -> None:
        if done >= count and not called:
            called.append(done)
            action()

    return at


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_records_are_read(broker: Broker, codec: str) -> None:
    topic = broker.topic()
    producer = KafkaProducer(**broker.client, compression_type=codec, linger_ms=5)
    with closing(producer):
        for n in range(50):
            producer.send(topic, b'{"n": %d, "text": "%s"}' % (n, b"a" * 200))
        producer.flush(PATIENCE)
    assert values(read(source(broker, topic), 50)) == list(range(50))


class TestLogins:
    def test_a_hashed_password(self, broker: Broker) -> None:
        with broker.admin() as admin:
            mechanism = ScramMechanism.SCRAM_SHA_512
            admin.alter_user_scram_credentials(
                [UserScramCredentialUpsertion(ADMIN, mechanism, f"{ADMIN}-secret")]
            )
        topic = broker.topic()
        broker.send(topic, numbers(0, 10))
        stream = source(broker, topic, client=login(ADMIN, "SCRAM-SHA-512"))
        assert values(read(stream, 10)) == list(range(10))

    @pytest.mark.parametrize(
        ("client", "message"),
        [
            (login(READER, password="wrong"), "refuses? the login of user 'reader'"),
            (login(READER, "SCRAM-SHA-512"), "refuses? the login of user 'reader'"),
            (login(READER) | {"security_protocol": "PLAINTEXT"}, "does the broker expect another"),
        ],
    )
    def test_a_login_that_is_refused(
        self, broker: Broker, client: dict[str, Any], message: str
    ) -> None:
        stream = source(broker, broker.topic(), client=client | {"bootstrap_timeout_ms": 2000})
        with pytest.raises(ConfigError, match=message):
            read(stream, 1)


class TestPermissions:
    def test_none(self, broker: Broker) -> None:
        topic = broker.topic()
        message = f"'reader' may not describe topic '{topic}': give that user the permission DESC"
        with pytest.raises(ConfigError, match=message):
            read(source(broker, topic, READER), 1)

    def test_only_to_describe(self, broker: Broker) -> None:
        topic = broker.topic()
        broker.send(topic, numbers(0, 10))
        Permissions(broker).allow(ResourceType.TOPIC, topic, DESCRIBE)
        message = f"'reader' may not read topic '{topic}': give that user the permission READ"
        with pytest.raises(DataError, match=message):
            read(source(broker, topic, READER), 1)

    def test_to_write_without_to_read(self, broker: Broker) -> None:
        """A sink reads what it has published, and says so."""
        topic = broker.topic()
        allowed = DESCRIBE, ACLOperation.WRITE
        Permissions(broker).allow(ResourceType.TOPIC, topic, *allowed)
        message = f"must be read .*'reader' may not read topic '{topic}': give that .* READ"
        with pytest.raises(DataError, match=message):
            KafkaSink(f"//{broker.bootstrap}/{topic}", client=login(READER), writer="a")

    def test_taken_back_while_it_is_read(self, broker: Broker) -> None:
        topic, permissions = broker.topic(), Permissions(broker)
        broker.send(topic, numbers(0, 10))
        permissions.allow(ResourceType.TOPIC, topic, DESCRIBE, READ)
        forbid = when(10, lambda: permissions.forbid(ResourceType.TOPIC, topic, DESCRIBE, READ))
        with pytest.raises((ConfigError, DataError), match="'reader' may not (read|describe)"):
            read(source(broker, topic, READER), 11, at=forbid)

    def test_none_on_the_group(self, broker: Broker, tmp_path: Path) -> None:
        """Only dashboards read what is committed: learning goes on, and one line says so."""
        topic = broker.topic()
        broker.send(topic, [json.dumps(row).encode() for row in rows(200)])
        Permissions(broker).allow(ResourceType.TOPIC, topic, DESCRIBE, READ)
        kafka = {**login(READER), "group_id": "forbidden"}
        with start(
            tmp_path, f"kafka://{broker.bootstrap}/{topic}", "--limit", "200", kafka=kafka
        ) as run:
            assert run.wait() == 0, run.err.read_text()
            log = run.err.read_text()
        assert len(read_lines(tmp_path / "predictions.jsonl")) == 200
        assert log.count("offsets cannot be committed to group forbidden: Kafka") == 1
        assert "'reader' may not use the group: give that user the permission READ" in log
        assert len(log.splitlines()) < 15, log

    def test_on_the_group_later(self, broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
        """One line when commits begin to fail, and one when they succeed again."""
        topic, permissions = broker.topic(), Permissions(broker)
        permissions.allow(ResourceType.TOPIC, topic, DESCRIBE, READ)
        options = ClientOptions({**login(READER), "group_id": topic}, broker.bootstrap)
        with closing(GroupOffsets(topic, options)) as group:
            allow = when(3, lambda: permissions.allow(ResourceType.GROUP, topic, READ))
            end, commits = time.monotonic() + PATIENCE, 0
            while f"offsets are committed to group {topic} again" not in caplog.text:
                assert time.monotonic() < end, caplog.text
                group.commit({0: commits})
                time.sleep(0.1)
                commits += 1
                allow(caplog.text.count("cannot be committed") and commits)
        # Once when it begins, and once more if it lasts.
        assert caplog.text.count(f"offsets cannot be committed to group {topic}: Kafka") in {1, 2}


class TestTopicsThatChange:
    @pytest.mark.parametrize("deterministic", [False, True])
    def test_partitions_that_are_added(self, broker: Broker, deterministic: bool) -> None:
        topic = broker.topic()
        broker.send(topic, numbers(0, 40))

        def add() -> None:
            with broker.admin() as admin:
                admin.create_partitions({topic: 3})
            time.sleep(2)  # until the source has found them
            for partition in range(3):
                broker.send(
                    topic, numbers(100 * partition, 100 * partition + 30), partition=partition
                )

        stream = source(broker, topic, deterministic=deterministic)
        # In order, the last records of a partition wait for those of the others.
        count = 120 if deterministic else 130
        batches = read(stream, count, at=when(40, add))
        assert len(set(places(batches))) == len(places(batches)) == count
        grown = next(n for n, b in enumerate(batches, 1) if len(b.position["offsets"]) == 3)
        left = batches[grown:]
        rest = read(stream, len(places(left)), batches[grown - 1].position)
        assert set(places(rest)) == set(places(left))
        if deterministic:
            assert places(rest) == places(left)
            assert left[0].position["starts"] == {"1": 40, "2": 40}

    def test_partitions_that_others_read(
        self, broker: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        topic = broker.topic()
        broker.send(topic, numbers(0, 10))

        def add() -> None:
            with broker.admin() as admin:
                admin.create_partitions({topic: 2})
            time.sleep(2)
            broker.send(topic, numbers(10, 20), partition=0)

        read(source(broker, topic, partitions=[0]), 20, at=when(10, add))
        assert f"{topic} has 2 partitions now, and this run reads only 0" in caplog.text

    def test_deleted(self, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("fenchel_connectors.kafka.watch.GONE", 2.0)
        topic = broker.topic()
        broker.send(topic, numbers(0, 10))

        def delete() -> None:
            with broker.admin() as admin:
                admin.delete_topics([topic])

        with pytest.raises(DataError, match=f"topic '{topic}' was deleted while it was read"):
            read(source(broker, topic), 11, at=when(10, delete))

    @pytest.mark.parametrize("count", [5, 50])
    def test_made_again(self, broker: Broker, count: int) -> None:
        """With fewer records than were read, or with more."""
        topic = broker.topic()
        broker.send(topic, numbers(0, 10))

        def make_again() -> None:
            with broker.admin() as admin:
                admin.delete_topics([topic])
            time.sleep(0.5)
            broker.topic(name=topic)
            broker.send(topic, numbers(0, count))

        with pytest.raises(DataError, match=f"topic '{topic}' was deleted and made again while"):
            read(source(broker, topic), 1000, at=when(10, make_again))

    def test_records_that_retention_has_deleted(self, broker: Broker) -> None:
        topic = broker.topic(retention_ms=200, segment_ms=100)
        broker.send(topic, numbers(0, 10))
        (batch,) = read(source(broker, topic), 10)
        early = {**batch.position, "offsets": {"0": 2}}
        end = time.monotonic() + PATIENCE
        while _beginning(broker, topic) < 10:
            assert time.monotonic() < end, "the broker deletes nothing"
            time.sleep(0.2)
        with pytest.raises(
            DataError, match="offset 2 comes next, and the broker has none before 10"
        ):
            read(source(broker, topic), 1, early)
        broker.send(topic, numbers(10, 20))
        assert values(read(source(broker, topic, reset="earliest"), 10, early)) == list(
            range(10, 20)
        )

    def test_gaps_that_compaction_leaves(self, broker: Broker) -> None:
        """Records before a gap are read once, and what comes after it follows in order."""
        topic = broker.topic(
            cleanup_policy="compact", segment_ms=100, min_cleanable_dirty_ratio=0.01
        )
        for n in range(30):
            broker.send(topic, numbers(n, n + 1, key=b"k%d" % (n % 3)))
        end = time.monotonic() + PATIENCE
        while len(found := values(read(source(broker, topic), 4, size=1))) > 3 and found[0] < 20:
            assert time.monotonic() < end, "the broker compacts nothing"
            time.sleep(0.3)
            broker.send(topic, numbers(30, 31, key=b"k0"))
        broker.send(topic, numbers(40, 44, key=b"other"))
        whole: list[Batch] = []
        stream = source(broker, topic, deterministic=True)
        with closing(stream.batches(1)) as batches:  # type: ignore[type-var]
            while not whole or values(whole)[-1] != 43:
                batch = next(batches)
                whole += [batch] if batch.where else []
        offsets = [int(batch.where[0].rpartition(":")[2]) for batch in whole]
        assert offsets == sorted(set(offsets))
        rest = read(stream, 2, whole[-3].position, size=1)
        assert values(rest) == values(whole[-2:])


def _beginning(broker: Broker, topic: str) -> int:
    from kafka import KafkaConsumer

    with closing(KafkaConsumer(**broker.client, group_id=None)) as consumer:
        part = TopicPartition(topic, 0)
        first: int = consumer.beginning_offsets([part])[part]
        return first


@pytest.mark.parametrize("deterministic", [False, True])
def test_records_of_aborted_transactions_are_not_read(broker: Broker, deterministic: bool) -> None:
    topic = broker.topic()
    producer = KafkaProducer(**broker.client, transactional_id=topic)
    with closing(producer):
        producer.init_transactions()
        for n in range(0, 40, 10):
            producer.begin_transaction()
            for one in numbers(n, n + 10):
                producer.send(topic, one["value"])
            producer.flush(PATIENCE)
            if n % 20:
                producer.abort_transaction()
            else:
                producer.commit_transaction()
    broker.send(topic, numbers(90, 95))
    batches = read(source(broker, topic, deterministic=deterministic), 25, size=5)
    assert values(batches) == [*range(10), *range(20, 30), *range(90, 95)]
    rest = read(source(broker, topic, deterministic=deterministic), 15, batches[1].position, size=5)
    assert values(rest) == values(batches[2:])


def test_connections_that_the_broker_closes(broker: Broker) -> None:
    """It does after three seconds without a request."""
    topic = broker.topic()
    broker.send(topic, numbers(0, 10))

    def idle() -> None:
        time.sleep(4)
        broker.send(topic, numbers(10, 20))

    client = {"metadata_max_age_ms": 60_000, "fetch_max_wait_ms": 500, "group_id": topic}
    stream = source(broker, topic, client=client)
    assert values(read(stream, 20, at=when(10, idle))) == list(range(20))


def test_a_quota_slows_a_reader_down(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    topic, padding = broker.topic(), b" " * 1000
    broker.send(topic, [b'{"n": %d}%s' % (n, padding) for n in range(1300)])
    tool = ["java", "-cp", classpath(), "kafka.admin.ConfigCommand"]
    settings = broker.folder / "admin.properties"
    settings.write_text(
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n"
        "sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required "
        f'username="{ADMIN}" password="{ADMIN}-secret";\n'
    )
    where = ["--bootstrap-server", broker.bootstrap, "--command-config", str(settings)]
    what = ["--alter", "--add-config", "consumer_byte_rate=100000", "--entity-type", "clients"]
    name = ["--entity-name", "slow"]
    subprocess.run([*tool, *where, *what, *name], check=True, capture_output=True)
    client = {"client_id": "slow", "max_partition_fetch_bytes": 50_000}
    begin = time.monotonic()
    assert values(read(source(broker, topic, client=client), 1300)) == list(range(1300))
    assert time.monotonic() - begin > 1, "the quota has no effect"
    assert "waits until the topic" not in caplog.text
