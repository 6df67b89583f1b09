"""Which classes may be stored, how they are named, and where their instances keep their state."""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict, defaultdict, deque
from functools import cache
from importlib import import_module
from statistics import NormalDist
from types import MemberDescriptorType
from typing import Any

from fenchel_stream.errors import CheckpointError

ALLOWED = ("river", "fenchel_stream")
"""Packages whose classes are stored by default."""

_PLAIN = (bool, int, float, str, bytes)
_CONTAINERS = (list, tuple, set, frozenset, deque, dict, OrderedDict, Counter, defaultdict)
_STANDARD: tuple[type, ...] = (*_PLAIN, *_CONTAINERS, NormalDist)
STANDARD = {cls.__name__: cls for cls in _STANDARD}
"""Classes of the standard library, which are named without their module."""

_POINTER = tuple.__itemsize__
_MANAGED_WEAKREF, _MANAGED_DICT = 1 << 3, 1 << 4


@cache
def class_name(cls: Any, allow: tuple[str, ...]) -> str | None:
    """Return the name by which `find_class` finds `cls`, None if it would not."""
    name: str = cls.__name__
    if STANDARD.get(name) is cls:
        return name
    module, path = cls.__module__, cls.__qualname__
    if not _is_allowed(module, allow) or _look_up(sys.modules.get(module), path) is not cls:
        return None
    return f"{module}:{path}"


@cache
def find_class(name: str, allow: tuple[str, ...]) -> type:
    """Return the class that `class_name` named.

    Raises
    ------
    CheckpointError
        Its package is not allowed, or has no such class.
    """
    if name in STANDARD:
        return STANDARD[name]
    module, _, path = name.partition(":")
    if not _is_allowed(module, allow):
        raise CheckpointError(f"class {name!r} is in none of the packages {', '.join(allow)}")
    try:
        cls = _look_up(import_module(module), path)
    except ImportError:
        cls = None
    if not isinstance(cls, type) or (cls.__module__, cls.__qualname__) != (module, path):
        raise CheckpointError(f"class {name!r} is not in this version of {module.split('.')[0]}")
    return cls


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
    size = base.__basicsize__ + _POINTER * len(slots(cls))
    if cls.__dictoffset__ and not base.__dictoffset__ and not cls.__flags__ & _MANAGED_DICT:
        size += _POINTER
    if (
        cls.__weakrefoffset__
        and not base.__weakrefoffset__
        and not cls.__flags__ & _MANAGED_WEAKREF
    ):
        size += _POINTER
    return bool(cls.__basicsize__ <= size and cls.__itemsize__ == base.__itemsize__)


@cache
def slots(cls: Any) -> dict[str, Any]:
    """Return the slots of `cls`: the name by which each is reached, and its descriptor."""
    found = {}
    for base in cls.__mro__:
        names = vars(base).get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if name.startswith("__") and not name.endswith("__"):
                name = f"_{base.__name__.lstrip('_')}{name}"  # noqa: PLW2901 - private names
            descriptor = vars(base).get(name)
            if isinstance(descriptor, MemberDescriptorType):
                found[name] = descriptor
    return found


def attributes(obj: Any) -> dict[str, Any]:
    """Return what `obj` holds in its ``__dict__`` and its slots, without running its code."""
    cls: Any = type(obj)
    state = dict(vars(obj)) if cls.__dictoffset__ else {}
    for name, slot in slots(cls).items():
        try:
            state[name] = slot.__get__(obj, cls)
        except AttributeError:
            continue
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


def _is_allowed(module: str, allow: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in allow)


def _look_up(found: Any, path: str) -> Any:
    for name in path.split("."):
        found = getattr(found, name, None)
    return found
