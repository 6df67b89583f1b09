"""Polars frames as plain values that a checkpoint can hold, and back.

An object that keeps frames is a `KeepsFrames`. No format of polars is used: its readers end the
process where bytes were changed on purpose.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import polars as pl

from fenchel_stream.errors import CheckpointError

ARRAYS = {pl.Boolean, pl.Float32, pl.Float64, pl.Int8, pl.Int16, pl.Int32, pl.Int64}
ARRAYS |= {pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64}
"""Types of columns that NumPy has too."""

Plain = dict[str, Any]


class KeepsFrames(ABC):
    """Base of objects that keep frames, and give them to `freeze_frame` in their `__getstate__`.

    A copy and a pickle then turn the plain values into frames as a restored checkpoint does.
    """

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.check_restored()

    @abstractmethod
    def check_restored(self) -> None:
        """Turn the plain values into frames, and make sure that they fit.

        Raises
        ------
        CheckpointError
            They do not.
        """


def freeze_frame(frame: pl.DataFrame) -> Plain:
    """Return a frame as arrays and text. Equal columns give equal bytes.

    Raises
    ------
    CheckpointError
        There is no way to store the type of a column.

    Examples
    --------
    >>> import polars as pl
    >>> from fenchel_stream.state.frames import freeze_frame, thaw_frame
    >>> frame = pl.DataFrame({"a": [1, None], "b": [["x"], []]})
    >>> thaw_frame(freeze_frame(frame)).equals(frame)
    True
    """
    columns = {column.name: _freeze(column) for column in frame.iter_columns()}
    return {"height": frame.height, "columns": columns}


def thaw_frame(plain: Plain) -> pl.DataFrame:
    """Return the frame that `freeze_frame` made plain.

    Raises
    ------
    CheckpointError
        The columns differ in length.
    """
    columns = [_thaw(parts).alias(name) for name, parts in plain["columns"].items()]
    if any(len(column) != plain["height"] for column in columns):
        raise CheckpointError("the columns of a frame differ in length")
    return pl.DataFrame(columns) if columns else pl.DataFrame(height=plain["height"])


def _freeze(column: pl.Series) -> Plain:
    dtype: Any = column.dtype
    if dtype == pl.String:
        return {"text": np.frombuffer(orjson.dumps(column.to_list()), np.uint8)}
    if isinstance(dtype, pl.BaseExtension):
        return _freeze(column.ext.storage())  # the values; the name of their type is lost
    if dtype in ARRAYS:
        values = column.fill_null(strategy="zero").to_numpy()
        return {"values": values, "null": column.is_null().to_numpy()}
    if dtype == pl.Object:
        return {"objects": column.to_list()}
    if dtype == pl.Null:
        return {"nulls": len(column)}
    if dtype in (pl.List, pl.Array):
        # The items of all rows, one after another, and how many are in each row.
        lists = column.cast(pl.List(dtype.inner))
        lengths, items = _freeze(lists.list.len()), _freeze(_items(lists))
        return {"lengths": lengths, "items": items, "width": getattr(dtype, "size", None)}
    if dtype == pl.Struct:
        fields = {field.name: _freeze(column.struct.field(field.name)) for field in dtype.fields}
        return {"fields": fields, "null": column.is_null().to_numpy()}
    for name, (describe, bare, _) in _BY_OTHERS.items():
        if dtype == getattr(pl, name):
            return {"type": name, "details": describe(dtype), "of": _freeze(bare(column))}
    raise CheckpointError(f"column {column.name!r} of type {dtype} cannot be stored")


def _thaw(parts: Plain) -> pl.Series:
    if "text" in parts:
        return pl.Series(orjson.loads(parts["text"].tobytes()), dtype=pl.String)
    if "objects" in parts:
        return pl.Series(parts["objects"], dtype=pl.Object)
    if "values" in parts:
        return _with_nulls(pl.Series(parts["values"]), parts["null"])
    if "nulls" in parts:
        return pl.Series([None], dtype=pl.Null).clear(parts["nulls"])
    if "lengths" in parts:
        return _lists(_thaw(parts["lengths"]), _thaw(parts["items"]), parts["width"])
    if "fields" in parts:
        fields = [_thaw(field).alias(name) for name, field in parts["fields"].items()]
        rows = pl.DataFrame(fields).to_struct() if fields else pl.Series([{}] * len(parts["null"]))
        return _with_nulls(rows, parts["null"])
    _, _, restore = _BY_OTHERS[parts["type"]]
    return restore(_thaw(parts["of"]), *parts["details"])


def _with_nulls(values: pl.Series, null: Any) -> pl.Series:
    if len(values) != len(null):
        raise CheckpointError("the values of a column and its nulls differ in length")
    if not null.any():
        return values
    return pl.select(pl.when(pl.Series(~null)).then(values)).to_series()


def _items(lists: pl.Series) -> pl.Series:
    """Return the items of all lists; a list that is null or empty has none."""
    full = lists.filter(lists.list.len().fill_null(0) > 0)
    return full.explode() if len(full) else pl.Series(dtype=lists.dtype.inner)  # type: ignore[attr-defined]


def _lists(lengths: pl.Series, items: pl.Series, width: int | None) -> pl.Series:
    ends = lengths.fill_null(0).cum_sum().to_list()
    if (ends[-1] if ends else 0) != len(items):
        raise CheckpointError("the lists of a column have other lengths than was written")
    lists = [
        None if length is None else items[end - length : end]
        for length, end in zip(lengths.to_list(), ends, strict=True)
    ]
    column = pl.Series(lists, dtype=pl.List(items.dtype))
    return column if width is None else column.cast(pl.Array(items.dtype, width))


_Details = Callable[[Any], list[Any]]
_Bare = Callable[[pl.Series], pl.Series]
_Restore = Callable[..., pl.Series]


def _none(_: Any) -> list[Any]:
    return []


_BY_OTHERS: dict[str, tuple[_Details, _Bare, _Restore]] = {
    "Date": (_none, lambda c: c.to_physical(), lambda c: c.cast(pl.Date)),
    "Time": (_none, lambda c: c.to_physical(), lambda c: c.cast(pl.Time)),
    "Datetime": (
        lambda dtype: [dtype.time_unit, dtype.time_zone],
        lambda c: c.to_physical(),
        lambda c, unit, zone: c.cast(pl.Datetime(unit, zone)),
    ),
    "Duration": (
        lambda dtype: [dtype.time_unit],
        lambda c: c.to_physical(),
        lambda c, unit: c.cast(pl.Duration(unit)),
    ),
    "Categorical": (
        _none,
        lambda c: c.cast(pl.String),
        lambda c: c.cast(pl.Categorical),
    ),
    "Enum": (
        lambda dtype: [dtype.categories.to_list()],
        lambda c: c.cast(pl.String),
        lambda c, categories: c.cast(pl.Enum(categories)),
    ),
    "Decimal": (
        lambda dtype: [dtype.precision, dtype.scale],
        lambda c: c.cast(pl.String),
        lambda c, precision, scale: c.cast(pl.Decimal(precision, scale)),
    ),
    "Binary": (
        _none,
        lambda c: c.bin.encode("hex"),
        lambda c: c.str.decode("hex"),
    ),
    "Float16": (_none, lambda c: c.cast(pl.Float32), lambda c: c.cast(pl.Float16)),
    "Int128": (_none, lambda c: c.cast(pl.String), lambda c: c.cast(pl.Int128)),
    "UInt128": (_none, lambda c: c.cast(pl.String), lambda c: c.cast(pl.UInt128)),
}
"""Types that are stored as another type: their details, the way there, and the way back."""
