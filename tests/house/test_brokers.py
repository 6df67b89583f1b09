"""What the other tests rely on: brokers that start, keep what they get, and stop."""

from __future__ import annotations

import signal

import pytest

from tests.brokers import Broker


def test_what_is_sent_is_read_in_order(broker: Broker) -> None:
    topic = broker.topic(partitions=2)
    broker.send(
        topic,
        [
            {"value": b'{"a": 1}', "partition": 0, "key": b"k", "timestamp_ms": 1_700_000_000_000},
            {"value": None, "key": b"k", "partition": 0, "headers": [("trace", b"\x00\x01")]},
            {"value": b"\xff", "partition": 1},
        ],
    )
    first, second, third = broker.read(topic, 3, [0, 1])
    assert (first.value, first.key, first.offset) == (b'{"a": 1}', b"k", 0)
    assert first.timestamp == 1_700_000_000_000
    assert (second.value, list(second.headers), second.offset) == (
        None,
        [("trace", b"\x00\x01")],
        1,
    )
    assert (third.value, third.partition, third.offset) == (b"\xff", 1, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_keeps_what_was_sent(own_broker: Broker, number: signal.Signals) -> None:
    own_broker.needs("restart", *(["durability"] if number == signal.SIGKILL else []))
    topic = own_broker.topic()
    own_broker.send(topic, [b"before"])
    own_broker.stop(number)
    own_broker.start()
    own_broker.send(topic, [b"after"])
    assert [record.value for record in own_broker.read(topic, 2)] == [b"before", b"after"]


def test_a_missing_ability_skips_the_test(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="no broker is known to lack"):
        broker.needs("magic")
    monkeypatch.setattr(broker, "name", "noida")
    with pytest.raises(pytest.skip.Exception, match="long poll: noida answers a fetch at once"):
        broker.needs("long poll")
