"""Answers the two questions of an orchestrator: whether the run lives, and whether it is ready."""

from __future__ import annotations

import time
from collections.abc import Callable

READY_FOR = 30.0
"""Seconds of an outage for which a run still counts as ready: brokers restart in less time."""


class Health:
    """The health of a run, from the moments at which its loop turns.

    A run *lives* while its loop turns: within the last `stuck_after` seconds it has learnt a batch
    and asked for the next. An idle topic lets the loop turn too, so that its run is not taken for
    stuck. A run is *ready* from its first turn until it stops, except while a server that it needs
    has been away for more than `READY_FOR` seconds. It lives then: to restart it would not help.

    Parameters
    ----------
    stuck_after
        Seconds without a turn after which the run counts as stuck.
    clock
        Seconds that only grow.

    Examples
    --------
    >>> from fenchel_connectors.monitoring.health import Health
    >>> now = 0.0
    >>> health = Health(stuck_after=60, clock=lambda: now)
    >>> health.live(), health.ready()
    ((True, 'starting'), (False, 'starting'))
    >>> health.turn()
    >>> now = 61.0
    >>> health.live(), health.ready()
    ((False, 'stuck: the loop has not turned for 61 s'), (True, 'running'))
    >>> health.turn(outage=31)
    >>> health.live(), health.ready()
    ((True, 'running'), (False, 'waiting for a server that has been away for 31 s'))
    """

    def __init__(
        self, stuck_after: float = 300.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.stuck_after = stuck_after
        self.clock = clock
        self._state = "starting"
        self._last = clock()
        self._waits = False
        self._outage = 0.0

    def turn(self, waits: bool = False, outage: float = 0.0) -> None:
        """Note that the loop has turned, whether it may wait for ever now, and an outage."""
        self._state, self._last, self._waits = "running", self.clock(), waits
        self._outage = outage

    def stop(self) -> None:
        """Note that the run is about to end."""
        self._state, self._last, self._waits = "stopping", self.clock(), False

    def live(self) -> tuple[bool, str]:
        """Return whether the run lives, and its state in words."""
        silent = self.clock() - self._last
        if silent > self.stuck_after and not self._waits:
            return False, f"stuck: the loop has not turned for {silent:.0f} s"
        return True, "waiting for the source" if self._waits else self._state

    def ready(self) -> tuple[bool, str]:
        """Return whether the run learns new records, and its state in words."""
        if self._state == "running" and self._outage > READY_FOR:
            return False, f"waiting for a server that has been away for {self._outage:.0f} s"
        return self._state == "running", self._state
