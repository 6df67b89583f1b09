"""River's compiled objects, which say themselves what their state is."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any

from fenchel_stream.errors import CheckpointError, is_panic
from fenchel_stream.state.classes import class_name
from fenchel_stream.state.kind import FACTORY, Counterpart, Kind, Node, Packing, Restoring

_SHORT, _MOST_TRIED = 1000, 10_000
_RUST = "river._river_rust."
_BINARY = ("RsRollingROCAUC", "RsRollingPRAUC")
"""Classes that take a label beside each value."""

_VECTOR = f"{_RUST}vectordict:VectorDict"


class RustObjects(Kind):
    """Statistics and detectors whose ``__getstate__`` and ``__setstate__`` speak bytes."""

    tag = "rust"

    def holds(self, obj: Any, allow: tuple[str, ...]) -> bool:
        cls: Any = type(obj)
        return (
            cls.__module__.startswith(_RUST)
            and {"__getstate__", "__setstate__"} <= vars(cls).keys()
            and class_name(cls, allow) is not None
            and isinstance(obj.__getstate__(), bytes)
        )

    def pack(self, obj: Any, path: str, packing: Packing) -> Node:
        cls: Any = type(obj)
        new = obj.__getnewargs__() if hasattr(obj, "__getnewargs__") else ()
        return {
            "class": class_name(cls, packing.allow),
            "new": [packing.link(value, path) for value in new],
            "state": b64encode(obj.__getstate__()).decode(),
        }

    def start(self, node: Node, at: Counterpart, restoring: Restoring) -> Any:
        cls: Any = _rust_class(node, restoring)
        new = [restoring.value(value) for value in node["new"]]
        state = b64decode(node["state"], validate=True)
        try:
            _try_out(cls, new, state)
            obj = restoring.claim(at.fresh, cls) or _empty(cls, new)
            obj.__setstate__(state)
            made_with = obj.__getnewargs__() if hasattr(obj, "__getnewargs__") else ()
        except BaseException as error:
            if not is_panic(error):
                raise
            raise CheckpointError(f"{cls.__name__} cannot have such a state: {error}") from error
        if repr(list(made_with)) != repr(new):
            raise CheckpointError(f"{cls.__name__} was made with {made_with}, and not {new}")
        return obj


def _empty(cls: Any, new: list[Any]) -> Any:
    # A state replaces all of it. A long window would be reserved, and end the process.
    return cls.__new__(cls, *[min(value, _SHORT) if type(value) is int else value for value in new])


def _try_out(cls: Any, new: list[Any], state: bytes) -> None:
    """Use a copy as often as it may take until all that the state holds has been used.

    A state that contradicts itself panics only then.
    """
    copy = _empty(cls, new)
    without_value = _panics(copy.get) if hasattr(cls, "get") else True
    copy.__setstate__(state)
    if not without_value:
        copy.get()
    row = (1, 0.5) if cls.__name__ in _BINARY else (0.5,)
    for _ in range(min(len(state) // 8 + 10, _MOST_TRIED)):
        copy.update(*row)
    if hasattr(cls, "get"):
        copy.get()


def _panics(method: Any) -> bool:
    try:
        method()
    except BaseException as error:
        if not is_panic(error):
            raise
        return True
    return False


class VectorDicts(Kind):
    """River's dict with arithmetic. What its mask hides is not kept, as in a pickle of it."""

    tag = "vector dict"

    def holds(self, obj: Any, allow: tuple[str, ...]) -> bool:
        cls: Any = type(obj)
        return class_name(cls, allow) == _VECTOR

    def pack(self, obj: Any, path: str, packing: Packing) -> Node:
        data, factory, mask, _ = obj.__reduce__()[1]
        return {
            "class": _VECTOR,
            "factory": packing.link(factory, f"{path}.default_factory"),
            "pairs": [
                packed
                for key, value in data.items()
                for packed in (packing.link(key, path), packing.link(value, f"{path}[{key!r}]"))
            ],
            "mask": None if mask is None else [packing.link(key, path) for key in mask],
        }

    def parts(self, node: Node, fresh: Any) -> Iterator[tuple[str, Any, Any]]:
        same = f"{type(fresh).__module__}:{type(fresh).__qualname__}" == _VECTOR
        yield FACTORY, node["factory"], fresh.__reduce__()[1][1] if same else None
        yield from (("", packed, None) for packed in [*node["pairs"], *(node["mask"] or ())])

    def build(self, node: Node, at: Counterpart, restoring: Restoring) -> Any:
        cls: Any = _rust_class(node, restoring)
        keys = map(restoring.key, node["pairs"][::2])
        values = map(restoring.value, node["pairs"][1::2])
        mask = None if node["mask"] is None else set(map(restoring.key, node["mask"]))
        factory = restoring.value(node["factory"])
        return cls(dict(zip(keys, values, strict=True)), factory, mask, True)


def _rust_class(node: Node, restoring: Restoring) -> type:
    if not node["class"].startswith(_RUST):
        raise CheckpointError(f"class {node['class']!r} is not one of River's compiled classes")
    return restoring.find_class(node["class"])
