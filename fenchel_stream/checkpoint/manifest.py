"""The manifest of a checkpoint: what is in its directory, with a checksum of every file.

A reader needs this to learn whether a checkpoint is whole, and what wrote it.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import msgspec

from fenchel_stream.checkpoint.disk import open_regular, read, write
from fenchel_stream.errors import CheckpointError

FORMAT = 4
"""The number of the format. It grows whenever an older version could not read the files."""

NAME = "manifest.json"

_LIBRARIES = ("fenchel-stream", "river", "numpy", "torch")


class UnknownFormatError(CheckpointError):
    """A checkpoint is whole, but of a format that this version cannot read."""


class File(msgspec.Struct):
    """The size and the SHA-256 of one file."""

    bytes: int
    sha256: str


class Manifest(msgspec.Struct):
    """What the manifest of a checkpoint holds; the attributes are those of `CheckpointInfo`."""

    format: int
    created: Annotated[datetime, msgspec.Meta(tz=True)]
    meta: dict[str, Any]
    versions: dict[str, str]
    files: dict[str, File]


@dataclass(frozen=True)
class CheckpointInfo:
    """What the manifest of a checkpoint says.

    Attributes
    ----------
    name, path
        Its name within its directory of checkpoints, and where it is.
    created
        When it was written.
    meta
        What the caller of `CheckpointStore.save` gave with it.
    versions
        Of Python and the libraries that wrote it.
    size
        Of its files, in bytes.
    aliases
        Names that users gave it, such as ``champion``.
    damage
        Why the manifest cannot be read; empty if it can. The other files are not examined.
    """

    name: str
    path: Path
    created: datetime | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    size: int = 0
    aliases: tuple[str, ...] = ()
    damage: str = ""

    @property
    def records(self) -> int | None:
        """How many records the run had read, None if it does not say."""
        count = self.meta.get("records")
        return count if type(count) is int else None

    def __str__(self) -> str:
        if self.created is None:
            return f"{self.name}  {self.damage}"
        records = "" if self.records is None else f"  {self.records:,} records"
        aliases = f"  {', '.join(self.aliases)}" if self.aliases else ""
        created = f"{self.created:%Y-%m-%d %H:%M:%S %Z}"
        return f"{self.name}  {created}{records}  {self.size:,} bytes{aliases}"


def write_manifest(folder: Path, meta: Mapping[str, Any]) -> None:
    """Write the manifest of the files in `folder`.

    Raises
    ------
    CheckpointError
        `meta` is not JSON.
    """
    body = {
        "format": FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "meta": _as_json(meta),
        "versions": versions(),
        "files": {path.name: _describe(path) for path in sorted(folder.iterdir())},
    }
    write(folder / NAME, _text(body))


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a checkpoint if it is whole.

    Raises
    ------
    UnknownFormatError
        Another version of the library wrote the checkpoint.
    CheckpointError
        The manifest is missing or damaged.
    """
    try:
        content = read(folder / NAME)
    except OSError as error:
        raise CheckpointError(f"{NAME}: {error.strerror}") from error
    try:
        body = json.loads(content.decode())
        body.pop("sha256")
        # Every byte counts: what is not exactly what would be written now is damaged.
        whole = _text(body) == content and isinstance(body["format"], int)
        if whole and body["format"] == FORMAT:
            return msgspec.convert(body, Manifest)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        whole = False
    if not whole:
        raise CheckpointError(f"{NAME}: its contents are not what was written")
    writer = body["versions"].get("fenchel-stream") if "versions" in body else None
    age = "an earlier" if body["format"] < FORMAT else "a later"
    raise UnknownFormatError(
        f"{NAME}: format {str(body['format'])[:20]}, of {age} state of fenchel-stream "
        f"{writer or '(unknown)'}, and this one reads format {FORMAT}: go on with the one that "
        "wrote it, or choose another directory to start anew"
    )


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Compare the files in `folder` with their manifest.

    Raises
    ------
    CheckpointError
        A file is missing, was changed, or does not belong there; the message names it.
    """
    names = {path.name for path in folder.iterdir()} - {NAME}
    for name in sorted(names ^ manifest.files.keys()):
        where = "does not belong to the checkpoint" if name in names else "is missing"
        raise CheckpointError(f"{name}: {where}")
    for name, expected in manifest.files.items():
        try:
            actual = _describe(folder / name)
        except OSError as error:
            raise CheckpointError(f"{name}: {error.strerror}") from error
        if actual["bytes"] != expected.bytes:
            raise CheckpointError(f"{name}: {actual['bytes']} bytes instead of {expected.bytes}")
        if actual["sha256"] != expected.sha256:
            raise CheckpointError(f"{name}: its sha256 is not that of the manifest")


def describe(folder: Path) -> CheckpointInfo:
    """Return what is known of the checkpoint in `folder` without reading its larger files."""
    try:
        manifest = read_manifest(folder)
    except UnknownFormatError as error:
        return CheckpointInfo(folder.name, folder, damage=str(error))
    except CheckpointError as error:
        return CheckpointInfo(folder.name, folder, damage=f"damaged: {error}")
    return CheckpointInfo(
        folder.name,
        folder,
        manifest.created,
        manifest.meta,
        manifest.versions,
        sum(file.bytes for file in manifest.files.values()),
    )


def versions(names: Iterable[str] | None = None) -> dict[str, str]:
    """Return the versions of Python and of the libraries on which a stored state depends.

    Parameters
    ----------
    names
        Which of them; by default all, but torch only if it is in use.
    """
    if names is None:
        libraries = [name for name in _LIBRARIES if name != "torch" or "torch" in sys.modules]
        names = ("python", *libraries)
    return {name: _version(name) for name in names}


def _version(name: str) -> str:
    if name == "python":
        return platform.python_version()
    try:
        return version(name) if name in _LIBRARIES else "unknown"
    except PackageNotFoundError:
        return "not installed"


def _as_json(meta: Mapping[str, Any]) -> Any:
    try:
        return json.loads(_dump(meta))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"the meta data of a checkpoint must be JSON: {error}") from error


def _text(body: Mapping[str, Any]) -> bytes:
    digest = hashlib.sha256(_dump(body)).hexdigest()
    return _dump({**body, "sha256": digest})


def _dump(body: Mapping[str, Any]) -> bytes:
    return (json.dumps(body, indent=1, allow_nan=False) + "\n").encode()


def _describe(path: Path) -> dict[str, Any]:
    with open_regular(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": file.tell(), "sha256": digest}
