"""Files: writing that survives a crash, by one process at a time, and reading without surprises."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import time
import uuid
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import IO

from fenchel_stream.errors import CheckpointError
from fenchel_stream.files import PRIVATE, open_to_append, synchronise

FOLDER = 0o700
"""Mode of the directories of checkpoints: state and settings may be secret."""


def write(path: Path, content: bytes) -> None:
    """Write a new file and wait until the disk has it."""
    with create(path) as file:
        file.write(content)
        synchronise(file)


def create(path: Path) -> IO[bytes]:
    """Open a new file, which only its owner may read.

    Raises
    ------
    OSError
        Something of that name exists, or the system refuses.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, PRIVATE), "wb")


def open_regular(path: Path) -> BufferedReader:
    """Open a file to read, also by way of a link.

    Raises
    ------
    OSError
        It is not there, or is a pipe, a device or a directory: reading one may never end.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(number, "Is a directory" if stat.S_ISDIR(mode) else "Is no regular file")
    return os.fdopen(descriptor, "rb")


def read(path: Path) -> bytes:
    """Return the content of a file; the errors are those of `open_regular`."""
    with open_regular(path) as file:
        return file.read()


def synchronise_directory(path: Path) -> None:
    """Wait until the disk has the names in a directory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


ATTEMPTS, PAUSE = 5, 0.02
"""How often a lock is tried, with a pause of so many seconds: `Lock.holder` takes it briefly."""


class Lock:
    """The right to write in a directory. One process at a time has it, until it ends or lets go.

    The processes that it forks share it.

    Parameters
    ----------
    directory
        The directory.
    name
        The file in it that stands for this right.
    attempts
        How often to try.

    Raises
    ------
    CheckpointError
        Another process has it, and the message says which; or the file is not that of a lock.
    """

    NAME = ".lock"
    _CONTENT = re.compile(rb"([0-9]+( [0-9a-f]{0,32}\n?)?)?")  # a full disk may cut it off

    def __init__(self, directory: Path, name: str = NAME, attempts: int = ATTEMPTS) -> None:
        self._path = directory / name
        try:
            self._file = open_to_append(self._path, PRIVATE)
        except OSError as error:
            if error.errno not in {errno.EINVAL, errno.EISDIR, errno.ELOOP}:
                raise
            raise self._foreign() from error
        if not self._is_ours():
            self._file.close()
            raise self._foreign()
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
            with open_regular(directory / cls.NAME) as file:
                # A shared lock, released at once. A process that wants to write tries again.
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _process(read(directory / cls.NAME))
        except OSError:
            pass  # there is none, or it is no lock
        return None

    @property
    def lost(self) -> bool:
        """Whether another process has taken the right meanwhile, or the file is gone.

        That happens on network file systems, and when somebody deletes the file. If the disk gives
        no answer, the lock counts as held.
        """
        try:
            return read(self._path) != self._mark
        except FileNotFoundError:
            return True
        except OSError:
            return False

    def release(self) -> None:
        """Give up the right, also for the processes that were forked."""
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._file.close()

    def _is_ours(self) -> bool:
        """Return whether the file holds nothing but what a lock writes, and may be emptied."""
        if os.fstat(self._file.fileno()).st_nlink > 1:
            return False
        self._file.seek(0)
        return self._CONTENT.fullmatch(self._file.read(1024)) is not None

    def _foreign(self) -> CheckpointError:
        return CheckpointError(
            f"{self._path} is not a file that a run has written, and would be emptied: move it "
            "away, or choose another directory"
        )

    def _take(self, attempts: int) -> None:
        for _ in range(attempts - 1):
            with suppress(BlockingIOError):
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            time.sleep(PAUSE)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _process(content: bytes) -> str:
    """Return the id of the process that wrote the file of a lock."""
    return content.decode(errors="replace").partition(" ")[0].strip() or "unknown"
