"""Names that users give to checkpoints, such as ``champion``: symbolic links beside them."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterable
from pathlib import Path

from fenchel_stream.checkpoint.disk import synchronise_directory
from fenchel_stream.errors import CheckpointError, ConfigError

CHECKPOINT = re.compile(r"[0-9]{8,}")
"""Names of checkpoints: numbers, the newest is the largest."""

ALIAS = re.compile(r"[A-Za-z][\w-]*")

_NEW = re.compile(r"\.new-alias-[0-9a-f]{8}")


def read_aliases(directory: Path, names: Iterable[str]) -> dict[str, str]:
    """Return which of the checkpoints `names` each alias in `directory` stands for.

    A link to anything else is no alias: it is the user's.
    """
    known = set(names)
    links = [path for path in directory.iterdir() if path.is_symlink()] if known else []
    targets = {path.name: str(path.readlink()) for path in sorted(links)}
    return {alias: name for alias, name in targets.items() if name in known}


def write_alias(directory: Path, alias: str, name: str) -> None:
    """Let `alias` stand for the checkpoint `name` from now on.

    Raises
    ------
    ConfigError
        The alias is no name, or is the name of something else in the directory.
    CheckpointError
        The disk refuses.
    """
    if not ALIAS.fullmatch(alias):
        raise ConfigError(f"alias {alias!r}: a letter, then letters, digits, - and _ are possible")
    path, new = directory / alias, directory / f".new-alias-{uuid.uuid4().hex[:8]}"
    try:
        is_alias = path.is_symlink() and CHECKPOINT.fullmatch(str(path.readlink()))
        if os.path.lexists(path) and not is_alias:
            raise ConfigError(f"{path} is no alias: choose another name")
        new.symlink_to(name)
        new.replace(path)  # in one step: the alias always stands for a checkpoint
        synchronise_directory(directory)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written: {error.strerror}") from error


def remove_left_over(directory: Path) -> None:
    """Remove what `write_alias` has left where it was killed."""
    for path in directory.iterdir():
        if _NEW.fullmatch(path.name) and path.is_symlink():
            path.unlink(missing_ok=True)
