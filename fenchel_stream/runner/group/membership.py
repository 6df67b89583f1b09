"""Who takes part in a group: files in a directory, each locked by a process that lives."""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path
from typing import Self

from fenchel_stream.checkpoint.disk import Lock
from fenchel_stream.errors import CheckpointError


class Membership:
    """A member of a group, which this process is from `__enter__` to `__exit__` or its end.

    Parameters
    ----------
    directory
        Where the group's files are; made if need be.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from fenchel_stream.runner.group.membership import Membership
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Membership(pathlib.Path(folder)) as one, Membership(pathlib.Path(folder)) as two:
    ...         one.quota(5) + two.quota(5), len(one.names())
    ...     one.names()
    (5, 2)
    []
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._lock: Lock | None = None

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._join()
        return self

    def __exit__(self, *error: object) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None
            (self.directory / self.name).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Return the members that live; what others left behind is removed."""
        others = [path for path in self.directory.iterdir() if path.name != self.name]
        found = [path.name for path in others if not _forsaken(path)]
        if self._lock is not None:
            if not (self.directory / self.name).exists():
                self._join()  # somebody looked between the file and its lock, and removed it
            found.append(self.name)
        return sorted(found)

    def quota(self, parts: int) -> int:
        """Return how many of the parts are for this member: all have as many, give or take one."""
        names = self.names()
        share, left = divmod(parts, len(names))
        return share + (names.index(self.name) < left)

    def _join(self) -> None:
        self._lock = Lock(self.directory, self.name)


def _forsaken(path: Path) -> bool:
    """Return whether nobody holds a member's file, and remove it then."""
    try:
        lock = Lock(path.parent, path.name, attempts=1)
    except CheckpointError:
        return False
    path.unlink(missing_ok=True)
    lock.release()
    return True
