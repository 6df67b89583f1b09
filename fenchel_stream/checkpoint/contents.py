"""What is in a checkpoint: named objects as plain data, or pickled if that cannot be helped."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np

from fenchel_stream.checkpoint.disk import create, open_regular, read, write
from fenchel_stream.checkpoint.manifest import Manifest
from fenchel_stream.errors import CheckpointError
from fenchel_stream.files import synchronise
from fenchel_stream.state import pack, restore
from fenchel_stream.state.arrays import is_array
from fenchel_stream.state.classes import container_of, keeps_all_in_attributes, slots

STATE = "state.json"
ARRAYS = "arrays.npz"

_FIXED = (NoneType, bool, int, float, str, bytes, np.generic)


class Contents:
    """The state of some named objects, taken apart and ready to be written.

    Parameters
    ----------
    state
        Objects by name. What they share stays shared, unless one of them is pickled.
    allow_pickle
        Whether to pickle those objects that cannot be stored as plain data.

    Raises
    ------
    CheckpointError
        An object cannot be stored; the message says what in it, and why.
    """

    def __init__(self, state: Mapping[str, object], allow_pickle: bool) -> None:
        _check(state)
        self.pickles: dict[str, bytes] = {}
        try:
            self.tree, self.arrays = pack(dict(state))
        except CheckpointError:
            if not allow_pickle:
                raise
            plain = {name: obj for name, obj in state.items() if _is_plain(name, obj)}
            self.pickles = {n: _pickle(n, obj) for n, obj in state.items() if n not in plain}
            self.tree, self.arrays = pack(plain)

    def write(self, folder: Path) -> None:
        """Write the state as files into `folder`."""
        text = {"pickled": sorted(self.pickles), **self.tree}
        write(folder / STATE, json.dumps(text, separators=(",", ":"), allow_nan=False).encode())
        # What numpy.savez does, but with any name.
        with create(folder / ARRAYS) as file:
            with zipfile.ZipFile(file, "w") as archive:
                for name, array in self.arrays.items():
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, array, allow_pickle=False)
            synchronise(file)
        for name, content in self.pickles.items():
            write(folder / _pickle_file(name), content)


def read_into(
    fresh: Mapping[str, object], folder: Path, manifest: Manifest, allow_pickle: bool
) -> None:
    """Put the state in `folder`, which was verified, into `fresh` objects of the same names.

    Raises
    ------
    CheckpointError
        Something has no state there, or that of another kind of object, or is pickled and pickle
        is not allowed.
    """
    tree, pickled = _read_tree(fresh, folder)
    if pickled and not allow_pickle:
        raise CheckpointError(
            f"{', '.join(map(_pickle_file, pickled))}: loading a pickle runs whatever code it "
            "names: set allow_pickle = true only if nobody else could have written it"
        )
    plain = {name: obj for name, obj in fresh.items() if name not in pickled}
    with _arrays(folder) as arrays:
        restored = restore(dict(plain), tree, arrays)
    for name in pickled:
        file = _pickle_file(name)
        content = read(folder / file)
        if hashlib.sha256(content).hexdigest() != manifest.files[file].sha256:
            raise CheckpointError(f"{file}: it changed while it was read")
        restored[name] = _unpickle(file, content)
    for name, obj in fresh.items():
        was = restored[name]
        if type(was) is not type(obj):
            raise CheckpointError(
                f"{name} was a {_class(was)}, and the configuration builds a {_class(obj)}"
            )
        if name in pickled:
            # Its parts may refer to the unpickled object: let both have the same state.
            obj.__dict__ = was.__dict__
        elif was is not obj:
            raise CheckpointError(f"{name} and another part are one object, and were two")


def _read_tree(names: Iterable[str], folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the tree of the parts `names`, and which of them were pickled instead."""
    try:
        tree = json.loads(read(folder / STATE))
        root = tree["nodes"][0]
        stored = dict(zip(root["pairs"][::2], root["pairs"][1::2], strict=True))
        pickled = [name for name in tree["pickled"] if name in names]
        root["pairs"] = [part for name in stored if name in names for part in (name, stored[name])]
    except (LookupError, OSError, RecursionError, TypeError, ValueError) as error:
        raise CheckpointError(f"{STATE}: its contents are not what was written") from error
    if missing := set(names) - stored.keys() - set(pickled):
        raise CheckpointError(f"it holds no {', '.join(sorted(missing))}")
    return tree, pickled


@contextmanager
def _arrays(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Lend the arrays by name."""
    try:
        with open_regular(folder / ARRAYS) as file:
            size = os.fstat(file.fileno()).st_size
            with np.load(file, allow_pickle=False) as arrays:
                members = arrays.zip.infolist()
                # Neither compressed nor overlapping: an array takes no more memory than disk.
                stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
                if not stored or sum(member.file_size for member in members) > size:
                    raise CheckpointError(f"{ARRAYS}: its contents are not what was written")
                yield arrays
    except (AttributeError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{ARRAYS}: its contents are not what was written") from error


def _pickle_file(name: str) -> str:
    return f"{name}.pkl"


def _check(state: Mapping[str, object]) -> None:
    for name, obj in state.items():
        cls: Any = type(obj)
        if not name.isidentifier():
            raise CheckpointError(f"{name!r} is no name for a part of a checkpoint")
        if isinstance(obj, _FIXED) or is_array(obj) or container_of(cls) in {tuple, frozenset}:
            raise CheckpointError(
                f"{name} is a {_class(obj)}, which cannot be restored in place: make it part of "
                "an object or of the meta data"
            )


def _is_plain(name: str, obj: object) -> bool:
    try:
        pack(obj, name)
    except CheckpointError:
        return False
    return True


def _pickle(name: str, obj: object) -> bytes:
    cls: Any = type(obj)
    if container_of(cls) is not object or slots(cls) or not keeps_all_in_attributes(cls):
        raise CheckpointError(
            f"{name} is a {_class(obj)}, which cannot be pickled either: its state is not all in "
            "its attributes"
        )
    try:
        return pickle.dumps(obj)
    except Exception as error:  # it may run any code of the object
        raise CheckpointError(f"{name} cannot be pickled: {error!r}") from error


def _unpickle(file: str, content: bytes) -> Any:
    try:
        return pickle.loads(content)  # noqa: S301 - the user asked for it by name
    except Exception as error:  # it may run any code
        raise CheckpointError(f"{file} cannot be unpickled: {error!r}") from error


def _class(obj: object) -> str:
    return f"{type(obj).__module__}.{type(obj).__qualname__}"
