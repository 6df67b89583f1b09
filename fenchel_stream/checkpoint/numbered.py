"""A directory of numbered directories, each there completely or not at all.

`CheckpointStore` keeps its checkpoints in one. Here is how one is written in a single step, how an
old one goes, and who may write.
"""

from __future__ import annotations

import logging
import re
import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from fenchel_stream.checkpoint.aliases import CHECKPOINT
from fenchel_stream.checkpoint.disk import Lock, synchronise_directory
from fenchel_stream.errors import CheckpointError

log = logging.getLogger(__name__)

# Never a checkpoint: one that is being written, and one that is being removed.
_NEW, _OLD = ".new-", ".old-"
_LEFT_OVER = re.compile(r"\.new-[0-9]{8,}-[0-9a-f]{8}|\.old-[0-9]{8,}")


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
                self.path.mkdir(parents=True)
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
                if CHECKPOINT.fullmatch(path.name) and path.is_dir()
            ]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CheckpointError(f"{self.path}: {reason(error)}") from error
        return sorted(names, key=int)

    def next(self) -> Path:
        """Return where the next one will be."""
        last = self._last()
        return self.path / f"{int(last) + 1 if last else 1:08d}"

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
            temporary.mkdir()
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
        """Remove all but the newest `keep` and those named in `kept`."""
        for name in self.names()[:-keep]:
            if name in kept:
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
            if _LEFT_OVER.fullmatch(path.name):
                shutil.rmtree(path, ignore_errors=True)


def reason(error: OSError) -> str:
    """Return why the system refused."""
    return error.strerror or str(error)
