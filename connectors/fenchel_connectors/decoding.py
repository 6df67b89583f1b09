"""From the bytes of a JSON object to a dict, or to the reason why there is none."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from itertools import repeat
from typing import Any

import orjson

from fenchel_connectors.lines import LINE_LIMIT

Decoded = tuple[dict[str, Any], str, str]
"""A record, and where there is none, the reason in a word and in detail."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def decode_all(raw: Sequence[bytes]) -> list[dict[str, Any]]:
    """Return the objects if all records are good ones, and an empty list otherwise.

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
    if set(map(type, rows)) != {dict} or max(map(len, raw)) >= LINE_LIMIT:
        return []
    # Most records have one colon for each key: then no key can stand there twice.
    colons = list(map(bytes.count, raw, repeat(b":")))
    if colons != list(map(len, rows)) and any(map(_repeats, raw, rows)):
        return []
    return rows


def decode(raw: bytes) -> Decoded:
    """Return the object that `raw` holds, or why there is none.

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
        row = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return {}, _fault(raw, error), str(error)
    if not isinstance(row, dict):
        return {}, "non_object", f"{type(row).__name__} where an object belongs"
    if _repeats(raw, row):
        return {}, "duplicate_keys", "an object has a key twice"
    return row, "", ""


def _repeats(raw: bytes, row: dict[str, Any]) -> bool:
    """Return whether any object in `raw` has a key twice, of which `row` shows only the last."""
    if raw.count(b":") == len(row):
        return False
    # Outside of strings there is one colon for each key.
    return _STRING.sub(b"", raw).count(b":") != _keys(row)


def _keys(value: Any) -> int:
    """Return how many keys the objects in `value` have; it is at most a thousand deep."""
    todo, found = [value], 0
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            found += len(one)
            todo += one.values()
        elif isinstance(one, list):
            todo += one
    return found


def _fault(raw: bytes, error: orjson.JSONDecodeError) -> str:
    """Name what keeps a record from being read: Python's slower parser can tell more."""
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
