"""The log of the command line on standard error: lines for people, or JSON for machines."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from fenchel_stream.cli.terminal import show
from fenchel_stream.display import printable, scrub

FORMATS = ("text", "json")

log = logging.getLogger("fenchel_stream")

_STANDARD = vars(logging.makeLogRecord({})).keys() | {"message", "asctime"}


class TextFormatter(logging.Formatter):
    r"""Formats a log record as one printable line, and an exception on the lines after it.

    Examples
    --------
    >>> import logging
    >>> from fenchel_stream.cli.logs import TextFormatter
    >>> record = logging.makeLogRecord({"levelname": "INFO", "msg": "a\x1b[1m"})
    >>> print(TextFormatter().format(record))
    INFO a\x1b[1m
    """

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own
        """Return the line of a record, without its exception."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """Return the traceback of an exception, line by line."""
        return "\n".join(map(printable, super().formatException(ei).splitlines()))


class JsonFormatter(logging.Formatter):
    """Formats a log record as one line of JSON.

    Its keys are ``time``, ``level``, ``logger`` and ``message``, then those of the argument `extra`
    of the log call, then ``exception`` if the record has one.

    Examples
    --------
    >>> import logging
    >>> from fenchel_stream.cli.logs import JsonFormatter
    >>> record = logging.makeLogRecord({"name": "a", "levelname": "INFO", "msg": "b", "created": 0})
    >>> JsonFormatter().format(record)
    '{"time": "1970-01-01T00:00:00.000+00:00", "level": "INFO", "logger": "a", "message": "b"}'
    """

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": scrub(record.getMessage()),
        }
        for key, value in vars(record).items():
            if key not in _STANDARD:
                line[key] = scrub(value) if isinstance(value, str) else value
        if record.exc_info:
            line["exception"] = scrub(self.formatException(record.exc_info))
        return json.dumps(line, default=str)


def set_up_logs(form: str) -> Callable[[str, int], None]:
    """Send the log to standard error, and return a function that reports the final error.

    In JSON, an exception that nothing catches is logged too, with its traceback.

    Parameters
    ----------
    form
        One of `FORMATS`.

    Returns
    -------
    fail
        Takes a message and the exit code. In text it prints the message after the name of the
        command. In JSON it logs both.
    """
    handler = logging.StreamHandler(sys.stderr)
    if form == "json":
        handler.setFormatter(JsonFormatter())
        sys.excepthook = _log_exception
    else:
        handler.setFormatter(TextFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # At INFO, Matplotlib tells of its font cache.
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    return _log_error if form == "json" else _print_error


def _print_error(message: str, code: int) -> None:
    with suppress(OSError):  # the exit code says it too
        show(f"fenchel-stream: {message}", sys.stderr)


def _log_error(message: str, code: int) -> None:
    log.critical("%s", message, extra={"exit_code": code})


def _log_exception(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    log.critical("%r", error, exc_info=(kind, error, trace), extra={"exit_code": 1})
