"""Names that users give to checkpoints, such as ``champion``: links beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from fenchel_stream.checkpoint.disk import synchronise_directory
from fenchel_stream.errors import CheckpointError, ConfigError

ALIAS = re.compile(r"[A-Za-z][\w-]*")

_NEW = ".new-alias"


def read_aliases(directory: Path, names: Iterable[str]) -> dict[str, str]:
    """Return which of the checkpoints `names` each alias in `directory` stands for."""
    known = set(names)
    links = [path for path in directory.iterdir() if path.is_symlink()] if known else []
    found = {path.name: path.readlink().name for path in sorted(links)}
    return {alias: name for alias, name in found.items() if name in known}


def write_alias(directory: Path, alias: str, name: str) -> None:
    """Let `alias` stand for the checkpoint `name` from now on, at once and for good.

    Raises
    ------
    ConfigError
        It could be mistaken for a checkpoint or a file.
    CheckpointError
        The disk refuses.
    """
    if not ALIAS.fullmatch(alias):
        raise ConfigError(f"alias {alias!r}: a letter, then letters, digits, - and _ are possible")
    path, new = directory / alias, directory / _NEW
    try:
        if path.exists() and not path.is_symlink():
            raise ConfigError(f"{path} is no alias: choose another name")
        new.unlink(missing_ok=True)
        new.symlink_to(name)
        new.replace(path)  # at no moment is there none
        synchronise_directory(directory)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written: {error.strerror}") from error
