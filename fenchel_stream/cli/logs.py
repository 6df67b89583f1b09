"""The log of the command line on standard error: lines for people, or JSON for machines."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType

FORMATS = ("text", "json")

log = logging.getLogger("fenchel_stream")

_STANDARD = vars(logging.makeLogRecord({})).keys() | {"message", "asctime"}


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
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
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
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # At INFO, Matplotlib tells of its font cache.
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    return _log_error if form == "json" else _print_error


def _print_error(message: str, code: int) -> None:
    print(f"fenchel-stream: {message}", file=sys.stderr)


def _log_error(message: str, code: int) -> None:
    log.critical("%s", message, extra={"exit_code": code})


def _log_exception(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    log.critical("%r", error, exc_info=(kind, error, trace), extra={"exit_code": 1})
