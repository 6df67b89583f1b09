"""The members of a group: files in a directory, each locked by a living process."""

from __future__ import annotations

import os
import re
import socket
import uuid
from pathlib import Path
from typing import Self

from fenchel_stream.checkpoint.disk import FOLDER, Lock
from fenchel_stream.errors import CheckpointError

_NAME = re.compile(r".+-[0-9]+-[0-9a-f]{8}", re.DOTALL)


class Membership:
    """The membership of this process in a group, from `__enter__` to `__exit__`.

    Parameters
    ----------
    directory
        Directory of the group, which is made if it does not exist.

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
        self.directory.mkdir(FOLDER, parents=True, exist_ok=True)
        self._join()
        return self

    def __exit__(self, *error: object) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None
            (self.directory / self.name).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Return the living members, and remove the files of members that have ended."""
        files = [path for path in self.directory.iterdir() if _NAME.fullmatch(path.name)]
        others = [path for path in files if path.name != self.name]
        living = [path.name for path in others if not _abandoned(path)]
        if self._lock is not None:
            if not (self.directory / self.name).exists():
                # Another member saw the file before it was locked, and removed it.
                self._join()
            living.append(self.name)
        return sorted(living)

    def quota(self, partitions: int) -> int:
        """Return how many partitions this member should own; two members differ by one at most."""
        names = self.names()
        share, rest = divmod(partitions, len(names))
        return share + (names.index(self.name) < rest)

    def _join(self) -> None:
        self._lock = Lock(self.directory, self.name)


def _abandoned(path: Path) -> bool:
    """Return whether no process locks the file of a member; if none does, remove the file."""
    try:
        lock = Lock(path.parent, path.name, attempts=1)
    except CheckpointError:
        return False
    path.unlink(missing_ok=True)
    lock.release()
    return True
