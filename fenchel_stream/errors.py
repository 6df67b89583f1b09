"""The errors that the project raises: configuration, data and checkpoint.

Read this module to learn which error a fault raises, and with which code the command line exits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fenchel_stream.display import printable


class FenchelStreamError(Exception):
    """Base of every error that the project raises on purpose.

    The message says what was wrong, where (file, row, offset, key), and what to do. It is one
    printable line, whatever the data are that it quotes, and shows no secret.
    """

    exit_code = 1

    def __init__(self, message: object = "") -> None:
        super().__init__(printable(message))


class ConfigError(FenchelStreamError):
    """The configuration names something that does not exist, or a value that is not allowed."""

    exit_code = 2


class UnavailableError(ConfigError):
    """Something that the run needs, such as a broker, does not answer now.

    The same call may work later: a run that resumes from a checkpoint waits, and a run that begins
    ends with this error, because its configuration may be wrong.
    """


class DataError(FenchelStreamError):
    """The stream holds data that cannot be learnt, or too many such records."""

    exit_code = 3


class CheckpointError(FenchelStreamError):
    """A checkpoint is damaged, belongs to another model or source, or cannot be written."""

    exit_code = 4


def is_panic(error: BaseException) -> bool:
    """Return whether a library in Rust has given up. Such an error is no `Exception` in Python.

    Each library has a class of its own for it, without a public name.

    Examples
    --------
    >>> from fenchel_stream.errors import is_panic
    >>> is_panic(ValueError())
    False
    """
    return type(error).__name__ == "PanicException"


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """Let a model or a metric that gives up in Rust raise an error as any other does.

    Raises
    ------
    DataError
        A library in Rust has given up.
    """
    try:
        yield
    except BaseException as error:
        if not is_panic(error):
            raise
        raise DataError(f"a compiled part has given up: {error}") from error
