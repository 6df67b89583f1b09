"""How an output becomes JSON, in files and in topics."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import orjson

OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


def encode(record: Mapping[str, Any]) -> bytes:
    """Return a record as JSON in one line, without a line end.

    NaN and infinities become null. Keys that are not text become text, True as ``"true"``. What
    JSON does not know becomes text.

    Examples
    --------
    >>> from fenchel_connectors.encoding import encode
    >>> encode({"prediction": 2**70, "probabilities": {True: 0.25, False: float("nan")}})
    b'{"prediction":1180591620717411303424,"probabilities":{"true":0.25,"false":null}}'
    """
    try:
        return orjson.dumps(record, str, OPTIONS)
    except TypeError:  # an integer beyond 64 bits, or a class that orjson does not take as a key
        return json.dumps(_plain(record), default=str, separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    """Return a value with keys that are text, and null for numbers that JSON cannot hold."""
    if isinstance(value, Mapping):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _key(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)
