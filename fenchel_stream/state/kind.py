"""What the codec asks of a kind of object: how to take it apart, and how to put it together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fenchel_stream.state.packer import Packer
    from fenchel_stream.state.restorer import Restorer

Node = dict[str, Any]
LATER = object()
"""Returned by `Kind.start` for what cannot exist before its parts do."""


class Kind(ABC):
    """Objects that are stored alike, each as one node: JSON with references to other nodes.

    Restoring has three steps: `start` every node from the root on, so that objects can refer to
    each other in circles; `build` those that had to wait for their parts; `finish` all of them.
    """

    tag: str

    @abstractmethod
    def holds(self, obj: Any, allow: tuple[str, ...]) -> bool:
        """Say whether `obj` is of this kind."""

    @abstractmethod
    def pack(self, obj: Any, path: str, packer: Packer) -> Node:
        """Return the node of `obj`, which is found at `path`."""

    def children(self, node: Node, fresh: Any, restorer: Restorer) -> Iterable[tuple[Any, Any]]:
        """Return each part of `node` with its counterpart in the fresh object, None if none."""
        return ()

    def start(self, node: Node, number: int, restorer: Restorer) -> Any:
        """Return the object of `node`, still without its parts, or `LATER`."""
        return LATER

    def build(self, node: Node, number: int, restorer: Restorer) -> Any:
        """Return the object of a `node` that `start` put off."""
        raise NotImplementedError

    def hashes(self, obj: Any) -> bool:
        """Say whether `finish` hashes the parts of `obj`: they must be finished before it."""
        return False

    def finish(self, node: Node, number: int, obj: Any, restorer: Restorer) -> None:  # noqa: B027
        """Give `obj` its parts."""
