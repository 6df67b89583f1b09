"""The way back from nodes to objects."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray

from fenchel_stream.errors import CheckpointError
from fenchel_stream.state.atoms import unpack_atom
from fenchel_stream.state.kind import LATER, Kind, Node
from fenchel_stream.state.kinds import KINDS

_Todo = deque[tuple[Any, Any, str | None]]


class Restorer:
    """One restoration: which node became which object.

    Attributes
    ----------
    allow
        Packages whose classes may be made.
    arrays
        The named data of the arrays.
    fresh
        By node, its counterpart in the fresh object, None if there is none.
    devices
        By node, the ``device`` of the nearest fresh object around it that has one.
    """

    def __init__(
        self, nodes: list[Node], arrays: Mapping[str, NDArray[Any]], allow: tuple[str, ...]
    ) -> None:
        self.allow = allow
        self.arrays = arrays
        self.fresh: dict[int, Any] = {}
        self.devices: dict[int, str | None] = {}
        self._nodes = nodes
        self._made: dict[int, Any] = {}
        self._claimed: dict[int, Any] = {}

    def run(self, root: Any, fresh: Any) -> Any:
        """Return the object at `root`, made from `fresh` where that has a counterpart."""
        self._start(root, fresh)
        numbers = list(reversed(self._made))  # parts before wholes
        for number in numbers:
            self.value([number])
        for hashes in (False, True):
            for number in numbers:
                kind, node = self._kind(number)
                obj = self._made[number]
                if kind.hashes(obj) is hashes:
                    kind.finish(node, number, obj, self)
        return self.value(root)

    def value(self, packed: Any) -> Any:
        """Return the atom or the object that `packed` stands for."""
        if not isinstance(packed, list):
            return unpack_atom(packed, self.allow)
        (number,) = packed
        if self._made[number] is LATER:
            kind, node = self._kind(number)
            self._made[number] = kind.build(node, number, self)
        return self._made[number]

    def claim(self, number: int, cls: type) -> Any:
        """Return the fresh counterpart of a node if it is a `cls` and no other node has it."""
        fresh = self.fresh[number]
        if type(fresh) is not cls or id(fresh) in self._claimed:
            return None
        self._claimed[id(fresh)] = fresh
        return fresh

    def _start(self, root: Any, fresh: Any) -> None:
        """Start every node, those first that the fresh object has as well."""
        known, grown = _Todo([(root, fresh, None)]), _Todo()
        while known or grown:
            packed, fresh, device = known.popleft() if known else grown.popleft()
            if not isinstance(packed, list) or packed[0] in self._made:
                continue
            (number,) = packed
            kind, node = self._kind(number)
            own = getattr(fresh, "__dict__", {}).get("device")
            if isinstance(own, (str, torch.device)):
                device = str(own)
            self.fresh[number], self.devices[number] = fresh, device
            self._made[number] = kind.start(node, number, self)
            for part, other in kind.children(node, fresh, self):
                (grown if other is None else known).append((part, other, device))

    def _kind(self, number: int) -> tuple[Kind, Node]:
        node = self._nodes[number]
        if node["kind"] not in KINDS:
            raise CheckpointError(f"an object of the unknown kind {node['kind']!r}")
        return KINDS[node["kind"]], node
