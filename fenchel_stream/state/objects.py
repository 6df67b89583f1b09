"""Containers and objects: a class, attributes, and what the container holds."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from inspect import getattr_static
from types import FunctionType, MethodType
from typing import Any

from fenchel_stream.errors import CheckpointError
from fenchel_stream.state.arrays import is_device
from fenchel_stream.state.atoms import class_of_atom, unpack_atom
from fenchel_stream.state.classes import (
    STANDARD,
    attributes,
    class_name,
    container_of,
    is_within,
    keeps_all_in_attributes,
    set_attributes,
)
from fenchel_stream.state.kind import FACTORY, LATER, Counterpart, Kind, Node, Packing, Restoring

OWN = ("fenchel_stream",)
"""The package whose classes always have the same attributes, and may check what they are given."""


class Objects(Kind):
    """Instances of the standard containers and of classes of the allowed packages.

    A class may say what belongs to its state by a ``__getstate__`` that returns a dict, and whether
    a restored state makes sense by a method ``check_restored`` that raises a `CheckpointError`.
    """

    tag = "object"

    def holds(self, obj: Any, allow: tuple[str, ...]) -> bool:
        cls: Any = type(obj)
        if class_name(cls, allow) is None or not keeps_all_in_attributes(cls):
            return False
        return not _has_getstate(cls) or isinstance(obj.__getstate__(), dict)

    def pack(self, obj: Any, path: str, packing: Packing) -> Node:
        cls: Any = type(obj)
        node: Node = {"class": class_name(cls, packing.allow)}
        if state := _state_of(obj):
            node["attributes"] = {
                name: _own_function(obj, value)
                or packing.link(value, f"{path}.{name}" if path else name)
                for name, value in state.items()
            }
        container: Any = container_of(cls)
        if container is defaultdict:
            # First, because a factory may hold the factories of the values.
            node["factory"] = packing.link(obj.default_factory, f"{path}.default_factory")
        if issubclass(container, dict):
            pairs = node["pairs"] = []
            for key, value in container.items(obj):
                where = f"{path}[{key!r}]" if path or type(key) is not str else key
                pairs += [packing.link(key, f"key {key!r} of {path}"), packing.link(value, where)]
        elif container is not object:
            items = enumerate(container.__iter__(obj))
            node["items"] = [packing.link(item, f"{path}[{i}]") for i, item in items]
        if container is deque:
            node["maxlen"] = obj.maxlen
        return node

    def parts(self, node: Node, fresh: Any) -> Iterator[tuple[str, Any, Any]]:
        own = {} if fresh is None else attributes(fresh)
        for name, value in node.get("attributes", {}).items():
            yield name, value, own.get(name)
        if "factory" in node:
            yield FACTORY, node["factory"], getattr(fresh, "default_factory", None)
        for key, value in _pairs(node):
            counterpart = None
            if isinstance(fresh, dict) and not isinstance(key, list) and not class_of_atom(key):
                counterpart = dict.get(fresh, unpack_atom(key, _no_class))
            yield "", key, None
            yield "", value, counterpart
        items = iter(fresh) if isinstance(fresh, (list, tuple, deque)) else iter(())
        for item in node.get("items", ()):
            yield "", item, next(items, None)

    def start(self, node: Node, at: Counterpart, restoring: Restoring) -> Any:
        cls = restoring.find_class(node["class"])
        container: Any = container_of(cls)
        if container in (tuple, frozenset):
            return LATER
        obj = restoring.claim(at.fresh, cls)
        if obj is None or (container is deque and obj.maxlen != node["maxlen"]):
            obj = container.__new__(cls)
            if container is deque:
                deque.__init__(obj, (), node["maxlen"])
        return obj

    def build(self, node: Node, at: Counterpart, restoring: Restoring) -> Any:
        cls = restoring.find_class(node["class"])
        container: Any = container_of(cls)
        item = restoring.key if container is frozenset else restoring.value
        return container.__new__(cls, list(map(item, node["items"])))

    def hashes(self, obj: Any) -> bool:
        return isinstance(obj, (dict, set))

    def finish(self, node: Node, at: Counterpart, obj: Any, restoring: Restoring) -> None:
        state = {
            name: _function_of(obj, value) if is_own_function(value) else restoring.value(value)
            for name, value in node.get("attributes", {}).items()
        }
        if at.device is not None and is_device(state.get("device")):
            state["device"] = type(state["device"])(at.device)
        cls: Any = type(obj)
        if obj is at.fresh and is_within(cls.__module__, OWN):
            _check_attributes(obj, state)
        if state or STANDARD.get(cls.__name__) is not cls:
            set_attributes(obj, state)
        container: Any = container_of(cls)
        if container in (list, set, deque):
            container.clear(obj)
            fill, item = (
                (set.update, restoring.key)
                if container is set
                else (container.extend, restoring.value)
            )
            fill(obj, list(map(item, node["items"])))
        elif issubclass(container, dict):
            container.clear(obj)
            for key, value in _pairs(node):
                container.__setitem__(obj, restoring.key(key), restoring.value(value))
            # A factory that is a mere class is the configuration's, if that has one.
            if container is defaultdict and (
                obj.default_factory is None or isinstance(node["factory"], list)
            ):
                obj.default_factory = restoring.value(node["factory"])

    def check(self, obj: Any) -> None:
        cls: Any = type(obj)
        if is_within(cls.__module__, OWN) and hasattr(cls, "check_restored"):
            obj.check_restored()


def is_own_function(packed: Any) -> bool:
    """Say whether an attribute is stored as a function of the object's own class."""
    return isinstance(packed, dict) and packed.keys() <= {"method", "function"}


