"""The command ``fenchel-stream``: one module for each of its commands."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from fenchel_stream import __version__
from fenchel_stream.cli.logs import FORMATS, set_up_logs
from fenchel_stream.errors import FenchelStreamError

EXIT_CODES = """exit codes: 0 done, or stopped by SIGINT or SIGTERM after a checkpoint,
2 configuration, 3 data, 4 checkpoint, 130 interrupted, 1 anything else"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Examples
    --------
    >>> from fenchel_stream.cli import main
    >>> main(["run", "--source", "river:Phishing", "--target", "target", "--set",
    ...       "run.progress=false"])
    Accuracy 0... over 1,250 rows, ... rows/s
    0
    """
    try:
        return _main(arguments)
    except KeyboardInterrupt:
        return 130


def _main(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    fail = set_up_logs(options.log_format)
    try:
        options.command(options)
    except FenchelStreamError as error:
        fail(str(error), error.exit_code)
        return error.exit_code
    except OSError as error:
        fail(f"{error.filename or 'output'}: {error.strerror or error}", 1)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    # Only here, for it takes seconds: Ctrl-C should already be heard in good order.
    with _ended_by_ctrl_c():
        from fenchel_stream.cli import check, checkpoint, dlq, run, status  # noqa: PLC0415

    parser = argparse.ArgumentParser(
        prog="fenchel-stream",
        description="Learn a stream, test-then-train, with a Fenchel lifted network.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument(
        "--log-format",
        choices=FORMATS,
        default="text",
        help="how the log on standard error is written: json is one object a line",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (run, check, status, checkpoint, dlq):
        command.add_to(commands)
    # Each command ends its help with the codes.
    for one in commands.choices.values():
        one.epilog = EXIT_CODES
    return parser


@contextmanager
def _ended_by_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C end the process at once: an exception may be lost in the midst of an import."""
    try:
        before = signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    except ValueError:  # not in the main thread, where no signal is heard
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    sys.exit(main())
