"""The walk over everything that an object holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fenchel_stream.errors import CheckpointError
from fenchel_stream.state.arrays import array_name
from fenchel_stream.state.atoms import NOT_AN_ATOM, pack_atom
from fenchel_stream.state.kind import Kind, Node

_LEAST_ADDRESS = 2**16


class Packer:
    """One walk over an object: each thing it holds becomes a node, once, however often it is met.

    Nodes refer to each other by number, so that circles, shared parts and deep nesting are plain
    JSON. The walk is breadth first: a part is named by the shortest way to it.

    Attributes
    ----------
    arrays
        The arrays and tensors by the names of their data.
    """

    def __init__(self, kinds: Sequence[Kind], allow: tuple[str, ...]) -> None:
        self.allow = allow
        self.arrays: dict[str, Any] = {}
        self._kinds = kinds
        self._numbers: dict[int, int] = {}
        self._objects: list[tuple[Any, str]] = []  # keeps temporary objects, hence their ids, alive
        self._large: dict[int, str] = {}

    def run(self, obj: Any, path: str) -> dict[str, Any]:
        """Return the tree of `obj`."""
        root = self.link(obj, path)
        nodes = [self._node(part, where) for part, where in self._objects]
        for address in self._large.keys() & self._numbers.keys():
            _, where = self._objects[self._numbers[address]]
            raise CheckpointError(
                f"{self._large[address]} is the memory address of {where}, which means nothing in "
                "another process: this object cannot be stored"
            )
        return {"root": root, "nodes": nodes}

    def link(self, value: Any, path: str) -> Any:
        """Return `value` if it is an atom, else a reference to its node."""
        atom = pack_atom(value, self.allow)
        if atom is not NOT_AN_ATOM:
            if type(value) is int and value > _LEAST_ADDRESS:
                self._large[value] = path
            return atom
        number = self._numbers.setdefault(id(value), len(self._objects))
        if number == len(self._objects):
            self._objects.append((value, path))
        return [number]

    def object(self, number: int) -> Any:
        """Return the object of a node."""
        return self._objects[number][0]

    def add_array(self, array: Any, path: str) -> str:
        """Keep an array or a tensor, and return the name of its data."""
        name = array_name(path)
        name = f"{name}~{len(self.arrays)}" if name in self.arrays else name
        self.arrays[name] = array
        return name

    def _node(self, value: Any, path: str) -> Node:
        for kind in self._kinds:
            if kind.holds(value, self.allow):
                return {"kind": kind.tag, **kind.pack(value, path, self)}
        cls = type(value)
        raise CheckpointError(
            f"{path or 'the object'} is a {cls.__module__}.{cls.__qualname__}, whose state can be "
            "stored only by pickle: set allow_pickle = true if you accept that"
        )
