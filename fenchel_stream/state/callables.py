"""Functions: never stored, but taken from the fresh object, with what they hold on to."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from operator import attrgetter, itemgetter
from types import (
    BuiltinFunctionType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

import numpy as np

from fenchel_stream.errors import CheckpointError
from fenchel_stream.state.kind import HELD, Counterpart, Kind, Node, Packing, Restoring

_TYPES = (
    BuiltinFunctionType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    functools.partial,
    attrgetter,
    itemgetter,
    np.ufunc,
    type,
)


class Callables(Kind):
    """Code that the configuration put where it is: functions, methods, partial applications.

    The fresh object must have the same at the same place. What it holds on to (the arguments of a
    partial application, the object of a method, the variables of a closure) is state.
    """

    tag = "callable"

    def holds(self, obj: Any, allow: tuple[str, ...]) -> bool:
        return isinstance(obj, _TYPES)

    def pack(self, obj: Any, path: str, packing: Packing) -> Node:
        held = [packing.link(value, f"{path} holding [{i}]") for i, value in enumerate(_held(obj))]
        return {"path": path, "name": _name(obj), "holds": held}

    def parts(self, node: Node, fresh: Any) -> Iterator[tuple[str, Any, Any]]:
        held = _held(fresh)
        for i, packed in enumerate(node["holds"]):
            yield HELD, packed, held[i] if i < len(held) else None

    def start(self, node: Node, at: Counterpart, restoring: Restoring) -> Any:
        if not isinstance(at.fresh, _TYPES) or _name(at.fresh) != node["name"]:
            raise CheckpointError(
                f"{node['path']} is {node['name']}, which a newly built object does not have there"
            )
        return at.fresh

    def finish(self, node: Node, at: Counterpart, obj: Any, restoring: Restoring) -> None:
        for packed, own in zip(node["holds"], _held(obj), strict=True):
            value = restoring.value(packed)
            if value is not own and not (type(value) is type(own) and value == own):
                raise CheckpointError(
                    f"{node['path']} is {node['name']}, which holds {own!r} in a newly built "
                    f"object where {value!r} was stored"
                )


def _held(code: Any) -> list[Any]:
    if isinstance(code, functools.partial):
        return [code.func, *code.args, *code.keywords.values()]
    if isinstance(code, FunctionType):
        return [cell.cell_contents for cell in code.__closure__ or ()]
    owner = getattr(code, "__self__", None)
    return [] if owner is None or isinstance(owner, (ModuleType, type)) else [owner]


def _name(code: Any) -> str:
    if isinstance(code, functools.partial):
        return f"partial of {_name(code.func)}({', '.join(['', *code.keywords])})"
    return f"{getattr(code, '__module__', None) or ''}.{getattr(code, '__qualname__', code)}"
