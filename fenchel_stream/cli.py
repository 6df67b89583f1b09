"""The command ``fenchel-stream``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from fenchel_stream import __version__
from fenchel_stream.checkpoint import CheckpointStore
from fenchel_stream.config import load, setting
from fenchel_stream.errors import CheckpointError, ConfigError, FenchelStreamError
from fenchel_stream.learner import Learner

FLAGS = {
    "--source": ("source.url", "URL", "rows to learn, as csv:flights.csv or river:Phishing"),
    "--target": ("source.target", "COLUMN", "column to predict"),
    "--kind": ("source.kind", "KIND", "classification, regression or multi-target"),
    "--positive": ("source.positive", "CLASS", "class that becomes True, all others False"),
    "--batch-size": ("run.batch_size", "ROWS", "records per mini-batch"),
    "--limit": ("run.limit", "ROWS", "stop after so many records"),
    "--checkpoint": ("checkpoint.directory", "DIR", "where state is kept; resumes what is there"),
    "--predictions": ("output.predictions", "FILE", "write predictions there, as JSON lines"),
    "--rejects": ("output.rejects", "FILE", "write records that cannot be learnt there"),
    "--plot": ("output.plot", "FILE", "draw the windowed metrics there at the end"),
    "--metrics-port": ("metrics.port", "PORT", "serve Prometheus metrics on loopback"),
}
NUMBERS = {"ROWS", "PORT"}

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
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        options.command(options)
    except FenchelStreamError as error:
        print(f"fenchel-stream: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        where = error.filename or "output"
        print(f"fenchel-stream: {where}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _run(options: argparse.Namespace) -> None:
    settings = dict(map(setting, options.set))
    for flag, (key, _, _) in FLAGS.items():
        value = getattr(options, flag[2:].replace("-", "_"))
        if value is not None:
            settings[key] = value
    print(Learner(load(options.config, settings)).run())


def _list(options: argparse.Namespace) -> None:
    for info in _store(options.directory).list():
        print(info)


def _verify(options: argparse.Namespace) -> None:
    store = _store(options.directory)
    # Without any name this verifies the newest, or says that there is none.
    names = [options.name] if options.name else [info.name for info in store.list()]
    damaged = []
    for name in names or [None]:
        try:
            print(f"{store.verify(name).name}: intact")
        except CheckpointError as error:
            damaged.append(str(error))
    if damaged:
        raise CheckpointError("\n".join(damaged))


def _export(options: argparse.Namespace) -> None:
    path = _store(options.directory).export(options.name, options.path)
    print(f"{options.name}: written to {path}")


def _store(directory: Path) -> CheckpointStore:
    if not directory.is_dir():
        raise ConfigError(f"{directory} is not a directory of checkpoints")
    return CheckpointStore(directory)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fenchel-stream",
        description="Learn a stream, test-then-train, with a Fenchel lifted network.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="learn a stream", epilog=EXIT_CODES)
    run.add_argument("config", nargs="?", type=Path, help="TOML file; flags go over it")
    for flag, (key, metavar, text) in FLAGS.items():
        kind = int if metavar in NUMBERS else str
        run.add_argument(flag, metavar=metavar, type=kind, help=f"{text} ({key})")
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="TABLE.KEY=VALUE",
        help="any other key of the configuration, its value in TOML",
    )
    run.set_defaults(command=_run)

    checkpoint = commands.add_parser("checkpoint", help="look after checkpoints")
    actions = checkpoint.add_subparsers(required=True, metavar="ACTION")
    for action, command, text in (
        ("list", _list, "list the checkpoints of a directory, newest last"),
        ("verify", _verify, "check every file of one checkpoint, or of all, against its sha256"),
        ("export", _export, "verify a checkpoint and write it into one tar file"),
    ):
        one = actions.add_parser(action, help=text, description=text)
        one.add_argument("directory", type=Path, help="as checkpoint.directory of the run")
        if command is not _list:
            optional = "?" if command is _verify else None
            one.add_argument("name", nargs=optional, help="as `list` shows it")
        if command is _export:
            one.add_argument("path", type=Path, help="a file that does not exist yet")
        one.set_defaults(command=command)
    return parser
