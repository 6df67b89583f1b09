"""Ends a run in good order when SIGINT or SIGTERM arrives."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, Self, TypeVar

T = TypeVar("T")


class _WaitEndedError(BaseException):
    """Interrupts a wait. It is not an Exception, so that no source handles it as its own error."""


class StopSignals:
    """Notes SIGINT and SIGTERM as requests to stop, from `__enter__` to `__exit__`.

    A signal interrupts a wait for the next item, but no other work. A second signal has the effect
    that it had before `__enter__`: usually it ends the process at once.

    Attributes
    ----------
    received
        The first signal that has arrived; None before.

    Examples
    --------
    >>> import os, signal
    >>> from fenchel_stream.runner.signals import StopSignals
    >>> with StopSignals() as signals:
    ...     numbers = iter([1, 2, 3])
    ...     first = signals.next(numbers)
    ...     os.kill(os.getpid(), signal.SIGTERM)
    ...     first, signals.next(numbers), signals.received.name
    (1, None, 'SIGTERM')
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._waiting = False
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        # Only the main thread can handle signals in Python.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def next(self, items: Iterator[T], interrupt: bool = True) -> T | None:
        """Return the next of `items`; None at their end, or once a signal has arrived.

        Without `interrupt` a signal does not interrupt the wait: the next item must come soon.
        """
        # `_waiting` is true only inside this try, so the handler raises only here. A signal that
        # arrives just before sets `received`.
        try:
            self._waiting = interrupt
            item = None if self.received else next(items, None)
            self._waiting = False
        except _WaitEndedError:
            return None
        except BaseException:
            self._waiting = False
            raise
        return item

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.__exit__()
        self.received = signal.Signals(number)
        if self._waiting:
            self._waiting = False
            raise _WaitEndedError
