"""Avro in the wire format of schema registries, by fastavro.

A reader needs this module to know what the values of Avro become in a row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from io import BytesIO
from typing import Any
from uuid import UUID

from fastavro import _read_py, parse_schema, schemaless_reader
from fastavro.read import LOGICAL_READERS

from fenchel_connectors.formats.avro_schema import depth, has_endless_array, prepared
from fenchel_connectors.formats.decimals import decimal_number
from fenchel_connectors.formats.registered import RegisteredFormat
from fenchel_connectors.formats.registry import Schema
from fenchel_connectors.formats.schemas import Parser, UnusableSchemaError

OURS = "fenchel-"
"""Begins the names under which fastavro knows our readers of logical types. Its own readers stay
what they are, for others in the process."""

DEEPEST = 500
"""Levels that fastavro's compiled reader may descend into. Some thousands overflow the stack of a
thread, which ends the process; its reader in Python raises RecursionError instead."""


class AvroFormat(RegisteredFormat):
    """Records of Avro as the rows that JSON would have given.

    A decimal is a number: an integer where its scale is 0, else a float. Dates, times and
    timestamps are text of ISO 8601 (``2024-01-31``, ``08:05:00``, ``2024-01-31T08:05:00Z``; parts
    finer than microseconds are cut off), a uuid is text, an enum the text of its symbol. Bytes and
    values of a fixed size stay bytes, which are neither number nor class. Records, arrays and maps
    in a record are nested objects and lists.
    """

    kind = "AVRO"
    decoder = "avro"

    def parser(self, schema: Schema) -> Parser:
        named: dict[str, Any] = {}
        try:
            for text in schema.references.values():
                parse_schema(prepared(json.loads(text), _our_name), named)
            # As a field of a record, a union finds the names of the referenced schemas too.
            value = {"name": "value", "type": prepared(json.loads(schema.text), _our_name)}
            message = {"type": "record", "name": "fenchel_message", "fields": [value]}
            parsed = parse_schema(message, named)
            levels, endless = depth(parsed, named), has_endless_array(parsed, named)
        except Exception as error:
            words = f"{type(error).__name__}: {error}"
            raise UnusableSchemaError(f"is no schema of Avro ({words})") from error
        if endless:
            raise UnusableSchemaError("has an array of items that take no bytes")
        read = schemaless_reader if levels <= DEEPEST else _read_py.schemaless_reader

        def parse(body: bytes) -> Any:
            stream = BytesIO(body)
            try:
                row: Any = read(stream, parsed, None)
            except EOFError:
                raise ValueError(f"its {len(body)} bytes are too few") from None
            if rest := len(body) - stream.tell():
                raise ValueError(f"{rest} bytes are left over")
            return row["value"]

        return parse


def _our_name(schema: Mapping[str, Any]) -> str | None:
    """Return the name of our reader of a logical type, None for a type that means nothing here."""
    logical = schema["logicalType"]
    scale = schema.get("scale", 0)
    if logical == "decimal" and not (type(scale) is int and scale >= 0):
        return None  # as the specification has it: an invalid logical type is none
    ours = f"{OURS}{logical}"
    return ours if f"{schema['type']}-{ours}" in LOGICAL_READERS else None


def _decimal(digits: bytes, schema: Mapping[str, Any], *_: object) -> int | float:
    return decimal_number(digits, schema.get("scale", 0))


def _date(data: int, *_: object) -> str:
    return date.fromordinal(_DAY_0 + data).isoformat()


def _time(count: int, unit: timedelta) -> str:
    since = count * unit
    if not timedelta(0) <= since < timedelta(days=1):
        raise ValueError(f"{since} is no time of a day")
    return (_MOMENT_0 + since).time().isoformat()


def _moment(count: int, unit: timedelta) -> str:
    return (_MOMENT_0 + count * unit).isoformat()


_DAY_0 = date(1970, 1, 1).toordinal()
_MOMENT_0 = datetime(1970, 1, 1)  # noqa: DTZ001 - also for times that do not say where
_MILLI, _MICRO = timedelta(milliseconds=1), timedelta(microseconds=1)

_READERS: dict[str, Callable[..., Any]] = {
    "bytes-decimal": _decimal,
    "fixed-decimal": _decimal,
    "int-date": _date,
    "int-time-millis": lambda count, *_: _time(count, _MILLI),
    "long-time-micros": lambda count, *_: _time(count, _MICRO),
    "long-timestamp-millis": lambda count, *_: _moment(count, _MILLI) + "Z",
    "long-timestamp-micros": lambda count, *_: _moment(count, _MICRO) + "Z",
    "long-timestamp-nanos": lambda count, *_: _moment(count // 1000, _MICRO) + "Z",
    "long-local-timestamp-millis": lambda count, *_: _moment(count, _MILLI),
    "long-local-timestamp-micros": lambda count, *_: _moment(count, _MICRO),
    "long-local-timestamp-nanos": lambda count, *_: _moment(count // 1000, _MICRO),
    "fixed-uuid": lambda data, *_: str(UUID(bytes=data)),
}

for _name, _reader in _READERS.items():
    LOGICAL_READERS[_name.replace("-", f"-{OURS}", 1)] = _reader
