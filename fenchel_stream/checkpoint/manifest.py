"""The manifest of a checkpoint: it vouches for every byte of the directory, itself included."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fenchel_stream.checkpoint.disk import write
from fenchel_stream.errors import CheckpointError

FORMAT = 1
NAME = "manifest.json"

_LIBRARIES = ("fenchel-stream", "river", "numpy", "torch")


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
        What is wrong with the manifest; empty if nothing is. The other files are not looked at.
    """

    name: str
    path: Path
    created: datetime | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    size: int = 0
    aliases: tuple[str, ...] = ()
    damage: str = ""

    def __str__(self) -> str:
        if self.created is None:
            return f"{self.name}  damaged: {self.damage}"
        records = f"  {self.meta['records']:,} records" if "records" in self.meta else ""
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


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a checkpoint if it is whole.

    Raises
    ------
    CheckpointError
        It is missing, damaged, or of a format that this version does not know.
    """
    try:
        found = (folder / NAME).read_bytes()
    except OSError as error:
        raise CheckpointError(f"{NAME}: {error.strerror}") from error
    try:
        body = json.loads(found.decode())
        body.pop("sha256")
        # Every byte counts: what is not exactly what would be written now is damaged.
        whole = _text(body) == found
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        whole = False
    if not whole:
        raise CheckpointError(f"{NAME}: its contents are not what was written")
    if body["format"] != FORMAT:
        raise CheckpointError(
            f"{NAME}: format {body['format']}, and this version reads {FORMAT}: "
            f"use fenchel-stream {body['versions'].get('fenchel-stream')}"
        )
    return dict(body)


def verify_files(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Compare the files in `folder` with their manifest.

    Raises
    ------
    CheckpointError
        A file is missing, was changed, or does not belong there; the message names it.
    """
    files = manifest["files"]
    found = {path.name for path in folder.iterdir()} - {NAME}
    for name in sorted(found ^ files.keys()):
        where = "does not belong to the checkpoint" if name in found else "is missing"
        raise CheckpointError(f"{name}: {where}")
    for name, expected in files.items():
        try:
            actual = _describe(folder / name)
        except OSError as error:
            raise CheckpointError(f"{name}: {error.strerror}") from error
        if actual["bytes"] != expected["bytes"]:
            raise CheckpointError(f"{name}: {actual['bytes']} bytes instead of {expected['bytes']}")
        if actual["sha256"] != expected["sha256"]:
            raise CheckpointError(f"{name}: its sha256 is not that of the manifest")


def describe(folder: Path) -> CheckpointInfo:
    """Return what is known of the checkpoint in `folder` without reading its larger files."""
    try:
        manifest = read_manifest(folder)
    except CheckpointError as error:
        return CheckpointInfo(folder.name, folder, damage=str(error))
    return CheckpointInfo(
        folder.name,
        folder,
        datetime.fromisoformat(manifest["created"]),
        manifest["meta"],
        manifest["versions"],
        sum(file["bytes"] for file in manifest["files"].values()),
    )


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries on which a stored state depends."""
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "not installed"
    return found


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
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": file.tell(), "sha256": digest}
