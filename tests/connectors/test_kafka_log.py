"""What reaches the log of a run from the Kafka client, and from its errors."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from kafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaTimeoutError,
    NotLeaderForPartitionError,
    RequestTimedOutError,
    SaslAuthenticationFailedError,
)

from fenchel_connectors.kafka import client_log
from fenchel_connectors.kafka.client import ClientOptions
from fenchel_connectors.kafka.client_log import RepeatCounter
from fenchel_connectors.kafka.failures import explain, failure, passes
from fenchel_stream.errors import ConfigError, UnavailableError


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, RepeatCounter]]:
    counter, logger = RepeatCounter(), logging.getLogger("lines-of-a-client")
    logger.propagate = False
    logger.addHandler(counter)
    yield logger, counter
    logger.removeHandler(counter)


@pytest.fixture
def written() -> Iterator[list[str]]:
    """The lines that reach the root logger."""
    lines: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    collector = Collector()
    logging.getLogger().addHandler(collector)
    yield lines
    logging.getLogger().removeHandler(collector)


def test_lines_that_repeat_are_counted(
    log: tuple[logging.Logger, RepeatCounter],
    written: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logger, counter = log
    for port in range(5):
        logger.error("Connection to %d failed", port)
        logger.error(f"<KafkaConnection {port}>: lost")
    try:
        raise KafkaConnectionError("reset")
    except KafkaConnectionError:
        logger.exception("Something else")
    assert written == [
        "Connection to 0 failed",
        "<KafkaConnection 0>: lost",
        "Something else: KafkaConnectionError('reset')",
    ]
    assert counter.repeats == 8
    monkeypatch.setattr(client_log, "PERIOD", 0.0)
    logger.error("Connection to %d failed", 9)
    assert written[-1] == "Connection to 9 failed (4 more lines like this one before)"


def test_the_errors_that_the_client_logs_are_heard(
    log: tuple[logging.Logger, RepeatCounter],
) -> None:
    logger, counter = log
    error = KafkaConnectionError("refused")
    with counter.listening() as first, counter.listening() as second:
        logger.error("Connection failed: %s", error)
    logger.error("Connection failed: %s", error)
    assert first == second == [error]


@pytest.mark.parametrize(
    ("cause", "kind", "message"),
    [
        (KafkaConnectionError("111 ECONNREFUSED"), UnavailableError, "ECONNREFUSED"),
        (SaslAuthenticationFailedError("no"), ConfigError, "refuses the login of user 'me'"),
    ],
)
def test_the_cause_is_told_and_not_the_timeout(
    cause: Exception, kind: type[Exception], message: str
) -> None:
    options = ClientOptions({"sasl_plain_username": "me"}, "a:9092")
    causes = [cause, KafkaConnectionError("socket disconnected"), KafkaTimeoutError("in vain")]
    error = failure(
        KafkaTimeoutError("Unable to bootstrap"),
        options,
        topic="t",
        causes=causes[:1] + causes[2:] if kind is UnavailableError else causes,
        kind=ConfigError,
    )
    assert type(error) is kind
    assert message in str(error)
    assert "in vain" not in str(error)


@pytest.mark.parametrize(
    ("cause", "hint"),
    [
        (KafkaConnectionError("111 ECONNREFUSED"), "does the broker run?"),
        (KafkaConnectionError("DNS Resolution failure"), "is its name right?"),
        (KafkaConnectionError("Handshake failed: EOF occurred"), "security_protocol is PLAINTEXT"),
        (KafkaConnectionError("[SSL: CERTIFICATE_VERIFY_FAILED]"), "ssl_cafile in [kafka]"),
        (IllegalSaslStateError(), "security_protocol is PLAINTEXT"),
        (RequestTimedOutError("after 5 s"), "does a broker of Kafka listen there"),
    ],
)
def test_what_to_look_at_if_no_connection_comes_about(cause: Exception, hint: str) -> None:
    options = ClientOptions({}, "a:9092")
    error = KafkaTimeoutError("Unable to bootstrap")
    assert hint in explain(error, options, topic="t", causes=[cause])


def test_what_passes() -> None:
    assert passes(NotLeaderForPartitionError())
    assert passes(ConnectionRefusedError())
    assert not passes(SaslAuthenticationFailedError())
    assert not passes(ValueError())
