"""Waits for a client that blocks while its brokers are away, and lets the run live meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from math import inf
from typing import TypeVar

from kafka.errors import KafkaError, KafkaTimeoutError

from fenchel_connectors.kafka.client import ClientOptions
from fenchel_connectors.kafka.failures import passes
from fenchel_connectors.kafka.outage import Outage
from fenchel_connectors.kafka.watch import Watch
from fenchel_stream.errors import UnavailableError

T = TypeVar("T")

TICK = 0.5
"""Seconds between two looks at a call that blocks."""

QUICK = 2.0
"""Seconds that a call may block before the cluster is asked whether the topic still exists."""

SLOW = 5.0
"""Seconds after which a call that blocks counts as an outage."""


class StuckError(KafkaTimeoutError):  # type: ignore[misc]
    """A call of the client does not end although the cluster answers."""


class Patience:
    """Makes calls that block, each in a thread of its own.

    Parameters
    ----------
    topic
        Name of the topic that the calls are about.
    options
        Of the client.

    Attributes
    ----------
    while_waiting
        Called about twice a second while a call blocks, with the seconds of the outage so far. It
        may raise an exception to give up.

    Examples
    --------
    >>> from fenchel_connectors.kafka.patience import Patience
    >>> from fenchel_connectors.kafka.client import ClientOptions
    >>> Patience("flights", ClientOptions({}, "localhost:9092")).wait_for(lambda: 1 + 1)
    2
    """

    def __init__(self, topic: str, options: ClientOptions) -> None:
        self.options = options
        self.outage = Outage(topic)
        self.while_waiting: Callable[[float], None] = _nothing

    def wait_for(self, action: Callable[[], T], *, stuck_after: float = inf) -> T:
        """Return what `action` returns, or raise what it raises, however long it takes.

        Parameters
        ----------
        action
            The call that blocks.
        stuck_after
            Seconds for which the cluster may answer while the call still blocks.

        Raises
        ------
        DataError
            Meanwhile the topic was deleted, or made again.
        StuckError
            The call blocks although the cluster answers; it goes on blocking its thread.
        """
        ended = threading.Event()
        outcome: list[T] = []
        errors: list[BaseException] = []

        def act() -> None:
            try:
                outcome.append(action())
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                errors.append(error)
            finally:
                ended.set()

        threading.Thread(target=act, name="kafka-wait", daemon=True).start()
        with ExitStack() as held:
            watch: Watch | None = None
            begin = answering = time.monotonic()
            while not ended.wait(TICK):
                if watch is None and time.monotonic() - begin >= QUICK:
                    watch = Watch(self.outage.topic, self.options, known=True)
                    held.enter_context(watch)
                if watch is None or watch.topic is None or watch.error is not None:
                    answering = time.monotonic()
                elif time.monotonic() - answering > stuck_after:
                    raise StuckError("the cluster answers, but the client does not finish")
                if watch is not None:
                    watch.check()
                    if time.monotonic() - begin >= SLOW:
                        self.outage.begin(watch.error or "the brokers acknowledge nothing")
                self.while_waiting(self.outage.seconds)
        if errors:
            raise errors[0]
        self.outage.end()
        return outcome[0]

    def repeat(self, action: Callable[[], T]) -> T:
        """Return what `action` returns; repeat it while it raises an error that ends by itself."""
        while True:
            try:
                return self.wait_for(action)
            except (KafkaError, UnavailableError) as error:
                if not isinstance(error, UnavailableError) and not passes(error):
                    raise
                self.outage.begin(error)
            self.while_waiting(self.outage.seconds)
            time.sleep(TICK)


def _nothing(seconds: float) -> None:
    pass
