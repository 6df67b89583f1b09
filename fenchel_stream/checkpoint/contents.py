"""What is in a checkpoint: named objects as plain data, or pickled if that cannot be helped."""

from __future__ import annotations

import hashlib
import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import torch

from fenchel_stream.checkpoint.disk import synchronise, write
from fenchel_stream.errors import CheckpointError
from fenchel_stream.state import pack, restore
from fenchel_stream.state.classes import container_of, keeps_all_in_attributes, slots

STATE = "state.json"
ARRAYS = "arrays.npz"

_FIXED = (NoneType, bool, int, float, str, bytes, np.generic, np.ndarray, torch.Tensor)


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
        with (folder / ARRAYS).open("xb") as file:
            with zipfile.ZipFile(file, "w") as archive:
                for name, array in self.arrays.items():
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, array, allow_pickle=False)
            synchronise(file)
        for name, content in self.pickles.items():
            write(folder / _pickle_file(name), content)


def read_into(
    fresh: Mapping[str, object], folder: Path, files: Mapping[str, Any], allow_pickle: bool
) -> None:
    """Put the state in `folder`, which was verified, into `fresh` objects of the same names.

    Raises
    ------
    CheckpointError
        Something has no state there, or that of another kind of object, or is pickled and pickle
        is not allowed.
    """
    tree = json.loads((folder / STATE).read_bytes())
    root = tree["nodes"][0]
    stored = dict(zip(root["pairs"][::2], root["pairs"][1::2], strict=True))
    pickled = [name for name in tree["pickled"] if name in fresh]
    if missing := fresh.keys() - stored.keys() - set(pickled):
        raise CheckpointError(f"it holds no {', '.join(sorted(missing))}")
    if pickled and not allow_pickle:
        raise CheckpointError(
            f"{', '.join(map(_pickle_file, pickled))}: loading a pickle runs whatever code it "
            "names: set allow_pickle = true only if nobody else could have written it"
        )
    root["pairs"] = [part for name in stored if name in fresh for part in (name, stored[name])]
    plain = {name: obj for name, obj in fresh.items() if name not in pickled}
    with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
        restored = restore(dict(plain), tree, arrays)
    for name in pickled:
        file = _pickle_file(name)
        content = (folder / file).read_bytes()
        if hashlib.sha256(content).hexdigest() != files[file]["sha256"]:
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


def _pickle_file(name: str) -> str:
    return f"{name}.pkl"


def _check(state: Mapping[str, object]) -> None:
    for name, obj in state.items():
        cls: Any = type(obj)
        if not name.isidentifier():
            raise CheckpointError(f"{name!r} is no name for a part of a checkpoint")
        if isinstance(obj, _FIXED) or container_of(cls) in {tuple, frozenset}:
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
