"""Turns records (dicts) into a frame that keeps every value as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any
from uuid import UUID

import numpy as np
import polars as pl

from fenchel_stream.values import to_text

EXACT = 2**53  # above it, a float64 does not hold every integer


def to_frame(records: Sequence[Mapping[Any, Any]]) -> pl.DataFrame:
    """Return one row per record and one column per key, null where a record lacks the key.

    Columns stand in the order in which their keys appear. A column whose values have one type has
    that type. Integers beside floats become floats if a float holds each of them exactly. Any other
    column, such as one of mixed types or of nested dicts, holds the Python objects themselves
    (polars' Object): 1.5 beside "abc" stays 1.5. A UUID becomes its text.

    Examples
    --------
    >>> from fenchel_connectors.records import to_frame
    >>> to_frame([{"a": 1, "b": 1.5}, {"b": "abc", "c": True}]).rows()
    [(1, 1.5, None), (None, 'abc', True)]
    """
    orders = set(map(tuple, records))
    keys = list(dict.fromkeys(chain.from_iterable(orders if len(orders) < 2 else records)))
    # Most keys are ASCII, which is the quickest question.
    if not all(type(key) is str and (key.isascii() or to_text(key) == key) for key in keys):
        return to_frame([{to_text(str(key)): row[key] for key in row} for row in records])
    if not keys:
        return pl.DataFrame(height=len(records))
    if len(orders) == 1:  # the common case, in which one transposition is faster
        columns = list(map(list, zip(*[row.values() for row in records], strict=True)))
    else:
        columns = [[row.get(key) for row in records] for key in keys]
    # A dict, because polars renames a series with an empty name if it gets a list.
    return pl.DataFrame(
        {key: _column(key, values) for key, values in zip(keys, columns, strict=True)}
    )


def _column(name: str, values: list[Any]) -> pl.Series:
    kinds = set(map(type, values))
    if any(issubclass(kind, np.generic) for kind in kinds):
        return _column(name, [v.item() if isinstance(v, np.generic) else v for v in values])
    if UUID in kinds:  # polars has no such type, and its text is the same id
        return _column(name, [str(v) if isinstance(v, UUID) else v for v in values])
    kinds.discard(type(None))
    if kinds <= {float}:
        return pl.Series(name, values, pl.Float64 if kinds else pl.Null)
    if kinds == {int, float} and all(abs(value) <= EXACT for value in values if type(value) is int):
        return pl.Series(name, values, pl.Float64, strict=False)
    if len(kinds) == 1 and not kinds & {dict, list, tuple}:
        try:
            return pl.Series(name, values)
        except (Exception, pl.exceptions.PanicException):  # noqa: BLE001
            # Polars has no such type: an integer beyond 128 bits, a NaN of decimals.
            return pl.Series(name, values, pl.Object)
    return pl.Series(name, values, pl.Object)
