"""The arguments of every subcommand.

This module imports no slow module, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NoReturn

from fenchel_stream import __version__
from fenchel_stream.cli.logs import FORMATS
from fenchel_stream.display import printable

EXIT_CODES = """exit codes: 0 done, or stopped by SIGINT or SIGTERM after a checkpoint,
2 configuration, 3 data, 4 checkpoint, 130 interrupted, 1 anything else"""

FLAGS = {
    "--source": ("source.url", "URL", "rows to learn, such as csv:flights.csv"),
    "--target": ("source.target", "COLUMN", "column to predict"),
    "--kind": ("source.kind", "KIND", "classification, regression or multi-target"),
    "--positive": ("source.positive", "CLASS", "class that becomes True; all others become False"),
    "--batch-size": ("run.batch_size", "ROWS", "records per mini-batch"),
    "--limit": ("run.limit", "ROWS", "stop after this number of records"),
    "--checkpoint": (
        "checkpoint.directory",
        "DIR",
        "directory of checkpoints, to resume from",
    ),
    "--from": ("checkpoint.start", "DIR/NAME", "checkpoint to start from while DIR has none"),
    "--predictions": ("output.predictions", "FILE", "file for the predictions, as JSON lines"),
    "--rejects": ("output.rejects", "FILE", "file for the records that cannot be learnt"),
    "--plot": ("output.plot", "FILE", "file for a picture of the windowed metrics"),
    "--metrics-port": ("metrics.port", "PORT", "serve Prometheus metrics on loopback"),
}
"""For each flag the key of the configuration that it sets, the name of its value, and its help."""

NUMBERS = {"ROWS", "PORT"}


class _Parser(argparse.ArgumentParser):
    """A parser whose messages are printable: they quote arguments."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line.

    The parsed arguments have the attribute ``command``, which is the name of the subcommand's
    module.
    """
    parser = _Parser(
        prog="fenchel-stream",
        description="Learn a stream, test-then-train, with a Fenchel lifted network.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument(
        "--log-format",
        choices=FORMATS,
        default="text",
        help="format of the log on standard error; json writes one object a line",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    _add_run(commands)
    _add_check(commands)
    _add_status(commands)
    _add_checkpoint(commands)
    _add_dlq(commands)
    for command in commands.choices.values():
        command.epilog = EXIT_CODES
    return parser


def _add_run(commands: Any) -> None:
    _add_configuration(commands.add_parser("run", help="learn a stream"))


def _add_check(commands: Any) -> None:
    text = "try a configuration on the first batch of its source; nothing is written"
    parser = commands.add_parser("check", help=text, description=text)
    _add_configuration(parser)
    parser.add_argument(
        "--wait",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="longest wait for a record of an idle source",
    )


def _add_configuration(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", nargs="?", type=Path, help="TOML file; flags replace its values")
    for flag, (key, metavar, text) in FLAGS.items():
        kind = int if metavar in NUMBERS else str
        parser.add_argument(flag, metavar=metavar, type=kind, help=f"{text} ({key})")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="TABLE.KEY=VALUE",
        help="set any key of the configuration; the value is written as in TOML",
    )


def _add_status(commands: Any) -> None:
    text = "show the progress of a run, read from its checkpoints"
    parser = commands.add_parser("status", help=text, description=text)
    parser.add_argument("directory", type=Path, help="the checkpoint.directory of the run")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")


def _add_checkpoint(commands: Any) -> None:
    checkpoint = commands.add_parser(
        "checkpoint", help="list, verify, export, name or roll back checkpoints"
    )
    actions = checkpoint.add_subparsers(required=True, metavar="ACTION", dest="action")

    def add(action: str, text: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = actions.add_parser(action, help=text, description=text)
        parser.add_argument("directory", type=Path, help="the checkpoint.directory of the run")
        return parser

    name: dict[str, Any] = {
        "metavar": "NAME",
        "help": "name of a checkpoint, as `list` shows it, or an alias",
    }
    add("list", "list the checkpoints of a directory, newest last")
    verify = add("verify", "check all files of a checkpoint, or of all, by their sha256")
    verify.add_argument("name", nargs="?", **name)
    export = add("export", "verify a checkpoint and write it into one tar file")
    export.add_argument("name", **name)
    export.add_argument("path", type=Path, help="a file that does not exist yet")
    alias = add("alias", "give a checkpoint a name, such as champion, and keep it")
    alias.add_argument("alias", help="the name to give; a checkpoint that has it loses it")
    alias.add_argument("name", nargs="?", **name)
    rollback = add("rollback", "let the next run resume from an older checkpoint")
    which = rollback.add_mutually_exclusive_group(required=True)
    which.add_argument("name", nargs="?", **name)
    which.add_argument("--back", type=int, metavar="N", help="go back by N checkpoints")


def _add_dlq(commands: Any) -> None:
    dlq = commands.add_parser("dlq", help="replay dead letters")
    actions = dlq.add_subparsers(required=True, metavar="ACTION", dest="action")
    text = "send the records in dead letters back to a topic or a file, each once"
    replay = actions.add_parser("replay", help=text, description=text)
    replay.add_argument("letters", help="the output.rejects of the run: a file or a topic")
    replay.add_argument("target", help="the topic or the file that gets the records")
    replay.add_argument("--config", type=Path, help="the run's TOML file, for its client options")
    replay.add_argument(
        "--reason", action="append", metavar="REASON", help="only letters of this reason"
    )
    replay.add_argument(
        "--patience",
        type=float,
        default=5.0,
        metavar="SECONDS",
        help="stop reading a topic of letters when no record has come for this time",
    )
