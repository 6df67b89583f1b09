"""How a file is written: never through a link, never by two processes, never half.

Whatever writes a file that a user names opens it here.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import uuid
from pathlib import Path
from typing import IO

PRIVATE = 0o600
"""Mode of a file that only its owner may read."""


def identity(path: str | os.PathLike[str]) -> tuple[object, ...]:
    """Return what all paths to one file have in common, however they are spelt or linked.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from fenchel_stream.files import identity
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "a")
    ...     file.touch()
    ...     pathlib.Path(folder, "b").hardlink_to(file)
    ...     identity(file) == identity(f"{folder}/./b"), identity(file) == identity(f"{folder}/c")
    (True, False)
    """
    try:
        status = Path(path).stat()
    except OSError:
        return (os.path.realpath(path),)  # it does not exist yet
    return status.st_dev, status.st_ino


def is_special(path: Path) -> bool:
    """Return whether something that is no regular file has this path."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def open_locked(path: Path) -> IO[bytes]:
    """Open a file as `open_to_append` does, and lock it until it is closed.

    Raises
    ------
    BlockingIOError
        Another process, or another part of this one, has locked it.
    OSError
        `open_to_append` raises it.
    """
    file = open_to_append(path)
    try:
        lock(file.fileno())
    except BaseException:
        file.close()
        raise
    return file


def open_to_append(path: Path, mode: int = 0o666) -> IO[bytes]:
    """Open a file, which is made if it does not exist, to read it and to append to it.

    Parameters
    ----------
    path
        The file.
    mode
        Permissions of a new file, less those that the umask takes.

    Raises
    ------
    OSError
        It is a link or no regular file, or the system refuses.
    """
    if path.is_symlink():
        raise OSError(errno.ELOOP, f"it is a link: name the file itself, {path.resolve()}")
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, mode)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file")
    return os.fdopen(descriptor, "a+b")


def lock(descriptor: int) -> None:
    """Take the lock of an open file.

    Raises
    ------
    BlockingIOError
        Somebody else has it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BlockingIOError(
            error.errno, "it is being written already, by a run or as another output"
        ) from None


def synchronise(file: IO[bytes]) -> None:
    """Wait until the disk has what was written to `file`."""
    file.flush()
    os.fsync(file.fileno())


def replace(path: Path, content: bytes) -> None:
    """Give a file this content in one step. A reader sees the old content or the new.

    Raises
    ------
    OSError
        It is a link or no regular file, or the system refuses.
    """
    if path.is_symlink() or is_special(path):
        raise OSError(errno.EINVAL, "it is a link or no regular file")
    new = path.with_name(f".{uuid.uuid4().hex}.new")
    try:
        with new.open("xb") as file:
            file.write(content)
            synchronise(file)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
