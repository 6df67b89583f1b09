"""Decodes the bytes of a JSON object to a dict, or says why they are not a JSON object."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import repeat
from typing import Any

import orjson

from fenchel_connectors.lines import LINE_LIMIT

Decoded = tuple[dict[str, Any], str, str]
"""A record, or an empty dict with the reason in one word and in detail."""

_KINDS = {
    list: "an array",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}

_LONG_INTEGER = re.compile(rb"-[0-9]{19}|[0-9]{20}")
"""What orjson might read as a float: it holds integers from -2^63 to 2^64 - 1."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def decode_all(raw: Sequence[bytes]) -> list[dict[str, Any]]:
    """Return the objects if all records are good, and an empty list otherwise.

    Examples
    --------
    >>> from fenchel_connectors.decoding import decode_all
    >>> decode_all([b'{"a": 1}', b'{"a": 2}']), decode_all([b'{"a": 1}', b"[2]"])
    ([{'a': 1}, {'a': 2}], [])
    """
    try:
        rows = list(map(orjson.loads, raw))
    except orjson.JSONDecodeError:
        return []
    if _LONG_INTEGER.search(b"\n".join(raw)):
        rows = list(map(_loads, raw))
    if set(map(type, rows)) != {dict} or max(map(len, raw)) >= LINE_LIMIT:
        return []
    # If a record has as many colons as keys, no key occurs twice. Most records pass this test.
    colons = list(map(bytes.count, raw, repeat(b":")))
    if colons != list(map(len, rows)) and any(map(_repeats, raw, rows)):
        return []
    return rows


def decode(raw: bytes) -> Decoded:
    """Return the object that `raw` holds, or why it holds none.

    The reasons: ``malformed``, ``invalid_utf8``, ``too_deep``, ``non_finite`` (NaN, Infinity, or a
    number too large for a float), ``non_object``, ``duplicate_keys`` and ``oversized``.

    Examples
    --------
    >>> from fenchel_connectors.decoding import decode
    >>> decode(b'{"a": 1}')
    ({'a': 1}, '', '')
    >>> decode(b'{"a": 1, "a": 2}')
    ({}, 'duplicate_keys', 'an object has a key twice')
    """
    if len(raw) >= LINE_LIMIT:
        return {}, "oversized", f"longer than {LINE_LIMIT} bytes"
    try:
        row = _loads(raw)
    except orjson.JSONDecodeError as error:
        return {}, _fault(raw, error), str(error)
    if not isinstance(row, dict):
        return {}, "non_object", f"{_KINDS[type(row)]} where an object belongs"
    if _repeats(raw, row):
        return {}, "duplicate_keys", "an object has a key twice"
    return row, "", ""


def _loads(raw: bytes) -> Any:
    """Return the value of a JSON text; integers beyond 64 bits stay what they are.

    Raises
    ------
    orjson.JSONDecodeError
        It is not JSON.
    """
    value = orjson.loads(raw)
    # orjson makes a float of such an integer, which joins distinct ids.
    if _LONG_INTEGER.search(raw):
        with suppress(RecursionError):  # Python nests less deeply than orjson
            return json.loads(raw, parse_int=_integer)
    return value


def _integer(text: str) -> int | float:
    # Python refuses to read much longer integers, and no identifier is that long.
    return int(text) if len(text) <= 1000 else float(text)


def _repeats(raw: bytes, row: dict[str, Any]) -> bool:
    """Return whether an object in `raw` has a key twice; `row` has only the last of the two."""
    if raw.count(b":") == len(row):
        return False
    # Outside of strings each key has one colon.
    return _STRING.sub(b"", raw).count(b":") != _keys(row)


def _keys(value: Any) -> int:
    """Return the number of keys of all objects in `value`."""
    nested, count = [value], 0
    while nested:
        item = nested.pop()
        if isinstance(item, dict):
            count += len(item)
            nested += item.values()
        elif isinstance(item, list):
            nested += item
    return count


def _fault(raw: bytes, error: orjson.JSONDecodeError) -> str:
    """Return the reason in one word. Python's parser is slower than orjson, but says more."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return "invalid_utf8"
    if "depth" in str(error) or "ecursion" in str(error):
        return "too_deep"
    try:
        json.loads(text, parse_constant=_finite, parse_float=_finite, parse_int=_finite)
    except _NonFiniteError:
        return "non_finite"
    except RecursionError:
        return "too_deep"
    except ValueError:
        pass
    return "malformed"


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _NonFiniteError
    return number


class _NonFiniteError(Exception):
    """A number that JSON or a float cannot hold."""
