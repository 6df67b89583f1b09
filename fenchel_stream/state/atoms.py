"""Values that are what they say: numbers, text, times, classes. They have no identity to keep.

JSON scalars stand for themselves; anything else is ``{tag: value}``. A list never is an atom: it
is how the codec writes a reference.
"""

from __future__ import annotations

import datetime as dt
import functools
import struct
from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Callable
from enum import Enum
from math import isfinite
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import torch

from fenchel_stream.errors import CheckpointError
from fenchel_stream.state.classes import class_name, find_class

NOT_AN_ATOM = object()
"""What `pack_atom` returns for anything else."""

PLAIN_DTYPES = "biufcmM"
"""Kinds of NumPy values that are their bytes."""

_INT64 = 2**63


def pack_atom(value: Any, allow: tuple[str, ...]) -> Any:
    """Return `value` as JSON, or `NOT_AN_ATOM`."""
    cls: Any = type(value)
    if value is None or cls is bool:
        return value
    if pack := _PACK.get(cls):
        return pack(value)
    if isinstance(value, type):
        if issubclass(value, np.generic) and _is_numpys(value, value.__name__):
            return {"numpy type": value.__name__}
        name = class_name(value, allow)
        return {"class": name} if name else NOT_AN_ATOM
    if isinstance(value, np.generic) and value.dtype.kind in PLAIN_DTYPES:
        return {"numpy": [value.dtype.str, b64encode(value.tobytes()).decode()]}
    if isinstance(value, np.dtype) and value.kind in PLAIN_DTYPES:
        return {"numpy dtype": value.str}
    if isinstance(value, Enum) and (name := class_name(cls, allow)):
        return {"member": [name, value.name]}
    if cls is functools.partial and value.func is defaultdict and len(value.args) == 1:
        # The usual factory of tables of tables, a confusion matrix for one: as harmless as data.
        factory = None if value.keywords else pack_atom(value.args[0], allow)
        if isinstance(factory, dict) and factory.keys() <= {"class", "table of"}:
            return {"table of": factory}
    return NOT_AN_ATOM


def unpack_atom(packed: Any, allow: tuple[str, ...]) -> Any:
    """Return the value that `pack_atom` packed.

    Raises
    ------
    CheckpointError
        It is of an unknown kind, or names a class that is not to be had.
    """
    if not isinstance(packed, dict):
        return packed
    ((tag, value),) = packed.items()
    if tag not in _UNPACK:
        raise CheckpointError(f"a value of the unknown kind {tag!r}: a newer version wrote it")
    return _UNPACK[tag](value, allow)


def _is_numpys(value: type, name: str) -> bool:
    return getattr(np, name, None) is value


def _pack_float(value: float) -> Any:
    return value if isfinite(value) else {"float": struct.pack("<d", value).hex()}


def _pack_int(value: int) -> Any:
    return value if -_INT64 <= value < _INT64 else {"int": hex(value)}


def _pack_str(value: str) -> Any:
    try:
        value.encode()
    except UnicodeEncodeError:  # lone surrogates: JSON would join two of them into one character
        return {"str": value.encode("utf-32-le", "surrogatepass").hex()}
    return value


def _pack_datetime(value: dt.datetime) -> Any:
    zone = value.tzinfo
    packed: Any = None
    if type(zone) is dt.timezone:
        offset = value.replace(tzinfo=zone).utcoffset() or dt.timedelta()
        name = zone.tzname(None)
        packed = [
            _pack_timedelta(offset),
            None if name == dt.timezone(offset).tzname(None) else name,
        ]
    elif isinstance(zone, ZoneInfo) and zone.key:
        packed = zone.key
    elif zone is not None:
        return NOT_AN_ATOM
    return {"datetime": [value.replace(tzinfo=None, fold=0).isoformat(), value.fold, packed]}


def _pack_timedelta(value: dt.timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


_PACK: dict[type, Callable[[Any], Any]] = {
    float: _pack_float,
    int: _pack_int,
    str: _pack_str,
    bytes: lambda value: {"bytes": b64encode(value).decode()},
    # str() of it would strip zeros.
    np.str_: lambda value: {"numpy str": _pack_str(str.__str__(value))},
    dt.datetime: _pack_datetime,
    dt.date: lambda value: {"date": value.isoformat()},
    dt.timedelta: lambda value: {"timedelta": _pack_timedelta(value)},
    torch.device: lambda value: {"torch device": str(value)},
    torch.dtype: lambda value: {"torch dtype": str(value).removeprefix("torch.")},
}


def _unpack_datetime(packed: Any, allow: tuple[str, ...]) -> dt.datetime:
    naive, fold, zone = packed
    tzinfo: dt.tzinfo | None = None
    if isinstance(zone, str):
        tzinfo = ZoneInfo(zone)
    elif zone is not None:
        offset, name = dt.timedelta(*zone[0]), zone[1]
        tzinfo = dt.timezone(offset, name) if name else dt.timezone(offset)
    return dt.datetime.fromisoformat(naive).replace(fold=fold, tzinfo=tzinfo)


def _unpack_numpy(packed: Any, allow: tuple[str, ...]) -> Any:
    dtype = _checked(np.dtype(packed[0]), np.dtype(packed[0]).kind in PLAIN_DTYPES)
    return np.ndarray((), dtype, b64decode(packed[1]))[()]


def _unpack_numpy_type(packed: Any, allow: tuple[str, ...]) -> Any:
    found = getattr(np, packed, None)
    return _checked(found, isinstance(found, type) and issubclass(found, np.generic))


def _unpack_torch_dtype(packed: Any, allow: tuple[str, ...]) -> Any:
    found = getattr(torch, packed, None)
    return _checked(found, isinstance(found, torch.dtype))


def _unpack_member(packed: Any, allow: tuple[str, ...]) -> Any:
    cls = find_class(packed[0], allow)
    return _checked(cls, issubclass(cls, Enum)).__members__[packed[1]]


def _checked(found: Any, fits: bool) -> Any:
    if not fits:
        raise CheckpointError(f"{found!r} is not what a checkpoint may name")
    return found


_UNPACK: dict[str, Callable[[Any, tuple[str, ...]], Any]] = {
    "float": lambda packed, _: struct.unpack("<d", bytes.fromhex(packed))[0],
    "int": lambda packed, _: int(packed, 16),
    "str": lambda packed, _: bytes.fromhex(packed).decode("utf-32-le", "surrogatepass"),
    "bytes": lambda packed, _: b64decode(packed),
    "numpy str": lambda packed, allow: np.str_(unpack_atom(packed, allow)),
    "datetime": _unpack_datetime,
    "date": lambda packed, _: dt.date.fromisoformat(packed),
    "timedelta": lambda packed, _: dt.timedelta(*packed),
    "torch device": lambda packed, _: torch.device(packed),
    "torch dtype": _unpack_torch_dtype,
    "numpy": _unpack_numpy,
    "numpy type": _unpack_numpy_type,
    "numpy dtype": lambda packed, _: np.dtype(packed),
    "member": _unpack_member,
    "class": find_class,
    "table of": lambda packed, allow: functools.partial(defaultdict, unpack_atom(packed, allow)),
}
