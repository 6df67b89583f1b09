"""The identity of a topic: another topic may have had its name when a checkpoint was made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from kafka import KafkaAdminClient
from kafka.errors import (
    KafkaError,
    LeaderNotAvailableError,
    UnknownTopicOrPartitionError,
    for_code,
)

from fenchel_connectors.kafka.client import ClientOptions
from fenchel_connectors.kafka.client_log import COUNTER, SILENCE
from fenchel_connectors.kafka.connection import connect
from fenchel_connectors.kafka.failures import failure
from fenchel_stream.errors import CheckpointError, ConfigError
from fenchel_stream.streams.source import Position

ANSWERING = 5000
"""Milliseconds that a broker may take to describe a topic."""


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

    def difference(self, position: Position) -> str | None:
        """Return the first part of the identity that differs in `position`, None if none does."""
        for key, value in self.identity().items():
            before = position.get(key)
            if before != value and (key == "name" or None not in {before, value}):
                return key
        return None

    def check(self, position: Position) -> None:
        """Raise CheckpointError that names the difference if `position` is of another topic."""
        if (key := self.difference(position)) is not None:
            raise CheckpointError(
                f"the checkpoint was made with a topic whose {key} is {position.get(key)!r}, and "
                f"that of {self.name} is {self.identity()[key]!r}: its offsets mean other records; "
                "restore the topic, or choose another checkpoint directory"
            )


class UnknownTopicError(ConfigError):
    """No broker knows the topic."""


class TopicFinder:
    """Asks the brokers about one topic, again and again over one connection.

    Parameters
    ----------
    name
        Of the topic.
    options
        Of the client.
    """

    def __init__(self, name: str, options: ClientOptions) -> None:
        self.name = name
        self.options = options
        self._admin: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._admin is not None:
            with SILENCE:
                self._admin.close()
            self._admin = None

    def find(self) -> Topic:
        """Return the topic as its brokers describe it now.

        Raises
        ------
        UnavailableError
            No broker answers in time, or a partition has no leader.
        UnknownTopicError
            No broker knows the topic.
        ConfigError
            The brokers refuse the login, or do not let the user describe the topic.
        """
        name, options = self.name, self.options
        if self._admin is None:
            self._admin = connect(
                KafkaAdminClient, options, name, action="describe", request_timeout_ms=ANSWERING
            )
        with COUNTER.listening() as causes:
            try:
                (topic,) = self._admin.describe_topics([name])
                if topic["error_code"]:
                    raise for_code(topic["error_code"])
                if leaderless := [
                    one["partition_index"] for one in topic["partitions"] if one["leader_id"] < 0
                ]:
                    raise LeaderNotAvailableError(f"partitions {leaderless} have no leader")
                cluster_id = _cluster_id(self._admin)
            except UnknownTopicOrPartitionError:
                raise UnknownTopicError(
                    options.scrub(
                        f"topic {name!r} is not known at {options.servers}: create it first"
                    )
                ) from None
            except (KafkaError, OSError) as error:
                raise failure(
                    error,
                    options,
                    topic=name,
                    action="describe",
                    causes=causes,
                    at=self._advertised(),
                    kind=ConfigError,
                ) from None
        return Topic(name, topic.get("topic_id"), cluster_id, len(topic["partitions"]))

    def _advertised(self) -> str | None:
        """Return where the cluster sends its clients, unless the user has named those brokers.

        The first broker may answer, and name addresses that this machine cannot reach.
        """
        cluster = self._admin._manager.cluster  # noqa: SLF001 - there is no public way
        brokers = sorted(f"{one.host}:{one.port}" for one in cluster.brokers())
        if not brokers or set(brokers) & set(self.options.values["bootstrap_servers"]):
            return None
        return f"{', '.join(brokers)}, to which {self.options.servers} sends its clients"


def find_topic(name: str, options: ClientOptions) -> Topic:
    """Return a topic as its brokers describe it, see `TopicFinder.find`."""
    with TopicFinder(name, options) as finder:
        return finder.find()


def _cluster_id(admin: Any) -> str | None:
    try:
        cluster_id: str | None = admin.describe_cluster()["cluster_id"]
    except KeyError:  # kafka-python 3.0.12 reads a field that older brokers do not send
        return None
    return cluster_id