def _state_of(obj: Any) -> dict[str, Any]:
    state = obj.__getstate__() if _has_getstate(type(obj)) else attributes(obj)
    return dict(state)


def _check_attributes(fresh: Any, state: dict[str, Any]) -> None:
    """Compare a stored object of ours with the fresh one: the same names, the same containers."""
    own = _state_of(fresh)
    for name in sorted(own.keys() ^ state.keys()):
        which = "without" if name in own else "with"
        raise CheckpointError(f"a {type(fresh).__qualname__} {which} an attribute {name!r}")
    for name, value in own.items():
        cls: Any = type(value)
        if container_of(cls) is not object and type(state[name]) is not cls:
            raise CheckpointError(
                f"{type(fresh).__qualname__}.{name} was a {type(state[name]).__qualname__}, not a "
                f"{cls.__qualname__}"
            )


def _has_getstate(cls: Any) -> bool:
    own = cls.__getstate__ is not object.__getstate__
    return own and STANDARD.get(cls.__name__) is not cls


def _pairs(node: Node) -> Iterator[tuple[Any, Any]]:
    flat = iter(node.get("pairs", ()))
    return zip(flat, flat, strict=True)


def _own_function(obj: Any, value: Any) -> dict[str, str] | None:
    """Return how to find `value` if it is a method of `obj` or a function of its class."""
    bound = isinstance(value, MethodType) and value.__self__ is obj
    function = value.__func__ if bound else value
    name = getattr(function, "__name__", "")
    if isinstance(function, FunctionType) and _class_function(type(obj), name) is function:
        return {"method" if bound else "function": name}
    return None


def _function_of(obj: Any, packed: dict[str, str]) -> Any:
    ((how, name),) = packed.items()
    function = _class_function(type(obj), name)
    if function is None:
        raise CheckpointError(f"{type(obj).__qualname__} has no method {name!r} in this version")
    return MethodType(function, obj) if how == "method" else function


def _class_function(cls: type, name: str) -> FunctionType | None:
    member = getattr_static(cls, name, None)
    member = member.__func__ if isinstance(member, staticmethod) else member
    return member if isinstance(member, FunctionType) else None


def _no_class(name: str) -> type:
    raise CheckpointError(f"class {name!r} cannot be looked up here")
