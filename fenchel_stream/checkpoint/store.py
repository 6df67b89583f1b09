"""`CheckpointStore`: a directory of checkpoints."""

from __future__ import annotations

import builtins
import io
import logging
import os
import tarfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fenchel_stream.checkpoint.aliases import read_aliases, write_alias
from fenchel_stream.checkpoint.contents import Contents, read_into
from fenchel_stream.checkpoint.disk import Lock, create, read, write
from fenchel_stream.checkpoint.manifest import (
    CheckpointInfo,
    UnknownFormatError,
    describe,
    read_manifest,
    verify_files,
    versions,
    write_manifest,
)
from fenchel_stream.checkpoint.numbered import NumberedDirectories, is_reserved, reason
from fenchel_stream.errors import CheckpointError, ConfigError
from fenchel_stream.files import PRIVATE, synchronise

log = logging.getLogger(__name__)


class CheckpointStore:
    """The checkpoints of a run: written whole or not at all, verified before they are loaded.

    One process at a time may write: the first `save`, or `open`, takes the directory until
    `close` or the end of the process. Reading needs no such right.

    Parameters
    ----------
    directory
        Where the checkpoints are; made when it is needed.
    keep
        How many of them stay, the newest. One that has an alias stays too.

    Examples
    --------
    >>> import tempfile
    >>> from river import stats
    >>> from fenchel_stream.checkpoint import CheckpointStore
    >>> mean = stats.Mean()
    >>> mean.update(3.0)
    >>> directory = tempfile.TemporaryDirectory()
    >>> with CheckpointStore(directory.name) as store:
    ...     store.save({"mean": mean}, {"records": 1}).name
    '00000001'
    >>> again = stats.Mean()
    >>> CheckpointStore(directory.name).load({"mean": again})
    {'records': 1}
    >>> again
    Mean: 3.
    >>> directory.cleanup()
    """

    def __init__(self, directory: str | os.PathLike[str], keep: int = 3) -> None:
        if keep < 1:
            raise ConfigError(f"keep must be at least 1, not {keep!r}")
        self.directory = Path(directory)
        self.keep = keep
        self._numbered = NumberedDirectories(self.directory)

    def open(self) -> Self:
        """Make the directory if need be and take the right to write there.

        Raises
        ------
        CheckpointError
            Another process has that right, or the directory cannot be written.
        """
        self._numbered.open()
        return self

    def confirm(self) -> None:
        """Make sure that this process still has the right to write here.

        Raises
        ------
        CheckpointError
            Another process has taken it since `open`.
        """
        self._numbered.confirm()

    @property
    def writer(self) -> str | None:
        """The id of the process that has the right to write here, None if nobody has."""
        return Lock.holder(self.directory)

    def close(self) -> None:
        """Give the right to write back."""
        self._numbered.close()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def save(
        self, state: Mapping[str, object], meta: Mapping[str, Any], allow_pickle: bool = False
    ) -> Path:
        """Write a checkpoint and remove those that are too old.

        Parameters
        ----------
        state
            Objects by name. They are not changed.
        meta
            JSON to find again in `CheckpointInfo.meta` and from `load`.
        allow_pickle
            Whether to pickle what cannot be stored as plain data, into ``NAME.pkl``. Loading a
            pickle runs whatever code it names: whoever can write the file can run code.

        Returns
        -------
        Path
            The directory of the new checkpoint.

        Raises
        ------
        CheckpointError
            Something cannot be stored, the disk refuses, or another process has written here since
            this one took the right to; the checkpoints from before stay.
        """
        self.open()
        contents = Contents(state, allow_pickle)
        path = self._numbered.next()
        with self._numbered.writing(path) as temporary:
            contents.write(temporary)
            write_manifest(temporary, meta)
        self._numbered.prune(self.keep, self.aliases().values())
        return path

    def list(self) -> builtins.list[CheckpointInfo]:
        """Return what the manifests say, oldest first; a damaged one says so in ``damage``."""
        aliases = self.aliases()
        return [
            replace(
                describe(self.directory / name),
                aliases=tuple(alias for alias, one in aliases.items() if one == name),
            )
            for name in self._numbered.names()
        ]

    def aliases(self) -> dict[str, str]:
        """Return which checkpoint each alias stands for."""
        return read_aliases(self.directory, self._numbered.names())

    def alias(self, alias: str, name: str | None = None) -> CheckpointInfo:
        """Let `alias` stand for a checkpoint, by default the newest, which then stays.

        Every method takes an alias for a name.

        Raises
        ------
        ConfigError
            The alias could be mistaken for a checkpoint or a file.
        CheckpointError
            The checkpoint is damaged or is not there.
        """
        info = self.verify(name)
        write_alias(self.directory, alias, info.name)
        return info

    def roll_back(self, name: str | None = None, back: int = 1) -> CheckpointInfo:
        """Make an older checkpoint the newest again, by a copy of it, and return that.

        Whatever is newer stays, so that this too can be rolled back.

        Parameters
        ----------
        name
            Which checkpoint; the last but `back` where it is None.
        back
            How many checkpoints to go back.

        Raises
        ------
        CheckpointError
            There is no such checkpoint, it is damaged, a run is writing here, or the disk refuses.
        """
        self.open()
        names = self._numbered.names()
        if name is None:
            if not 0 < back < len(names):
                raise CheckpointError(
                    f"{self.directory} holds {len(names)} checkpoints: one cannot go back {back}"
                )
            name = names[-1 - back]
        source = self.verify(name).path
        path = self._numbered.next()
        with self._numbered.writing(path) as temporary:
            for file in source.iterdir():
                write(temporary / file.name, read(file))
        return self.verify(path.name)

    def latest(self) -> CheckpointInfo | None:
        """Return the newest checkpoint, None if there is none.

        Raises
        ------
        CheckpointError
            Its manifest is damaged; the message tells how to go on.
        """
        names = self._numbered.names()
        if not names:
            return None
        path = self.directory / names[-1]
        try:
            read_manifest(path)
        except CheckpointError as error:
            raise self._refused(path.name, error) from error
        return describe(path)

    def verify(self, name: str | None = None) -> CheckpointInfo:
        """Check every byte of a checkpoint, by default the newest.

        Raises
        ------
        CheckpointError
            There is none, or one of its files is missing, changed or too many; the message names
            the file, and a checkpoint that is whole.
        """
        path = self._path(name)
        try:
            verify_files(path, read_manifest(path))
        except CheckpointError as error:
            raise self._refused(path.name, error) from error
        return describe(path)

    def load(
        self, fresh: Mapping[str, object], name: str | None = None, allow_pickle: bool = False
    ) -> dict[str, Any]:
        """Verify a checkpoint, by default the newest, and put its state into `fresh` objects.

        Parameters
        ----------
        fresh
            Newly built objects by the names they were saved under, or some of them. After an
            error they are in no defined state: build others.
        name
            Which checkpoint.
        allow_pickle
            Whether to load what was pickled, which runs whatever code the pickle names.

        Returns
        -------
        dict
            The ``meta`` that was saved with it.

        Raises
        ------
        CheckpointError
            There is none, it is damaged, or it holds the state of other objects. No other
            checkpoint is loaded in its place.
        """
        info = self.verify(name)
        installed = versions(info.versions)
        if info.versions != installed:
            log.warning(
                "checkpoint %s was written by %s, this is %s: it may not continue identically",
                info.name,
                _listed(info.versions),
                _listed(installed),
            )
        try:
            read_into(fresh, info.path, read_manifest(info.path), allow_pickle)
        except CheckpointError as error:
            raise CheckpointError(f"checkpoint {info.path}: {error}") from error
        return dict(info.meta)

    def export(self, name: str | None, path: str | os.PathLike[str]) -> Path:
        """Verify a checkpoint and write it into one tar file.

        Unpacked into another directory of checkpoints it is one of them again. Without this
        library, ``numpy.load("arrays.npz")`` gives the weights and other arrays by name.

        Parameters
        ----------
        name
            Which checkpoint; None for the newest.
        path
            A file that does not exist yet.

        Raises
        ------
        CheckpointError
            The checkpoint is damaged, or the file exists or cannot be written.
        """
        info, target = self.verify(name), Path(path)
        if is_reserved(self.directory, target):
            raise CheckpointError(f"{target} is among the checkpoints: choose another place")
        try:
            with create(target) as file:
                try:
                    with tarfile.open(fileobj=file, mode="w") as archive:
                        for part in sorted(info.path.iterdir()):
                            _add(archive, f"{info.name}/{part.name}", read(part))
                    synchronise(file)
                except BaseException:
                    target.unlink()
                    raise
        except OSError as error:
            raise CheckpointError(f"{target} cannot be written: {reason(error)}") from error
        return target

    def _path(self, name: str | None) -> Path:
        names = self._numbered.names()
        if not names:
            raise CheckpointError(f"{self.directory} holds no checkpoint")
        aliases = self.aliases()
        number = names[-1] if name is None else aliases.get(name, name)
        if number not in names:
            known = ", ".join([*names, *aliases])
            raise CheckpointError(f"{self.directory} holds no checkpoint {name!r}, only {known}")
        return self.directory / number

    def _refused(self, name: str, error: CheckpointError) -> CheckpointError:
        """Return the error about a checkpoint that cannot be used, with what to do instead."""
        if isinstance(error, UnknownFormatError):
            return CheckpointError(f"checkpoint {self.directory / name}: {error}")
        advice = "and no older one is whole: start anew in another directory"
        for older in reversed(self._numbered.names()):
            path = self.directory / older
            try:
                if int(older) < int(name):
                    verify_files(path, read_manifest(path))
                    advice = (
                        f"checkpoint {older} is whole: to go on from there, move "
                        f"{self.directory / name} out of the way"
                    )
                    break
            except CheckpointError:
                continue
        return CheckpointError(f"checkpoint {self.directory / name} is damaged: {error}; {advice}")


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file to an archive, without the name of its owner."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(content), PRIVATE, time.time()
    archive.addfile(entry, io.BytesIO(content))


def _listed(libraries: Mapping[str, str]) -> str:
    return ", ".join(f"{library} {version}" for library, version in libraries.items())
