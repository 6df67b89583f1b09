"""How the transformers read a frame of any library and replace its columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import polars as pl
from numpy.typing import NDArray
from river.utils import dataframe

from fenchel_stream.errors import DataError

PLAIN = {pl.Float32, pl.Float64, pl.Int8, pl.Int16, pl.Int32, pl.Int64}
PLAIN |= {pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64}
"""Types of polars columns that NumPy has too."""

_PLAIN = {nw.Boolean, *(getattr(nw, kind.__name__) for kind in PLAIN)}
"""Types of narwhals columns that NumPy has too."""


def into_frame(X: Any) -> nw.DataFrame[Any]:
    """Return an eager frame of any library, wrapped by narwhals.

    Raises
    ------
    DataError
        Two of its columns have one name.
    """
    try:
        return dataframe.into_frame(X)
    except nw.exceptions.DuplicateError as error:
        reason = " ".join(str(error).split())
        raise DataError(f"two columns of a frame have one name: {reason}") from None


def as_frame(X: Any) -> Any:
    """Return a frame of polars as it is, and any other frame wrapped by narwhals.

    The two kinds share the methods that the transformers call. A polars frame, which the runner
    uses, is not wrapped: to wrap it takes longer than to transform it.
    """
    return X if isinstance(X, pl.DataFrame) else into_frame(X)


def column_of(frame: nw.DataFrame[Any], name: Any) -> nw.Series[Any]:
    """Return a column by its name, which need not be text in a frame of pandas."""
    if isinstance(name, str):
        return frame.get_column(name)
    return frame[:, frame.columns.index(name)]


def replace_columns(
    frame: pl.DataFrame | nw.DataFrame[Any],
    old: list[Any],
    names: list[Any],
    values: NDArray[np.float64],
) -> Any:
    """Return a native frame of the same library with other columns.

    Parameters
    ----------
    frame
        The frame (m rows), as `as_frame` returns it.
    old
        Names of the columns to leave out.
    names
        Names of the columns to append after the rest.
    values
        Their values (m x names).

    Examples
    --------
    >>> import numpy as np
    >>> import polars as pl
    >>> from fenchel_stream.preprocessing.frames import replace_columns
    >>> frame = pl.DataFrame({"a": [1], "b": [2]})
    >>> replace_columns(frame, ["a"], ["c"], np.array([[3.0]])).to_dicts()
    [{'b': 2, 'c': 3.0}]
    """
    rest = [name for name in frame.columns if name not in old]
    native: Any = frame if isinstance(frame, pl.DataFrame) else frame.to_native()
    if isinstance(native, pl.DataFrame):
        # Slices of one buffer are several times faster than columns built one by one.
        rows = len(values)
        buffer = pl.Series(values=values.ravel(order="F"))
        columns = [native.get_column(name) for name in rest]
        columns += [buffer.slice(i * rows, rows).alias(name) for i, name in enumerate(names)]
        if not columns:
            return pl.DataFrame(height=rows)
        return pl.DataFrame(columns[:1]).hstack(columns[1:])
    whole = dataframe.into_frame(native)
    if not names:
        return _columns(whole, rest)
    parts = [dataframe.into_frame(_columns(whole, rest))] if rest else []
    # Names that are not text are only taken from a dict.
    texts = all(isinstance(name, str) for name in names)
    new: Any = (
        dataframe.to_native_frame(values, columns=names, like=whole)
        if texts
        else dataframe.to_native_frame(dict(zip(names, values.T, strict=True)), like=whole)
    )
    parts.append(dataframe.into_frame(new))
    return nw.concat(parts, how="horizontal").to_native()


def numbers_of(
    frame: nw.DataFrame[Any], number: Callable[[Any, Any], float]
) -> NDArray[np.float64]:
    """Return the columns of a frame as a matrix (rows x columns), NaN where a value is missing.

    Parameters
    ----------
    frame
        The frame.
    number
        Converts a value that is in no column of numbers; its arguments are the name of the column
        and the value.

    Examples
    --------
    >>> import narwhals.stable.v2 as nw
    >>> import polars as pl
    >>> from fenchel_stream.preprocessing.frames import numbers_of
    >>> frame = nw.from_native(pl.DataFrame({"a": [1, None], "b": [True, False]}))
    >>> numbers_of(frame, lambda name, value: float(value)).tolist()
    [[1.0, 1.0], [nan, 0.0]]
    """
    if not frame.columns:
        return np.empty((len(frame), 0))
    if all(dtype in _PLAIN for dtype in frame.schema.values()):
        return np.asarray(dataframe.to_numpy(frame), np.float64)
    matrix = np.empty((len(frame), len(frame.columns)), order="F")
    series: Any
    for place, series in enumerate(frame.iter_columns()):
        if series.dtype.is_numeric() or series.dtype == nw.Boolean:
            column = dataframe.to_numpy(series.alias("x").cast(nw.Float64).to_frame())[:, 0]
        else:
            column = np.array([number(series.name, value) for value in series.to_list()], float)
        matrix[:, place] = column
    return matrix


def _columns(frame: nw.DataFrame[Any], names: list[Any]) -> Any:
    """Return some columns of a frame, which keeps its rows if there are no columns."""
    native = frame.to_native()
    if frame.implementation.is_pandas_like():  # its names need not be text
        return native[names]
    return native.select(names)
