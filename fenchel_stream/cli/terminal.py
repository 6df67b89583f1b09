"""What the command prints, and the standard streams that it prints to."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from typing import TextIO

from fenchel_stream.display import printable


def show(text: object, file: TextIO | None = None) -> None:
    """Print a line, by default to standard output.

    Characters that a terminal would obey, and those that the stream cannot encode, are escaped.
    """
    print(printable(text), file=file)


def prepare_streams() -> None:
    """Make standard output and standard error safe to print to, even where they are closed.

    The next file that is opened would get the number of a closed stream, and whatever is printed
    would go into that file. Writing to a stream that was closed is an error, except for `print`.
    """
    descriptor = 0
    while descriptor < 2:
        descriptor = os.open(os.devnull, os.O_RDONLY)  # the lowest number that is free
    if descriptor > 2:
        os.close(descriptor)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        with suppress(AttributeError):  # a stream that a caller has put in its place
            getattr(sys, name).reconfigure(errors="backslashreplace")
    atexit.register(_give_up_messages)


def _give_up_messages() -> None:
    """Drop messages that standard error did not take: Python would exit with 120 for them."""
    try:
        sys.stderr.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stderr.fileno())
        os.close(null)
    except ValueError:
        pass  # it is closed
