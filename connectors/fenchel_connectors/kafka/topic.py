"""Which topic this is: its name may have belonged to another one when a checkpoint was made."""

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
    """A topic, as a cluster knows it.

    Attributes
    ----------
    name
        Its name.
    topic_id
        Its number, which a topic of the same name that is made later does not have; None where the
        broker tells none.
    cluster_id
        The cluster's, likewise.
    partitions
        How many it has.
    """

    name: str
    topic_id: str | None
    cluster_id: str | None
    partitions: int

    def identity(self) -> dict[str, str | None]:
        """Return what a checkpoint keeps of it: all but its size, which may grow."""
        return {key: value for key, value in asdict(self).items() if key != "partitions"}

    def check(self, position: Position) -> None:
        """Raise CheckpointError, which names the difference, if `position` is of another topic."""
        for key, value in self.identity().items():
            before = position.get(key)
            if before != value and (key == "name" or None not in {before, value}):
                raise CheckpointError(
                    f"the checkpoint was made with a topic whose {key} is {before!r}, and that of "
                    f"{self.name} is {value!r}: its offsets mean other records; restore the topic, "
                    "or choose another checkpoint directory"
                )


def find_topic(name: str, options: ClientOptions) -> Topic:
    """Ask the brokers for a topic.

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
        (found,) = admin.describe_topics([name])
        if found["error_code"] or not found["partitions"]:
            raise ConfigError(f"topic {name!r} is not known at {options.servers}: create it first")
        return Topic(name, found.get("topic_id"), _cluster_id(admin), len(found["partitions"]))
    except KafkaError as error:
        raise ConfigError(unreachable(options, error)) from None
    finally:
        admin.close()


def unreachable(options: ClientOptions, error: Exception) -> str:
    """Return what to say of brokers that do not answer, or not as they should."""
    return f"Kafka at {options.servers}: {options.scrub(error)}"


def _cluster_id(admin: Any) -> str | None:
    try:
        found: str | None = admin.describe_cluster()["cluster_id"]
    except KeyError:  # kafka-python 3.0.12 asks for a field that older brokers do not send
        return None
    return found
