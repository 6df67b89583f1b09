"""Ending a run in good order when a signal asks for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, Self, TypeVar

T = TypeVar("T")


class _WaitEndedError(BaseException):
    """Breaks off a wait; no Exception, so that no source takes it for a fault of its own."""


class StopSignals:
    """SIGINT and SIGTERM as a wish to stop, from `__enter__` to `__exit__`.

    Work at hand is never interrupted; a wait for more is. Once a signal has come, the next one
    does what it did before, which usually ends the process at once.

    Attributes
    ----------
    came
        The signal that has come, None before.

    Examples
    --------
    >>> import os, signal
    >>> from fenchel_stream.runner.signals import StopSignals
    >>> with StopSignals() as stop:
    ...     numbers = iter([1, 2, 3])
    ...     first = stop.next(numbers)
    ...     os.kill(os.getpid(), signal.SIGTERM)
    ...     first, stop.next(numbers), stop.came.name
    (1, None, 'SIGTERM')
    """

    def __init__(self) -> None:
        self.came: signal.Signals | None = None
        self._waiting = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        # Python lets the main thread alone handle signals.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def next(self, items: Iterator[T], interrupt: bool = True) -> T | None:
        """Return the next of `items`; None at their end, or once a signal has come.

        Without `interrupt` a wait is not broken off: the next item must come soon of itself.
        """
        # The handler raises only while `_waiting` is true, which is within this try alone; a
        # signal that comes just before is seen in `came`.
        try:
            self._waiting = interrupt
            item = None if self.came else next(items, None)
            self._waiting = False
        except _WaitEndedError:
            return None
        except BaseException:
            self._waiting = False
            raise
        return item

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.__exit__()
        self.came = signal.Signals(number)
        if self._waiting:
            self._waiting = False
            raise _WaitEndedError
