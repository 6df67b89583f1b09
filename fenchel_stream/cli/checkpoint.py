"""``fenchel-stream checkpoint``: look after a directory of checkpoints."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fenchel_stream.checkpoint import CheckpointStore
from fenchel_stream.errors import CheckpointError, ConfigError


def add_to(commands: Any) -> None:
    """Add the command to the parser of the command line."""
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


def open_store(directory: Path) -> CheckpointStore:
    """Return the checkpoints in a directory that must exist."""
    if not directory.is_dir():
        raise ConfigError(f"{directory} is not a directory of checkpoints")
    return CheckpointStore(directory)


def _list(options: argparse.Namespace) -> None:
    for info in open_store(options.directory).list():
        print(info)


def _verify(options: argparse.Namespace) -> None:
    store = open_store(options.directory)
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
    path = open_store(options.directory).export(options.name, options.path)
    print(f"{options.name}: written to {path}")
