"""The walk over everything that an object holds."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from fenchel_stream.errors import CheckpointError
from fenchel_stream.state.arrays import Arrays
from fenchel_stream.state.atoms import NOT_AN_ATOM, pack_atom
from fenchel_stream.state.kind import Node
from fenchel_stream.state.kinds import KINDS
from fenchel_stream.state.memory import Span, store

_LEAST_ADDRESS = 2**16


class Packer:
    """One walk over an object: each thing it holds becomes a node, once, however often it is met.

    Nodes refer to each other by number, so that circles, shared parts and deep nesting are plain
    JSON. The walk is breadth first: a part is named by the shortest way to it.
    """

    def __init__(self, allow: tuple[str, ...]) -> None:
        self.allow = allow
        self._numbers: dict[int, int] = {}
        self._found: list[tuple[Any, str]] = []  # keeps temporary objects, hence their ids, alive
        self._large: dict[int, str] = {}

    def run(self, obj: Any, path: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the tree and the arrays of `obj`."""
        root = self.link(obj, path)
        nodes = [self._node(value, where) for value, where in self._found]
        self._refuse_addresses()
        spans = [
            Span.of(value, number, where)
            for number, (value, where) in enumerate(self._found)
            if nodes[number]["kind"] == Arrays.tag
        ]
        arrays = store(spans, nodes)
        return {"root": root, "nodes": nodes}, arrays

    def link(self, value: Any, path: str) -> Any:
        """Return `value` if it is an atom, else a reference to its node."""
        atom = pack_atom(value, self.allow)
        if atom is not NOT_AN_ATOM:
            if type(value) is int and value > _LEAST_ADDRESS:
                self._large[value] = path
            return atom
        number = self._numbers.setdefault(id(value), len(self._found))
        if number == len(self._found):
            self._found.append((value, path))
        return [number]

    def _node(self, value: Any, path: str) -> Node:
        for kind in KINDS.values():
            if kind.holds(value, self.allow):
                return {"kind": kind.tag, **kind.pack(value, path, self)}
        cls = type(value)
        raise CheckpointError(
            f"{path or 'the object'} is a {cls.__module__}.{cls.__qualname__}, whose state can be "
            "stored only by pickle: set allow_pickle = true if you accept that"
        )

    def _refuse_addresses(self) -> None:
        for address in self._large.keys() & self._numbers.keys():
            _, path = self._found[self._numbers[address]]
            raise CheckpointError(
                f"{self._large[address]} is the memory address of {path}, which means nothing in "
                "another process: this object cannot be stored"
            )
