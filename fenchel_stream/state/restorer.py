"""The way back from nodes to objects."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from fenchel_stream.errors import CheckpointError
from fenchel_stream.state.atoms import unpack_atom
from fenchel_stream.state.kind import LATER, Counterpart, Kind, Node

_MOST_NESTED, _MOST_HASHED = 100, 10**8


class Restorer:
    """One restoration: which node became which object.

    Parameters
    ----------
    kinds
        All kinds of objects.
    nodes
        Of the tree.
    arrays
        The named data of the arrays.
    find_class
        Returns a class of that name, if the state may name it.
    """

    def __init__(
        self,
        kinds: Sequence[Kind],
        nodes: list[Node],
        arrays: Mapping[str, NDArray[Any]],
        find_class: Callable[[str], type],
    ) -> None:
        self.arrays = arrays
        self.find_class = find_class
        self._kinds = {kind.tag: kind for kind in kinds}
        self._nodes = nodes
        self._at: dict[int, Counterpart] = {}
        self._made: dict[int, Any] = {}
        self._claimed: dict[int, Any] = {}
        self._sizes: dict[int, tuple[int, int]] = {}
        self._hashed = 0

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
                    kind.finish(node, self._at[number], obj, self)
        for number in numbers:
            self._kind(number)[0].check(self._made[number])
        return self.value(root)

    def value(self, packed: Any) -> Any:
        """Return the atom or the object that `packed` stands for."""
        if not isinstance(packed, list):
            return unpack_atom(packed, self.find_class)
        (number,) = packed
        if self._made[number] is LATER:
            kind, node = self._kind(number)
            self._made[number] = kind.build(node, self._at[number], self)
        return self._made[number]

    def key(self, packed: Any) -> Any:
        """Return what `packed` stands for, if it can be hashed safely.

        Python hashes tuples in tuples by recursion, which ends the process if they are deep, and
        hashes what they share again and again.
        """
        self._hashed += self._size(packed, 0)[0]
        if self._hashed > _MOST_HASHED:
            raise CheckpointError("its keys have too many parts")
        return self.value(packed)

    def _size(self, packed: Any, depth: int) -> tuple[int, int]:
        """Return how many parts a key has, and how deep they are."""
        if not isinstance(packed, list):
            return 1, 0
        (number,) = packed
        if number not in self._sizes:
            sizes = [(1, 0)]
            if depth <= _MOST_NESTED:
                items = self._nodes[number].get("items", ())
                sizes += [self._size(item, depth + 1) for item in items]
            height = 1 + max(height for _, height in sizes)
            if max(depth, height) > _MOST_NESTED:
                raise CheckpointError(f"a key is nested more than {_MOST_NESTED} deep")
            self._sizes[number] = sum(count for count, _ in sizes), height
        return self._sizes[number]

    def claim(self, fresh: Any, cls: type) -> Any:
        """Return `fresh` if it is a `cls` and no other node has it, else None."""
        if type(fresh) is not cls or id(fresh) in self._claimed:
            return None
        self._claimed[id(fresh)] = fresh
        return fresh

    def _start(self, root: Any, fresh: Any) -> None:
        """Start every node, those first that the fresh object has as well."""
        known, grown = deque([(root, Counterpart(fresh))]), deque[tuple[Any, Counterpart]]()
        while known or grown:
            packed, at = known.popleft() if known else grown.popleft()
            if not isinstance(packed, list) or packed[0] in self._made:
                continue
            (number,) = packed
            kind, node = self._kind(number)
            device = getattr(at.fresh, "__dict__", {}).get("device")
            if device is not None:
                at = Counterpart(at.fresh, str(device))
            self._at[number] = at
            self._made[number] = kind.start(node, at, self)
            for _, part, counterpart in kind.parts(node, at.fresh):
                queue = grown if counterpart is None else known
                queue.append((part, Counterpart(counterpart, at.device)))

    def _kind(self, number: int) -> tuple[Kind, Node]:
        node = self._nodes[number]
        if node["kind"] not in self._kinds:
            raise CheckpointError(f"an object of the unknown kind {node['kind']!r}")
        return self._kinds[node["kind"]], node
