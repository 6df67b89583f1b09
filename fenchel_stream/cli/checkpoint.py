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

    def added(action: str, command: Any, text: str) -> argparse.ArgumentParser:
        one: argparse.ArgumentParser = actions.add_parser(action, help=text, description=text)
        one.add_argument("directory", type=Path, help="as checkpoint.directory of the run")
        one.set_defaults(command=command)
        return one

    name: dict[str, Any] = {
        "metavar": "NAME",
        "help": "of a checkpoint, as `list` shows it, or an alias",
    }
    added("list", _list, "list the checkpoints of a directory, newest last")
    verify = added("verify", _verify, "check all files of a checkpoint, or of all, by their sha256")
    verify.add_argument("name", nargs="?", **name)
    export = added("export", _export, "verify a checkpoint and write it into one tar file")
    export.add_argument("name", **name)
    export.add_argument("path", type=Path, help="a file that does not exist yet")
    alias = added("alias", _alias, "give a checkpoint a name, as champion, and keep it")
    alias.add_argument("alias", help="the name to give; it is taken from any other checkpoint")
    alias.add_argument("name", nargs="?", **name)
    rollback = added("rollback", _rollback, "let the next run go on from an older checkpoint")
    which = rollback.add_mutually_exclusive_group(required=True)
    which.add_argument("name", nargs="?", **name)
    which.add_argument("--back", type=int, metavar="N", help="go back by so many checkpoints")


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


def _alias(options: argparse.Namespace) -> None:
    info = open_store(options.directory).alias(options.alias, options.name)
    print(f"{options.alias}: {info.name}")


def _rollback(options: argparse.Namespace) -> None:
    with open_store(options.directory) as store:
        info = store.roll_back(options.name, options.back or 0)
    after = f" after {info.meta['records']:,} records" if "records" in info.meta else ""
    print(f"{info.name}: the next run goes on from there{after}")
