"""A directory of numbered directories, each there completely or not at all.

`CheckpointStore` keeps its checkpoints in one. Here is how one is written in a single step, how an
old one goes, and who may write.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from fenchel_stream.checkpoint.aliases import CHECKPOINT, remove_left_over
from fenchel_stream.checkpoint.contents import ARRAYS, STATE
from fenchel_stream.checkpoint.disk import FOLDER, Lock, synchronise_directory
from fenchel_stream.checkpoint.manifest import NAME
from fenchel_stream.errors import CheckpointError

log = logging.getLogger(__name__)

# Never a checkpoint: one that is being written, and one that is being removed.
_NEW, _OLD = ".new-", ".old-"
_LEFT_OVER = re.compile(r"\.new-[0-9]{8,}-[0-9a-f]{8}|\.old-[0-9]{8,}")
_PARTS = {NAME, STATE, ARRAYS}


def is_reserved(directory: Path, path: Path) -> bool:
    """Return whether `path` is the directory of checkpoints, or a name in it that is ours.

    Those are the checkpoints, and all that begins with a dot.
    """
    root, place = Path(os.path.realpath(directory)), Path(os.path.realpath(path))
    if not place.is_relative_to(root):
        return False
    parts = place.relative_to(root).parts
    return not parts or any(part[0] == "." or CHECKPOINT.fullmatch(part) for part in parts)


class NumberedDirectories:
    """The numbered directories in `path`, which need not exist yet.

    Parameters
    ----------
    path
        Where they are.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: Lock | None = None
        # The newest when the right to write was taken, or the last that was written here.
        self._newest: str | None = None

    def open(self) -> None:
        """Make the directory if need be, take the right to write, and remove what a crash left.

        Raises
        ------
        CheckpointError
            Another process has that right, or the directory cannot be written.
        """
        if self._lock is not None:
            return
        try:
            if not self.path.is_dir():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.mkdir(FOLDER)
                synchronise_directory(self.path.parent)
            self._lock = Lock(self.path)
            # Only now: later, what is half written may be that of a process that took over.
            self._clean()
            self._newest = self._last()
        except OSError as error:
            raise CheckpointError(f"{self.path}: {reason(error)}") from error

    def confirm(self) -> None:
        """Make sure that this process still has the right to write.

        Raises
        ------
        CheckpointError
            Another process has taken it since `open`.
        """
        if self._lock is not None and self._lock.lost:
            raise CheckpointError(
                f"{self.path}: another process has taken the right to write there, or removed "
                f"{Lock.NAME}: this one must not go on beside it"
            )

    def close(self) -> None:
        """Give the right to write back."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def names(self) -> list[str]:
        """Return the names of the numbered directories, the oldest first."""
        try:
            names = [
                path.name
                for path in self.path.iterdir()
                if CHECKPOINT.fullmatch(path.name) and _is_checkpoint(path)
            ]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CheckpointError(f"{self.path}: {reason(error)}") from error
        return sorted(names, key=int)

    def next(self) -> Path:
        """Return where the next one will be."""
        number = int(self._last() or 0) + 1
        while os.path.lexists(path := self.path / f"{number:08d}"):
            number += 1  # somebody else's file or folder is in the way
        return path

    @contextmanager
    def writing(self, path: Path) -> Iterator[Path]:
        """Lend a directory, and let it appear as `path` once all that was put there is safe.

        Raises
        ------
        CheckpointError
            The disk refuses, or another process has written here since `open`.
        """
        if (last := self._last()) is not None and int(last) > int(self._newest or 0):
            raise CheckpointError(
                f"{self.path}: another process has written checkpoint {last} since this one had "
                f"{self._newest}: the state of this process is out of date"
            )
        self.confirm()
        # The name is unique: a process that was paused must not go on with ours, nor remove it.
        temporary = self.path / f"{_NEW}{path.name}-{uuid.uuid4().hex[:8]}"
        try:
            temporary.mkdir(FOLDER)
            yield temporary
            synchronise_directory(temporary)
            temporary.rename(path)  # refused if another process was first
            self._newest = path.name
            synchronise_directory(self.path)
        except OSError as error:
            raise CheckpointError(f"{path} cannot be written: {reason(error)}") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def prune(self, keep: int, kept: Collection[str]) -> None:
        """Remove all but the newest `keep`, those named in `kept`, and those with foreign files."""
        for name in self.names()[:-keep]:
            if name in kept or not _is_ours(self.path / name):
                continue
            # Renamed first: a crash while it is removed must not leave half a checkpoint.
            old = self.path / f"{_OLD}{name}"
            try:
                (self.path / name).rename(old)
                shutil.rmtree(old)
            except OSError as error:
                log.warning("old checkpoint %s stays: %s", self.path / name, reason(error))

    def _last(self) -> str | None:
        return names[-1] if (names := self.names()) else None

    def _clean(self) -> None:
        for path in self.path.iterdir():
            if _LEFT_OVER.fullmatch(path.name) and _is_ours(path):
                shutil.rmtree(path, ignore_errors=True)
        remove_left_over(self.path)


def _is_checkpoint(path: Path) -> bool:
    """Return whether a numbered directory is a checkpoint, whole or damaged."""
    return path.is_dir() and any(os.path.lexists(path / part) for part in _PARTS)


def _is_ours(path: Path) -> bool:
    """Return whether a directory holds nothing but files that a checkpoint has."""
    return (
        path.is_dir()
        and not path.is_symlink()
        and all(
            file.is_file() and (file.name in _PARTS or file.suffix == ".pkl")
            for file in path.iterdir()
        )
    )


def reason(error: OSError) -> str:
    """Return why the system refused."""
    return error.strerror or str(error)
