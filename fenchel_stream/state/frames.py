"""Polars frames as plain values that a checkpoint can hold, and back.

An object that keeps frames uses these functions in its `__getstate__`.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import orjson
import polars as pl

ARRAYS = {pl.Boolean, pl.Float32, pl.Float64, pl.Int8, pl.Int16, pl.Int32, pl.Int64}
ARRAYS |= {pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64}
"""Types of columns that NumPy has too."""


def freeze_frame(frame: pl.DataFrame) -> dict[str, Any]:
    """Return a frame as arrays, text and bytes. Equal columns of numbers or text give equal bytes.

    Examples
    --------
    >>> import polars as pl
    >>> from fenchel_stream.state.frames import freeze_frame, thaw_frame
    >>> frame = pl.DataFrame({"a": [1, None], "b": ["x", "y"]})
    >>> thaw_frame(freeze_frame(frame)).equals(frame)
    True
    """
    columns = {column.name: _freeze(column) for column in frame.iter_columns()}
    return {"height": frame.height, "columns": columns}


def thaw_frame(plain: dict[str, Any]) -> pl.DataFrame:
    """Return the frame that `freeze_frame` made plain."""
    columns = [_thaw(name, parts) for name, parts in plain["columns"].items()]
    return pl.DataFrame(columns) if columns else pl.DataFrame(height=plain["height"])


def _freeze(column: pl.Series) -> dict[str, Any]:
    # Arrow's bytes would differ between equal columns: under nulls, and in the padding.
    if column.dtype == pl.String:
        return {"text": np.frombuffer(orjson.dumps(column.to_list()), np.uint8)}
    if column.dtype in ARRAYS:
        values = column.fill_null(strategy="zero").to_numpy()
        return {"values": values, "null": column.is_null().to_numpy()}
    if column.dtype == pl.Object:
        return {"objects": column.to_list()}
    buffer = io.BytesIO()
    column.to_frame().write_ipc(buffer)
    return {"arrow": buffer.getvalue()}


def _thaw(name: str, parts: dict[str, Any]) -> pl.Series:
    if "text" in parts:
        return pl.Series(name, orjson.loads(parts["text"].tobytes()), pl.String)
    if "objects" in parts:
        return pl.Series(name, parts["objects"], pl.Object)
    if "arrow" in parts:
        return pl.read_ipc(parts["arrow"]).to_series()
    values = pl.Series(name, parts["values"])
    if not parts["null"].any():
        return values
    present = pl.Series(~parts["null"])
    return pl.select(pl.when(present).then(values)).to_series().alias(name)
