"""The directive ``{configuration-tables}``: every key of a configuration, out of the code."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import Any

import msgspec
from docutils import nodes
from msgspec import inspect as types
from numpydoc.docscrape import NumpyDocString
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from fenchel_stream.runner.config import Config

WORDS = {
    types.BoolType: "true or false",
    types.StrType: "text",
    types.NoneType: "",
    types.AnyType: "any value",
}
"""What a reader of TOML calls a type."""


class ConfigurationTables(SphinxDirective):
    """A section for each table of the configuration, with its keys, types and defaults."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        text = "\n".join(lines())
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def lines() -> Iterator[str]:
    """Yield Markdown: a heading for each table, and a definition list of its keys."""
    meanings = described(Config)
    for field in struct(types.type_info(Config)).fields:
        table = table_of(field.type)
        yield f"## `[{field.name}]`\n"
        if table is None:  # whose keys are those of an estimator or of a client
            yield f"{meanings[field.name]}\n"
            continue
        yield f"{summary(table)}\n"
        if field.required:
            yield "This table is needed.\n"
        yield from keys(field.name, table)


def keys(prefix: str, table: type) -> Iterator[str]:
    """Yield the keys of a table."""
    meanings = described(table)
    for field in struct(types.type_info(table)).fields:
        yield f"`{prefix}.{field.name}` — {spelled(field.type)}; {default(field)}"
        yield f": {meanings[field.name]}\n"


def summary(table: type) -> str:
    """Return the first paragraph of a table's docstring, without the table's name."""
    first = " ".join(NumpyDocString(inspect.getdoc(table) or "")["Summary"])
    text = first.partition(": ")[2] or first
    return text[0].upper() + text[1:]


def described(table: type) -> dict[str, str]:
    """Return what the docstring of a table says of each attribute, as one line of Markdown."""
    found = {}
    for entry in NumpyDocString(inspect.getdoc(table) or "")["Attributes"]:
        # One without a type: numpydoc takes the names for it.
        for name in (entry.name or entry.type).split(", "):
            found[name] = " ".join(" ".join(entry.desc).split())
    return found


def table_of(kind: types.Type) -> type | None:
    """Return the class of a table, None if any keys may stand in it."""
    parts = kind.types if isinstance(kind, types.UnionType) else (kind,)
    return next((part.cls for part in parts if isinstance(part, types.StructType)), None)


def struct(kind: types.Type) -> types.StructType:
    """Return `kind`, which is the type of a table."""
    if not isinstance(kind, types.StructType):
        raise TypeError(f"{kind} is no table")
    return kind


def default(field: types.Field) -> str:
    """Return what holds where a key is not given."""
    if field.required:
        return "needed"
    value = field.default
    if value is msgspec.NODEFAULT:
        value = field.default_factory()
    if value is None or value in ([], {}):
        return "none by default"
    # JSON and TOML write booleans, numbers and texts alike.
    return f"default `{json.dumps(value)}`"


def spelled(kind: types.Type) -> str:
    """Return a type in words."""
    if isinstance(kind, types.UnionType):
        return " or ".join(filter(None, map(spelled, kind.types)))
    if isinstance(kind, types.LiteralType):
        return " or ".join(f"`{json.dumps(value)}`" for value in kind.values)
    if isinstance(kind, types.ListType):
        return f"list of {spelled(kind.item_type)}"
    if isinstance(kind, types.DictType):
        return "table"
    if isinstance(kind, (types.IntType, types.FloatType)):
        return number(kind)
    return WORDS[type(kind)]


def number(kind: Any) -> str:
    """Return the type of a number with its limits."""
    noun = "whole number" if isinstance(kind, types.IntType) else "number"
    limits = [
        f"{words} {value:g}"
        for words, value in (
            ("at least", kind.ge),
            ("above", kind.gt),
            ("at most", kind.le),
            ("below", kind.lt),
        )
        if value is not None
    ]
    return " ".join([noun, " and ".join(limits)]).strip()


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive."""
    app.add_directive("configuration-tables", ConfigurationTables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
