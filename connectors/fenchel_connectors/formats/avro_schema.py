"""What must be known of a schema of Avro before values are read with it.

A schema comes from a registry, where others write. Two things in it would let a value of a few
bytes stop the process: records nested so deeply that the stack overflows, and arrays of what takes
no bytes, whose length only their first bytes bound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any

Json = Any


def prepared(schema: Json, logical: Callable[[Mapping[str, Any]], str | None]) -> Json:
    """Return a schema with other names for its logical types, and without defaults.

    Defaults are for reading with another schema than the one that a value was written with.

    Parameters
    ----------
    schema
        As JSON.
    logical
        Returns the name to be used for the logical type of a schema, None for none.

    Examples
    --------
    >>> from fenchel_connectors.formats.avro_schema import prepared
    >>> prepared({"type": "int", "logicalType": "date"}, lambda schema: "day")
    {'type': 'int', 'logicalType': 'day'}
    """
    if isinstance(schema, list):
        return [prepared(one, logical) for one in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {key: value for key, value in schema.items() if key in _KEPT}
    for key in ("type", "items", "values"):
        if key in changed:
            changed[key] = prepared(changed[key], logical)
    if isinstance(changed.get("fields"), list):
        changed["fields"] = [prepared(one, logical) for one in changed["fields"]]
    if "logicalType" in schema and (name := logical(schema)) is not None:
        changed["logicalType"] = name
    return changed


_KEPT = {"type", "name", "namespace", "fields", "items", "values", "symbols", "size"}
_KEPT |= {"scale"}  # of a decimal


def depth(schema: Json, named: Mapping[str, Json]) -> float:
    """Return how deeply a value can be nested, infinity if the schema contains itself.

    Parameters
    ----------
    schema
        As fastavro has parsed it.
    named
        The schemas that it refers to by name.

    Examples
    --------
    >>> from fenchel_connectors.formats.avro_schema import depth
    >>> depth({"type": "array", "items": ["null", {"type": "map", "values": "int"}]}, {})
    3
    >>> node = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": "Node"}]}
    >>> depth(node, {"Node": node})
    inf
    """
    known: dict[str, float] = {}

    def of(one: Json) -> float:
        if isinstance(one, list):
            return max(map(of, one), default=0)
        if isinstance(one, dict):
            name = one.get("name")
            if name is None:
                return 1 + sum(map(of, _parts(one)))
            if name not in known:
                known[name] = inf  # unless it turns out to be none of its own parts
                known[name] = 1 + max(map(of, _parts(one)), default=0)
            return known[name]
        return of(named[one]) if one in named else 1

    return of(schema)


def has_endless_array(schema: Json, named: Mapping[str, Json]) -> bool:
    """Return whether a schema holds an array whose items may take no bytes.

    Parameters
    ----------
    schema, named
        As for `depth`.

    Examples
    --------
    >>> from fenchel_connectors.formats.avro_schema import has_endless_array
    >>> has_endless_array({"type": "array", "items": "null"}, {})
    True
    """
    met: set[str] = set()

    def holds(one: Json) -> bool:
        if isinstance(one, list):
            return any(map(holds, one))
        if not isinstance(one, dict):
            return one in named and holds(named[one])
        if one.get("name") in met:
            return False
        if "name" in one:
            met.add(one["name"])
        endless = one["type"] == "array" and _takes_nothing(one["items"], named)
        return endless or any(map(holds, _parts(one)))

    return holds(schema)


def _takes_nothing(
    schema: Json, named: Mapping[str, Json], inside: frozenset[str] = frozenset()
) -> bool:
    """Return whether the values of a schema take no bytes. One that is `inside` itself has none."""
    if isinstance(schema, str):
        return schema == "null" or (
            schema in named
            and schema not in inside
            and _takes_nothing(named[schema], named, inside | {schema})
        )
    if not isinstance(schema, dict):
        return False  # a union begins with the number of its branch
    if schema["type"] == "fixed":
        return bool(schema["size"] <= 0)
    if schema["type"] in {"record", "error"}:
        within = inside | {schema["name"]}
        return all(_takes_nothing(one["type"], named, within) for one in schema["fields"])
    return schema["type"] == "null" or (
        not isinstance(schema["type"], str) and _takes_nothing(schema["type"], named, inside)
    )


def _parts(schema: Mapping[str, Json]) -> list[Json]:
    """Return the schemas of what a value of `schema` holds."""
    kind = schema["type"]
    if kind in {"record", "error"}:
        return [one["type"] for one in schema["fields"]]
    if kind == "array":
        return [schema["items"]]
    if kind == "map":
        return [schema["values"]]
    return [] if isinstance(kind, str) else [kind]
