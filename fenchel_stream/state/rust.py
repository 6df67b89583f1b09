"""River's compiled objects, which say themselves what their state is."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fenchel_stream.errors import CheckpointError
from fenchel_stream.state.classes import class_name, find_class
from fenchel_stream.state.kind import Kind, Node

if TYPE_CHECKING:
    from fenchel_stream.state.packer import Packer
    from fenchel_stream.state.restorer import Restorer

_RUST = "river._river_rust."


class RustObjects(Kind):
    """Statistics and detectors whose ``__getstate__`` and ``__setstate__`` speak bytes."""

    tag = "rust"

    def holds(self, obj: Any, allow: tuple[str, ...]) -> bool:
        cls: Any = type(obj)
        return (
            cls.__module__.startswith(_RUST)
            and {"__getstate__", "__setstate__"} <= vars(cls).keys()
            and _name_of(obj, allow) is not None
            and isinstance(obj.__getstate__(), bytes)
        )

    def pack(self, obj: Any, path: str, packer: Packer) -> Node:
        new = obj.__getnewargs__() if hasattr(obj, "__getnewargs__") else ()
        return {
            "class": _name_of(obj, packer.allow),
            "new": [packer.link(value, path) for value in new],
            "state": b64encode(obj.__getstate__()).decode(),
        }

    def start(self, node: Node, number: int, restorer: Restorer) -> Any:
        cls: Any = _rust_class(node, restorer)
        obj = restorer.claim(number, cls)
        if obj is None:
            obj = cls.__new__(cls, *map(restorer.value, node["new"]))
        obj.__setstate__(b64decode(node["state"]))
        return obj


class VectorDicts(Kind):
    """River's dict with arithmetic. What its mask hides is not kept, as in a pickle of it."""

    tag = "vector dict"

    def holds(self, obj: Any, allow: tuple[str, ...]) -> bool:
        return _name_of(obj, allow) == f"{_RUST}vectordict:VectorDict"

    def pack(self, obj: Any, path: str, packer: Packer) -> Node:
        data, factory, mask = _parts(obj)
        return {
            "class": _name_of(obj, packer.allow),
            "factory": packer.link(factory, f"{path}.default_factory"),
            "pairs": [
                packed
                for key, value in data.items()
                for packed in (packer.link(key, path), packer.link(value, f"{path}[{key!r}]"))
            ],
            "mask": None if mask is None else [packer.link(key, path) for key in mask],
        }

    def children(self, node: Node, fresh: Any, restorer: Restorer) -> Iterator[tuple[Any, Any]]:
        yield node["factory"], _parts(fresh)[1] if self.holds(fresh, restorer.allow) else None
        yield from ((packed, None) for packed in [*node["pairs"], *(node["mask"] or ())])

    def build(self, node: Node, number: int, restorer: Restorer) -> Any:
        cls: Any = _rust_class(node, restorer)
        flat = map(restorer.value, node["pairs"])
        mask = None if node["mask"] is None else set(map(restorer.value, node["mask"]))
        factory = restorer.value(node["factory"])
        return cls(dict(zip(flat, flat, strict=True)), factory, mask, True)


def _parts(vector: Any) -> tuple[dict[Any, Any], Any, Any]:
    data, factory, mask, _ = vector.__reduce__()[1]
    return data, factory, mask


def _name_of(obj: Any, allow: tuple[str, ...]) -> str | None:
    cls: Any = type(obj)
    return class_name(cls, allow)


def _rust_class(node: Node, restorer: Restorer) -> type:
    if not node["class"].startswith(_RUST):
        raise CheckpointError(f"class {node['class']!r} is not one of River's compiled classes")
    return find_class(node["class"], restorer.allow)
