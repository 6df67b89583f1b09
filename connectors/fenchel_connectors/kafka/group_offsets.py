"""Commits offsets to a consumer group, for tools that show its lag; they are never read back."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

from fenchel_connectors.kafka.client import ClientOptions
from fenchel_connectors.kafka.client_log import SILENCE
from fenchel_connectors.kafka.connection import connect
from fenchel_connectors.kafka.failures import explain, passes

log = logging.getLogger(__name__)

CLOSING = 3.0
"""Seconds that the last commit may take at the end."""


class GroupOffsets:
    """The offsets of a consumer group, by a client that does nothing else.

    The consumer that reads is in no group. Reading therefore needs neither the coordinator of the
    group nor a permission on it.

    Parameters
    ----------
    topic
        Name of the topic.
    options
        Of the client; its ``group_id`` names the group.

    Raises
    ------
    UnavailableError
        The brokers do not answer.
    """

    def __init__(self, topic: str, options: ClientOptions) -> None:
        self.topic = topic
        self.options = options
        self.group = options.values["group_id"]
        self._consumer = connect(KafkaConsumer, options, topic)
        self._commit: Any = None
        self._told = 0  # since the last success: 1, that commits fail; 2, that waiting is in vain

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Send the next offset of each partition to the group, without waiting for the answer."""
        self._commit = self._consumer.commit_async(
            {
                TopicPartition(self.topic, number): OffsetAndMetadata(offset, "", -1)
                for number, offset in offsets.items()
            },
            callback=self._note,  # the client calls it at the next commit
        )

    def close(self) -> None:
        """Close the client once the last commit is done, or after a few seconds."""
        end = time.monotonic() + CLOSING
        while self._commit is not None and not self._commit.is_done and time.monotonic() < end:
            time.sleep(0.005)
        if self._commit is not None and self._commit.failed():
            self._note(None, self._commit.exception)
        with SILENCE:
            self._consumer.close(autocommit=False, timeout_ms=int(1000 * CLOSING))

    def _note(self, offsets: object, outcome: object) -> None:
        """Log when commits begin to fail, when waiting does not help, and when they succeed."""
        if not isinstance(outcome, Exception):
            if self._told:
                log.warning("offsets are committed to group %s again", self.group)
            self._told = 0
            return
        level = 1 if passes(outcome) else 2
        if level > self._told:
            self._told = level
            log.warning(
                "offsets cannot be committed to group %s: %s; learning goes on, because the "
                "checkpoint holds the position, but tools show a wrong lag",
                self.group,
                explain(outcome, self.options, topic=self.topic),
            )
