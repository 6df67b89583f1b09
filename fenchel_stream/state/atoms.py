"""Values that are what they say: numbers, text, times, classes. They have no identity to keep.

JSON scalars stand for themselves; anything else is ``{tag: value}``. A list never is an atom: it
is how the codec writes a reference.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
import struct
from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np

from fenchel_stream.errors import CheckpointError
from fenchel_stream.state.arrays import is_plain, loaded_torch, torch_dtype, torch_name
from fenchel_stream.state.classes import class_name

NOT_AN_ATOM = object()
"""What `pack_atom` returns for anything else."""

_INT64 = 2**63
_SURROGATE = re.compile("[\ud800-\udfff]")


def pack_atom(value: Any, allow: tuple[str, ...]) -> Any:
    """Return `value` as JSON, or `NOT_AN_ATOM`."""
    cls: Any = type(value)
    if _is_json(value, cls):
        return value
    if codec := _CODECS.get(cls):
        tag, pack, _ = codec
        packed = pack(value)
        return NOT_AN_ATOM if packed is NOT_AN_ATOM else {tag: packed}
    if isinstance(value, type):
        name = class_name(value, allow)
        return {"class": name} if name else NOT_AN_ATOM
    if isinstance(value, np.generic) and is_plain(value.dtype):
        return {"numpy": [value.dtype.str, b64encode(value.tobytes()).decode()]}
    if isinstance(value, np.dtype) and is_plain(value):
        return {"numpy dtype": value.str}
    if cls is functools.partial and value.func is defaultdict and len(value.args) == 1:
        # The usual factory of tables of tables, a confusion matrix for one: as harmless as data.
        factory = None if value.keywords else pack_atom(value.args[0], allow)
        if isinstance(factory, dict) and factory.keys() <= {"class", "table of"}:
            return {"table of": factory}
    if cls.__module__ == "torch" and cls.__name__ in {"device", "dtype"}:
        return {f"torch {cls.__name__}": torch_name(value)}
    return NOT_AN_ATOM


def unpack_atom(packed: Any, find_class: Callable[[str], type]) -> Any:
    """Return the value that `pack_atom` packed; `find_class` returns the classes that it names.

    Raises
    ------
    CheckpointError
        It is of an unknown kind, or names a class that is not to be had.
    """
    if not isinstance(packed, dict):
        return packed
    ((tag, value),) = packed.items()
    if tag == "class":
        return find_class(value)
    if tag == "table of":
        return functools.partial(defaultdict, unpack_atom(value, find_class))
    if tag not in _UNPACK:
        raise CheckpointError(f"a value of the unknown kind {tag!r}: a newer version wrote it")
    return _UNPACK[tag](value)


def class_of_atom(packed: Any) -> str | None:
    """Return the name of the class that a packed atom holds, None if it is mere data.

    Examples
    --------
    >>> class_of_atom({"table of": {"class": "int"}}), class_of_atom({"float": "00"})
    ('int', None)
    """
    while isinstance(packed, dict) and "table of" in packed:
        packed = packed["table of"]
    return packed.get("class") if isinstance(packed, dict) else None


def _is_json(value: Any, cls: type) -> bool:
    if cls is float:
        return isfinite(value)
    if cls is int:
        return bool(-_INT64 <= value < _INT64)
    if cls is str:  # JSON would join two lone surrogates into one character
        return not _SURROGATE.search(value)
    return value is None or cls is bool


def _text(value: str) -> str:
    return str.encode(value, "utf-32-le", "surrogatepass").hex()


def _from_text(packed: str) -> str:
    return bytes.fromhex(packed).decode("utf-32-le", "surrogatepass")


def _datetime(value: dt.datetime) -> Any:
    zone: Any = value.tzinfo
    if type(zone) is dt.timezone:
        offset, *name = zone.__getinitargs__()  # type: ignore[attr-defined]
        zone = [_timedelta(offset), *name]
    elif isinstance(zone, ZoneInfo) and zone.key:
        zone = zone.key
    elif zone is not None:
        return NOT_AN_ATOM
    return [value.replace(tzinfo=None, fold=0).isoformat(), value.fold, zone]


def _from_datetime(packed: Any) -> dt.datetime:
    naive, fold, zone = packed
    if isinstance(zone, str):
        zone = ZoneInfo(zone)
    elif zone is not None:
        zone = dt.timezone(dt.timedelta(*zone[0]), *zone[1:])
    return dt.datetime.fromisoformat(naive).replace(fold=fold, tzinfo=zone)


def _time(value: dt.time) -> Any:
    return _datetime(dt.datetime.combine(dt.date.min, value))


def _timedelta(value: dt.timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _from_numpy(packed: Any) -> Any:
    return np.ndarray((), _from_numpy_dtype(packed[0]), b64decode(packed[1]))[()]


def _from_numpy_dtype(packed: str) -> np.dtype[Any]:
    dtype = np.dtype(packed)
    if not is_plain(dtype):
        raise CheckpointError(f"{packed!r} is not what a checkpoint may name")
    return dtype


_CODECS: dict[type, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = {
    float: (
        "float",
        lambda value: struct.pack("<d", value).hex(),
        lambda packed: struct.unpack("<d", bytes.fromhex(packed))[0],
    ),
    int: ("int", hex, lambda packed: int(packed, 16)),
    str: ("str", _text, _from_text),
    np.str_: ("numpy str", _text, lambda packed: np.str_(_from_text(packed))),
    bytes: ("bytes", lambda value: b64encode(value).decode(), b64decode),
    dt.datetime: ("datetime", _datetime, _from_datetime),
    dt.date: ("date", dt.date.isoformat, dt.date.fromisoformat),
    dt.time: ("time", _time, lambda packed: _from_datetime(packed).timetz()),
    Decimal: ("decimal", str, Decimal),
    UUID: ("uuid", str, UUID),
    dt.timedelta: ("timedelta", _timedelta, lambda packed: dt.timedelta(*packed)),
}
"""By the type of a value: its tag, how to pack it, and how to unpack it."""

_UNPACK: dict[str, Callable[[Any], Any]] = {
    **{tag: unpack for tag, _, unpack in _CODECS.values()},
    "numpy": _from_numpy,
    "numpy dtype": _from_numpy_dtype,
    "torch device": lambda packed: loaded_torch().device(packed),
    "torch dtype": torch_dtype,
}
