"""The log of the Kafka client: it counts lines that repeat, and tells why a connection failed.

While a broker is away, kafka-python writes several lines for each attempt to connect. Read this
module to learn which of its lines reach the log of a run.
"""

from __future__ import annotations

import copy
import logging
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

from fenchel_stream.display import scrub

CLIENT_LOG = logging.getLogger("kafka")

EVENT_LOOP_LOG = logging.getLogger("kafka.net.selector")

PERIOD = 60.0
"""Seconds for which lines like one that was written are only counted."""

KINDS = 1000
"""Kinds of lines that are remembered."""

_VARYING = re.compile(r"<[^>]*>|\[[^\]]*\]|\d+")


class RepeatCounter(logging.Handler):
    """Passes the lines of the client on to the root logger, each kind once in `PERIOD` seconds.

    Two lines are of one kind if their templates are equal but for numbers and connections. The
    first line after the period says how many were left out.

    Examples
    --------
    >>> import logging
    >>> from fenchel_connectors.kafka.client_log import RepeatCounter
    >>> counter = RepeatCounter()
    >>> log = logging.Logger("kafka.net")
    >>> log.addHandler(counter)
    >>> for port in (1, 2, 3):
    ...     log.error("Connection to %d failed", port)
    >>> counter.repeats
    2
    """

    def __init__(self) -> None:
        super().__init__()
        self.repeats = 0  # lines left out so far
        self._kinds: dict[tuple[str, str], tuple[float, int]] = {}
        self._listeners: list[list[Exception]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a line on, or count it."""
        raised = record.exc_info[1] if record.exc_info else None
        arguments = record.args if isinstance(record.args, tuple) else ()
        for listener in list(self._listeners):
            listener += [one for one in (*arguments, raised) if isinstance(one, Exception)]
        kind = record.name, _VARYING.sub("", str(record.msg))
        now = time.monotonic()
        written, repeats = self._kinds.get(kind, (-inf, 0))
        if now - written < PERIOD:
            self.repeats += 1
            self._kinds[kind] = written, repeats + 1
            return
        if len(self._kinds) >= KINDS:
            self._kinds.clear()
        self._kinds[kind] = now, 0
        record = copy.copy(record)
        # A stack of the client's own functions would tell a reader of the log nothing.
        record.exc_info = record.exc_text = None
        error = "" if raised is None else f": {raised!r}"
        record.msg = scrub(record.getMessage() + error)  # it names brokers and files
        record.args = None
        if repeats:
            record.msg += f" ({repeats} more lines like this one before)"
        logging.getLogger().handle(record)

    @contextmanager
    def listening(self) -> Iterator[list[Exception]]:
        """Collect the errors that the client logs within the ``with`` block."""
        errors: list[Exception] = []
        self._listeners.append(errors)
        try:
            yield errors
        finally:
            # By identity: two lists of the same errors are equal.
            self._listeners[:] = [one for one in self._listeners if one is not errors]


COUNTER = RepeatCounter()


def install() -> None:
    """Send the client's log through `COUNTER`, at level WARNING or above.

    At level DEBUG, the client writes passwords. Of its event loop only errors are passed on: the
    warnings speak to those who develop the client, as on a busy machine that a step took 0.1 s.
    """
    CLIENT_LOG.setLevel(max(CLIENT_LOG.level, logging.WARNING))
    EVENT_LOOP_LOG.setLevel(logging.ERROR)
    if COUNTER not in CLIENT_LOG.handlers:
        CLIENT_LOG.addHandler(COUNTER)
        CLIENT_LOG.propagate = False


class _Silence:
    """Silences the client's log while it closes: it logs the requests that it aborts as errors.

    All threads share this log, and several readers may close at the same time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._level = logging.NOTSET

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._level = CLIENT_LOG.level
                CLIENT_LOG.setLevel(logging.CRITICAL)
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                CLIENT_LOG.setLevel(self._level)


SILENCE = _Silence()
