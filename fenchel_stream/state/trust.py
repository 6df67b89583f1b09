"""Which classes and functions a stored state may name.

Whoever can write a checkpoint can change its text. An object calls what its attributes hold, so a
class or a function in the wrong attribute would run code. Therefore the fresh object, which the
configuration built, decides:

- A function, or a class that is a value, must be in the same attribute of an object of the same
  class. Only the standard types, such as ``dict`` and ``float``, may be a value anywhere.
- An attribute that holds objects may hold only objects of the same classes.
- Any other place may hold objects of the classes that the fresh object contains, of the module of
  the object that holds them, and of `GROWN`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fenchel_stream.errors import CheckpointError
from fenchel_stream.state.atoms import class_of_atom
from fenchel_stream.state.callables import Callables
from fenchel_stream.state.classes import ALLOWED, STANDARD, is_within
from fenchel_stream.state.kind import FACTORY, HELD, Kind
from fenchel_stream.state.objects import is_own_function

GROWN = (
    "fenchel_stream.evaluation",
    "river._river_rust",
    "river.imblearn.hard_sampling:Triplet",
    "river.linear_model.lin_reg",
    "river.metrics",
    "river.neighbors.ann",
    "river.optim",
    "river.proba",
    "river.sketch",
    "river.stats",
    "river.tree.mondrian",
    "river.tree.nodes",
    "river.tree.padded",
    "river.tree.splitter",
    "river.tree.utils",
    "river.utils.rolling",
    "river.utils.sorted_window",
)
"""Modules and classes of statistics and of parts that a model makes while it learns.

None of their methods evaluates text or opens a file.
"""

_MOST_VISITS = 100
"""The largest number of places that may hold one container, on average."""


@dataclass(frozen=True)
class Use:
    """One name in a stored state.

    Attributes
    ----------
    place
        The class and the attribute that hold it. Plain containers between them do not count.
    role
        ``object`` is the class of an object, ``held`` the class of an object that a function
        holds, ``class`` a class that is a value, ``factory`` a class that makes the values of a
        table, ``function`` a function.
    name
        The name of the class or of the function.
    path
        The place of a function in the object, for messages.
    """

    place: tuple[str, str]
    role: str
    name: str
    path: str = field(default="", compare=False)

    @property
    def where(self) -> str:
        """The place in words."""
        owner, attribute = self.place
        return self.path or (f"{owner.rpartition(':')[2]}.{attribute}" if owner else "the state")


# Such nodes only grow, and choose one of these functions of their class.
_EBST_NODE = "river.tree.splitter.ebst_splitter:EBSTNode", "_update_estimator"
_GROWN_FUNCTIONS = {
    Use(_EBST_NODE, "function", "_update_estimator_univariate"),
    Use(_EBST_NODE, "function", "_update_estimator_multivariate"),
}


def admitted(
    tree: Mapping[str, Any],
    fresh: Mapping[str, Any],
    kinds: Sequence[Kind],
    allow: tuple[str, ...],
) -> frozenset[str]:
    """Return the names of all classes in a tree, if every name in it may be where it is.

    Parameters
    ----------
    tree
        The tree of the stored object.
    fresh
        The tree of a newly built object of the same configuration.
    kinds
        All kinds of objects.
    allow
        Packages whose classes may be stored. The classes of packages that are not in `ALLOWED` may
        be in any place: the caller vouches for them.

    Raises
    ------
    CheckpointError
        A name is in a place where it must not be; the message gives both.
    """
    trust = _Trust(_uses(fresh, kinds), allow)
    names = set()
    for use in _uses(tree, kinds):
        if not trust.admits(use):
            raise CheckpointError(
                f"{use.where} is {use.name}, which a newly built object does not have there"
            )
        if use.role != "function":
            names.add(use.name)
    return frozenset(names)


class _Trust:
    def __init__(self, uses: Iterable[Use], allow: tuple[str, ...]) -> None:
        self._fresh = set(uses)
        self._own = tuple(package for package in allow if package not in ALLOWED)
        self._classes = {use.name for use in self._fresh if use.role in {"object", "held"}}
        self._fixed = {
            use.place
            for use in self._fresh
            if use.role == "object" and use.name not in STANDARD and not self._grows(use)
        }

    def admits(self, use: Use) -> bool:
        if use in self._fresh or use in _GROWN_FUNCTIONS:
            return True
        if use.role == "function":
            return not use.path and is_within(_module(use.place[0]), self._own)
        if use.role == "class":
            return use.name in STANDARD
        if use.role == "object" and use.place in self._fixed:
            return use.name in STANDARD
        return use.name in STANDARD or use.name in self._classes or self._grows(use)

    def _grows(self, use: Use) -> bool:
        module = _module(use.name)
        grown = use.name in GROWN or is_within(module, (*GROWN, *self._own))
        return grown or module == _module(use.place[0])


def _module(name: str) -> str:
    return name.partition(":")[0]


def _uses(tree: Mapping[str, Any], kinds: Sequence[Kind]) -> Iterator[Use]:
    """Yield all that `tree` names. A container is visited once for each place that holds it."""
    nodes, by_tag = tree["nodes"], {kind.tag: kind for kind in kinds}
    todo = [(("", ""), "", tree["root"])]
    visited: set[tuple[int, tuple[str, str]]] = set()
    while todo:
        place, role, packed = todo.pop()
        if not isinstance(packed, list):
            yield from _uses_of_atom(place, role, packed)
            continue
        (number,) = packed
        node = nodes[number]
        kind, owner = by_tag.get(node["kind"]), node.get("class")
        if kind is None:
            raise CheckpointError(f"an object of the unknown kind {node['kind']!r}")
        if kind.tag == Callables.tag:
            yield Use(place, "function", node["name"], node["path"])
        elif owner is not None:
            yield Use(place, "held" if role == HELD else "object", owner)
        plain = owner is None or owner in STANDARD
        visit = number, place if plain else (owner, "")
        if visit in visited:
            continue
        visited.add(visit)
        if len(visited) > _MOST_VISITS * len(nodes):
            raise CheckpointError("its parts hold each other in too many ways")
        for part_role, part, _ in kind.parts(node, None):
            todo.append((place if plain else (owner, part_role), part_role, part))


def _uses_of_atom(place: tuple[str, str], role: str, packed: Any) -> Iterator[Use]:
    if is_own_function(packed):
        yield from (Use(place, "function", name) for name in packed.values())
    elif name := class_of_atom(packed):
        yield Use(place, "factory" if role == FACTORY else "class", name)
