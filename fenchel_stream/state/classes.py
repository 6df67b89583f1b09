"""Which classes may be stored, how they are named, and where their instances keep their state."""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict, defaultdict, deque
from contextlib import suppress
from enum import Enum
from functools import cache
from importlib import import_module
from statistics import NormalDist
from types import MemberDescriptorType
from typing import Any

import numpy as np

from fenchel_stream.errors import CheckpointError

ALLOWED = ("river", "fenchel_stream")
"""Packages whose classes are stored by default."""

STATELESS = (
    "fenchel_stream.checkpoint",
    "fenchel_stream.cli",
    "fenchel_stream.runner",
    "fenchel_stream.state",
    "fenchel_stream.streams",
    "river.checks",
    "river.datasets",
    "river.evaluate",
    "river.stream",
)
"""Modules whose objects are never state: they open files, start runs or evaluate text."""

_PLAIN = (bool, int, float, str, bytes)
_CONTAINERS = (list, tuple, set, frozenset, deque, dict, OrderedDict, Counter, defaultdict)
_STANDARD: tuple[type, ...] = (*_PLAIN, *_CONTAINERS, NormalDist)
STANDARD = {cls.__name__: cls for cls in _STANDARD}
"""Classes of the standard library, which are named without their module."""

_MANAGED_WEAKREF, _MANAGED_DICT = 1 << 3, 1 << 4


@cache
def class_name(cls: Any, allow: tuple[str, ...]) -> str | None:
    """Return the name by which `find_class` finds `cls`, None if it is not to be stored."""
    name: str = cls.__name__
    if STANDARD.get(name) is cls:
        return name
    module, path = cls.__module__, cls.__qualname__
    if issubclass(cls, Enum) or is_within(module, STATELESS):
        return None
    if not is_within(module, allow) and not issubclass(cls, np.generic):
        return None
    return f"{module}:{path}" if _look_up(sys.modules.get(module), path) is cls else None


@cache
def find_class(name: str) -> type:
    """Return the class that `class_name` named. Importing its module may run code: ask `trust`.

    Raises
    ------
    CheckpointError
        There is no such class in the installed version.
    """
    if name in STANDARD:
        return STANDARD[name]
    module, _, path = name.partition(":")
    try:
        cls = _look_up(import_module(module), path)
    except (ImportError, ValueError):
        cls = None
    if not isinstance(cls, type) or (cls.__module__, cls.__qualname__) != (module, path):
        raise CheckpointError(f"class {name!r} is not in this version of {module.split('.')[0]}")
    return cls


def is_within(module: str, packages: tuple[str, ...]) -> bool:
    """Say whether `module` is one of `packages` or in one of them.

    Examples
    --------
    >>> is_within("river.stats.mean", ("river.stats",)), is_within("riverbed", ("river",))
    (True, False)
    """
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@cache
def container_of(cls: Any) -> type:
    """Return the standard container that `cls` extends, or object."""
    return next((base for base in cls.__mro__ if base in _CONTAINERS), object)


@cache
def keeps_all_in_attributes(cls: Any) -> bool:
    """Say whether instances of `cls` hold nothing but attributes and what their container holds.

    An extension type hides its state in memory of its own, which shows in the size of instances.
    """
    base: Any = container_of(cls)
    if cls in _CONTAINERS:
        return True
    pointers = len(slots(cls))
    if cls.__dictoffset__ and not base.__dictoffset__:
        pointers += not cls.__flags__ & _MANAGED_DICT
    if cls.__weakrefoffset__ and not base.__weakrefoffset__:
        pointers += not cls.__flags__ & _MANAGED_WEAKREF
    size = base.__basicsize__ + tuple.__itemsize__ * pointers
    return bool(cls.__basicsize__ <= size and cls.__itemsize__ == base.__itemsize__)


@cache
def slots(cls: Any) -> dict[str, Any]:
    """Return the slots of `cls`: the name by which each is reached, and its descriptor."""
    return {
        name: member
        for base in reversed(cls.__mro__)
        if base not in _CONTAINERS
        for name, member in vars(base).items()
        if isinstance(member, MemberDescriptorType)
    }


def attributes(obj: Any) -> dict[str, Any]:
    """Return what `obj` holds in its ``__dict__`` and its slots, without running its code."""
    cls: Any = type(obj)
    state = dict(vars(obj)) if cls.__dictoffset__ else {}
    for name, slot in slots(cls).items():
        with suppress(AttributeError):
            state[name] = slot.__get__(obj, cls)
    return state


def set_attributes(obj: Any, state: dict[str, Any]) -> None:
    """Give `obj` the attributes `state`, and no others, without running its code."""
    cls: Any = type(obj)
    own = slots(cls)
    if cls.__dictoffset__:
        vars(obj).clear()
        vars(obj).update({name: value for name, value in state.items() if name not in own})
    for name, slot in own.items():
        if name in state:
            slot.__set__(obj, state[name])
        elif name in attributes(obj):
            slot.__delete__(obj)


def _look_up(owner: Any, path: str) -> Any:
    for name in path.split("."):
        owner = getattr(owner, name, None)
    return owner
