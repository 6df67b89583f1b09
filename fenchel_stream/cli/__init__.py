"""The command ``fenchel-stream``: one module for each of its subcommands.

A subcommand's module is imported when it is called, so that ``--help`` need not import the library.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

from fenchel_stream.cli.logs import set_up_logs
from fenchel_stream.cli.parser import make_parser
from fenchel_stream.cli.terminal import prepare_streams
from fenchel_stream.errors import FenchelStreamError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    arguments
        The arguments; by default those of the process.

    Examples
    --------
    >>> from fenchel_stream.cli import main
    >>> main(["run", "--source", "river:Phishing", "--target", "target", "--set",
    ...       "run.progress=false"])
    Accuracy 0... over 1,250 rows, ... rows/s
    0
    """
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return 130


def _run(arguments: Sequence[str] | None) -> int:
    prepare_streams()
    options = make_parser().parse_args(arguments)
    fail = set_up_logs(options.log_format)
    with _ended_by_ctrl_c():
        command = import_module(f"fenchel_stream.cli.{options.command}")
    try:
        command.execute(options)
    except FenchelStreamError as error:
        fail(str(error), error.exit_code)
        return error.exit_code
    except OSError as error:
        fail(f"{error.filename or 'output'}: {error.strerror or error}", 1)
        return 1
    return 0


@contextmanager
def _ended_by_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C end the process at once. An exception may get lost while modules are imported."""
    try:
        handler = signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    except ValueError:  # only the main thread can handle signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
