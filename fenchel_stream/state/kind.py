"""The base class of all kinds of objects, and what a kind may ask of the walks that call it.

Read this before you write another kind. The list of all kinds is in `codec`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

Node = dict[str, Any]
"""An object as JSON. A reference to another node is a list of its number alone."""

LATER = object()
"""Returned by `Kind.start` for what cannot exist before its parts do."""


FACTORY, HELD = "[factory]", "[held]"
"""The roles of what makes the values of a table, and of what a function holds on to."""


@dataclass(frozen=True, slots=True)
class Counterpart:
    """What a freshly built object has at the place of a node.

    Attributes
    ----------
    fresh
        The object there, None if there is none.
    device
        The ``device`` of the nearest fresh object around it that has one.
    """

    fresh: Any = None
    device: str | None = None


class Packing(Protocol):
    """What a kind may ask of the walk that packs."""

    allow: tuple[str, ...]

    def link(self, value: Any, path: str) -> Any:
        """Return `value` if it is an atom, else a reference to its node."""

    def add_array(self, array: Any, path: str) -> str:
        """Keep an array or a tensor, and return the name of its data."""


class Restoring(Protocol):
    """What a kind may ask of the walk that restores."""

    arrays: Mapping[str, NDArray[Any]]

    def value(self, packed: Any) -> Any:
        """Return the atom or the object that `packed` stands for."""

    def key(self, packed: Any) -> Any:
        """Return what `packed` stands for, if it can be hashed safely."""

    def find_class(self, name: str) -> type:
        """Return a class of that name, if the state may name it."""

    def claim(self, fresh: Any, cls: type) -> Any:
        """Return `fresh` if it is a `cls` and no other node has it, else None."""


class Kind(ABC):
    """Objects that are stored alike, each as one node.

    Restoring has four steps: `start` every node from the root on, so that objects can refer to
    each other in circles; `build` those that had to wait for their parts; `finish` all of them;
    `check` all of them.
    """

    tag: str

    @abstractmethod
    def holds(self, obj: Any, allow: tuple[str, ...]) -> bool:
        """Say whether `obj` is of this kind."""

    @abstractmethod
    def pack(self, obj: Any, path: str, packing: Packing) -> Node:
        """Return the node of `obj`, which is found at `path`."""

    def parts(self, node: Node, fresh: Any) -> Iterable[tuple[str, Any, Any]]:
        """Return for each part of `node` its role, the part, and its counterpart in `fresh`.

        The role is the name of the attribute, `FACTORY`, `HELD`, or empty for what a container
        holds.
        """
        return ()

    def start(self, node: Node, at: Counterpart, restoring: Restoring) -> Any:
        """Return the object of `node`, still without its parts, or `LATER`."""
        return LATER

    def build(self, node: Node, at: Counterpart, restoring: Restoring) -> Any:
        """Return the object of a `node` that `start` put off."""
        raise NotImplementedError

    def hashes(self, obj: Any) -> bool:
        """Say whether `finish` hashes the parts of `obj`: they must be finished before it."""
        return False

    def finish(self, node: Node, at: Counterpart, obj: Any, restoring: Restoring) -> None:  # noqa: B027
        """Give `obj` its parts."""

    def check(self, obj: Any) -> None:  # noqa: B027
        """Make sure that `obj` works, now that all is restored.

        Raises
        ------
        CheckpointError
            It would not.
        """
