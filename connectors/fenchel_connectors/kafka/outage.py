"""An outage of a cluster: one line in the log when it begins, one when it ends, and its length."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from fenchel_connectors.kafka.client_log import COUNTER

log = logging.getLogger(__name__)


class Outage:
    """Time in which a cluster does not serve a topic, from `begin` to `end`.

    Parameters
    ----------
    topic
        Name of the topic.
    clock
        Seconds that only grow.

    Examples
    --------
    >>> from fenchel_connectors.kafka.outage import Outage
    >>> now = 10.0
    >>> outage = Outage("flights", clock=lambda: now)
    >>> outage.begin("Kafka at a:9092: no answer")
    >>> now = 15.0
    >>> outage.seconds
    5.0
    >>> outage.end()
    >>> outage.seconds
    0.0
    """

    def __init__(self, topic: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.topic = topic
        self.clock = clock
        self._since: float | None = None
        self._repeats = 0

    @property
    def seconds(self) -> float:
        """How long the outage has lasted; 0 if there is none."""
        return 0.0 if self._since is None else self.clock() - self._since

    def begin(self, reason: object) -> None:
        """Note that the cluster does not serve the topic; only the first call writes a line."""
        if self._since is None:
            self._since, self._repeats = self.clock(), COUNTER.repeats
            log.warning("%s: waits until the topic can be used again: %s", self.topic, reason)

    def end(self) -> None:
        """Note that the cluster serves the topic; only the first call writes a line."""
        if self._since is not None:
            log.warning(
                "%s: can be used again, after %.0f s (%d lines of the client's log left out)",
                self.topic,
                self.seconds,
                COUNTER.repeats - self._repeats,
            )
            self._since = None
