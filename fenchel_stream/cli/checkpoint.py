"""``fenchel-stream checkpoint``: list, verify, export, name or roll back checkpoints."""

from __future__ import annotations

import argparse
from pathlib import Path

from fenchel_stream.checkpoint import CheckpointStore
from fenchel_stream.cli.terminal import show
from fenchel_stream.errors import CheckpointError, ConfigError


def execute(options: argparse.Namespace) -> None:
    """Carry out the action that the command line names."""
    actions = {
        "list": _list,
        "verify": _verify,
        "export": _export,
        "alias": _alias,
        "rollback": _rollback,
    }
    actions[options.action](options)


def open_store(directory: Path) -> CheckpointStore:
    """Return the checkpoints in a directory that must exist."""
    if not directory.is_dir():
        raise ConfigError(f"{directory} is not a directory of checkpoints")
    return CheckpointStore(directory)


def _list(options: argparse.Namespace) -> None:
    for info in open_store(options.directory).list():
        show(info)


def _verify(options: argparse.Namespace) -> None:
    store = open_store(options.directory)
    # In a directory without checkpoints, `verify(None)` raises the error that says so.
    names = [options.name] if options.name else [info.name for info in store.list()]
    errors = []
    for name in names or [None]:
        try:
            show(f"{store.verify(name).name}: intact")
        except CheckpointError as error:
            errors.append(str(error))
    if errors:
        raise CheckpointError("; ".join(errors))


def _export(options: argparse.Namespace) -> None:
    path = open_store(options.directory).export(options.name, options.path)
    show(f"{options.name}: written to {path}")


def _alias(options: argparse.Namespace) -> None:
    info = open_store(options.directory).alias(options.alias, options.name)
    show(f"{options.alias}: {info.name}")


def _rollback(options: argparse.Namespace) -> None:
    with open_store(options.directory) as store:
        info = store.roll_back(options.name, options.back or 0)
    after = "" if info.records is None else f" after {info.records:,} records"
    show(f"{info.name}: the next run resumes from it{after}")
