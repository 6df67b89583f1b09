"""The identity of a topic: another topic may have had its name when a checkpoint was made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from fenchel_connectors.kafka.client import ClientOptions
from fenchel_stream.errors import CheckpointError, ConfigError
from fenchel_stream.streams.source import Position


@dataclass(frozen=True)
class Topic:
    """The identity and size of a topic.

    Attributes
    ----------
    name
        Its name.
    topic_id
        Its id, which a later topic of the same name does not have; None if the broker gives none.
    cluster_id
        The id of the cluster; None if the broker gives none.
    partitions
        Number of its partitions.
    """

    name: str
    topic_id: str | None
    cluster_id: str | None
    partitions: int

    def identity(self) -> dict[str, str | None]:
        """Return everything but the number of partitions, which may grow: for the checkpoint."""
        return {key: value for key, value in asdict(self).items() if key != "partitions"}

    def check(self, position: Position) -> None:
        """Raise CheckpointError that names the difference if `position` is of another topic."""
        for key, value in self.identity().items():
            before = position.get(key)
            if before != value and (key == "name" or None not in {before, value}):
                raise CheckpointError(
                    f"the checkpoint was made with a topic whose {key} is {before!r}, and that of "
                    f"{self.name} is {value!r}: its offsets mean other records; restore the topic, "
                    "or choose another checkpoint directory"
                )


def find_topic(name: str, options: ClientOptions) -> Topic:
    """Return a topic as its brokers describe it.

    Raises
    ------
    ConfigError
        No broker answers, or none knows the topic.
    """
    try:
        admin = KafkaAdminClient(**options.of(KafkaAdminClient))
    except (KafkaError, TypeError, ValueError, OSError) as error:
        raise ConfigError(unreachable(options, error)) from None
    try:
        (topic,) = admin.describe_topics([name])
        if topic["error_code"] or not topic["partitions"]:
            raise ConfigError(f"topic {name!r} is not known at {options.servers}: create it first")
        return Topic(name, topic.get("topic_id"), _cluster_id(admin), len(topic["partitions"]))
    except KafkaError as error:
        raise ConfigError(unreachable(options, error)) from None
    finally:
        admin.close()


def unreachable(options: ClientOptions, error: Exception) -> str:
    """Return the message for brokers that do not answer or report an error."""
    return f"Kafka at {options.servers}: {options.scrub(error)}"


def _cluster_id(admin: Any) -> str | None:
    try:
        cluster_id: str | None = admin.describe_cluster()["cluster_id"]
    except KeyError:  # kafka-python 3.0.12 reads a field that older brokers do not send
        return None
    return cluster_id
