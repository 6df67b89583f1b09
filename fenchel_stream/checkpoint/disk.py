"""Writing that survives a crash, by one process at a time."""

from __future__ import annotations

import fcntl
import os
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import IO

from fenchel_stream.errors import CheckpointError


def write(path: Path, content: bytes) -> None:
    """Write a new file and wait until the disk has it."""
    with path.open("xb") as file:
        file.write(content)
        synchronise(file)


def synchronise(file: IO[bytes]) -> None:
    """Wait until the disk has what was written to `file`."""
    file.flush()
    os.fsync(file.fileno())


def synchronise_directory(path: Path) -> None:
    """Wait until the disk has the names in a directory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


ATTEMPTS, PAUSE = 5, 0.02
"""Whoever asks for the holder of a lock has it for a moment, which must not refuse a run."""


class Lock:
    """The right to write in a directory, held by one process at a time until it ends or lets go.

    Processes that it forks hold it with it.

    Parameters
    ----------
    directory
        Which.
    name
        Of the file there that stands for this right.
    attempts
        How often to try.

    Raises
    ------
    CheckpointError
        Another process has it; the message says which.
    """

    NAME = ".lock"

    def __init__(self, directory: Path, name: str = NAME, attempts: int = ATTEMPTS) -> None:
        self._path = directory / name
        self._file = self._path.open("a+b")
        try:
            self._take(attempts)
        except BlockingIOError as error:
            self._file.seek(0)
            holder = _process(self._file.read())
            self._file.close()
            raise CheckpointError(
                f"{directory}: process {holder} is writing checkpoints there: stop it, or choose "
                "another directory"
            ) from error
        # A process of another machine may have the same number.
        self._mark = f"{os.getpid()} {uuid.uuid4().hex}\n".encode()
        self._file.truncate(0)
        self._file.write(self._mark)
        self._file.flush()

    @classmethod
    def holder(cls, directory: Path) -> str | None:
        """Return the id of the process that writes in a directory, None if there is none."""
        try:
            with (directory / cls.NAME).open("rb") as file:
                # Shared, and for a moment only: `__init__` tries again.
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _process((directory / cls.NAME).read_bytes())
        except FileNotFoundError:
            pass
        return None

    @property
    def lost(self) -> bool:
        """Whether another process has taken the right all the same, or the file is gone.

        A lock can be lost: on a file system of a network, or with the file that holds it. Where the
        disk does not tell, it is taken for held.
        """
        try:
            return self._path.read_bytes() != self._mark
        except FileNotFoundError:
            return True
        except OSError:
            return False

    def release(self) -> None:
        """Let go, for the processes that were forked as well."""
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._file.close()

    def _take(self, attempts: int) -> None:
        for _ in range(attempts - 1):
            with suppress(BlockingIOError):
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            time.sleep(PAUSE)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _process(content: bytes) -> str:
    """Return the id of the process that has written the file of a lock."""
    return content.decode(errors="replace").partition(" ")[0].strip() or "unknown"
