"""Opening a client of Kafka, so that one that cannot connect leaves nothing open."""

from __future__ import annotations

from typing import Any

from kafka import KafkaConsumer
from kafka.errors import KafkaError

from fenchel_connectors.kafka.client import ClientOptions
from fenchel_connectors.kafka.client_log import COUNTER, SILENCE
from fenchel_connectors.kafka.failures import failure
from fenchel_stream.errors import ConfigError


def connect(
    client: Any, options: ClientOptions, topic: str, *, action: str = "read", **settings: Any
) -> Any:
    """Return a client of a class of kafka-python, connected to its cluster.

    Parameters
    ----------
    client
        ``KafkaConsumer``, ``KafkaProducer`` or ``KafkaAdminClient``.
    options
        As the user gives them; the class takes those that it knows.
    topic, action
        For the message, see `explain`.
    settings
        Further options, which count more.

    Raises
    ------
    UnavailableError
        No broker answers in time.
    ConfigError
        The brokers refuse the login, or the client refuses an option.
    """
    parts: list[Any] = []

    def network(**configuration: Any) -> Any:
        parts.append(client.DEFAULT_CONFIG["kafka_client"](**configuration))
        return parts[-1]

    # The consumer takes all options, so that it refuses those that no client knows.
    values = options.values if issubclass(client, KafkaConsumer) else options.of(client)
    with COUNTER.listening() as causes:
        try:
            return client(**values | settings, kafka_client=network)
        except (KafkaError, TypeError, ValueError, RuntimeError, OSError) as error:
            # The constructor leaves its sockets and its thread behind.
            with SILENCE:
                for part in parts:
                    part.close()
            raise failure(
                error, options, topic=topic, action=action, causes=causes, kind=ConfigError
            ) from None
