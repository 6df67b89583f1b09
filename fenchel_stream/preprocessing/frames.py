"""How the transformers read a frame of any library and replace its columns."""

from __future__ import annotations

from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import polars as pl
from numpy.typing import NDArray
from river.utils import dataframe


def as_frame(X: Any) -> Any:
    """Return a frame of polars as it is, and any other frame wrapped by narwhals.

    The two kinds share the methods that the transformers call. A polars frame, which the runner
    uses, is not wrapped: to wrap it takes longer than to transform it.
    """
    return X if isinstance(X, pl.DataFrame) else dataframe.into_frame(X)


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
        return pl.DataFrame(columns[:1]).hstack(columns[1:])
    whole = dataframe.into_frame(native)
    parts = [whole.select(rest)] if rest else []
    if names:
        new = dataframe.to_native_frame(values, columns=names, like=whole)
        parts.append(dataframe.into_frame(new))
    return nw.concat(parts, how="horizontal").to_native() if parts else whole.select().to_native()
