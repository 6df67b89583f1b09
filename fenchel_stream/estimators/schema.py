"""The names of features with their columns, and the values of a row or frame as a matrix.

Read this module to learn which features and values the estimators take. A name keeps its column for
ever. The new names of one row or frame are appended in sorted order, so that columns do not depend
on the order in which a row lists its features. Names that were not learnt yet are left out. A
feature that a row does not list is 0, as in River's linear models; one that it lists as None or NaN
is missing.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from math import fsum, isfinite, isinf, isnan
from typing import Any

import numpy as np
import polars as pl

from fenchel_stream.errors import DataError
from fenchel_stream.network.arrays import LARGEST, Array
from fenchel_stream.network.form import require
from fenchel_stream.preprocessing.frames import PLAIN, into_frame, numbers_of
from fenchel_stream.values import to_number


class Schema:
    """The names of the features, and the column of each.

    Attributes
    ----------
    columns
        The column of each name.
    names, places, order
        The names of the last learnt row, their columns, and the permutation that sorts these
        columns; None if the row lacks a feature. Most rows list the same names, so that `columns`
        is not searched for them.

    Examples
    --------
    >>> from fenchel_stream.estimators.schema import Schema
    >>> schema = Schema()
    >>> schema.extend(("b", "a"))
    ['a', 'b']
    >>> schema.place(("b", "new"), [3.0, 9.0]).tolist()
    [[0.0, 3.0]]
    """

    def __init__(self) -> None:
        self.columns: dict[Hashable, int] = {}
        self.names: tuple[Hashable, ...] = ()
        self.places: list[int] = []
        self.order: Array | None = None

    def check_restored(self) -> None:
        """Make sure that the columns are 0, 1, 2, ..., in a state that a checkpoint brought."""
        columns = self.columns
        require(list(columns.values()) == list(range(len(columns))), "schema.columns")
        places = [columns.get(name) for name in self.names]
        require(self.places == places and None not in places, "schema.places")
        if self.order is not None:
            require(np.array_equal(self.order, np.argsort(self.places)), "schema.order")
            require(self.order.dtype.kind == "i", "schema.order")

    def extend(self, names: tuple[Hashable, ...]) -> list[Hashable]:
        """Give a column to each of `names` that has none, and return those names."""
        if names == self.names:
            return []
        new = sorted((name for name in names if name not in self.columns), key=_sort_key)
        for name in new:
            self.columns[name] = len(self.columns)
        self.names = names
        self.places = [self.columns[name] for name in names]
        self.order = np.argsort(self.places) if len(names) == len(self.columns) else None
        return new

    def place(self, names: tuple[Hashable, ...], values: Any) -> Array:
        """Return `values` in the order of the columns, as a matrix (rows x features).

        Parameters
        ----------
        names
            Names of the values.
        values
            One row of numbers, or a matrix (rows x names).
        """
        if self.order is not None and names == self.names:
            x = np.asarray(values, np.float64)[..., self.order]
            return x if x.ndim == 2 else x[None]
        places = self.places
        if names != self.names:
            known = [i for i, name in enumerate(names) if name in self.columns]
            places = [self.columns[names[i]] for i in known]
            values = np.asarray(values)[..., known]
        rows = values.shape[0] if isinstance(values, np.ndarray) and values.ndim == 2 else 1
        x = np.zeros((rows, len(self.columns)))
        x[:, places] = values
        return x


def row_values(x: Mapping[Any, Any]) -> list[Any]:
    """Return the numbers of a row, NaN for those that are missing (None or NaN).

    Raises
    ------
    DataError
        A value is not a number or is infinite; the message names the feature.

    Examples
    --------
    >>> from fenchel_stream.estimators.schema import row_values
    >>> row_values({"a": 1, "b": None})
    [1.0, nan]
    """
    values = list(x.values())
    try:
        # One sum tests all values: it raises an error if a value is no number, and is not finite
        # if a value is not. The bounds exclude large values, which could cancel each other.
        plain = isfinite(fsum(values))
        plain = plain and float(max(values)) < LARGEST and float(min(values)) > -LARGEST
    except (TypeError, ValueError, OverflowError):
        plain = not values
    if plain:
        return values
    return [_number(name, value) for name, value in x.items()]


def frame_values(X: Any) -> tuple[tuple[Hashable, ...], Array]:
    """Return the names and the numbers of a frame (rows x columns), NaN where they are missing.

    Raises
    ------
    DataError
        `X` is no frame, or a column is not numeric or holds an infinite value; the message names
        the column.

    Examples
    --------
    >>> import polars as pl
    >>> from fenchel_stream.estimators.schema import frame_values
    >>> names, values = frame_values(pl.DataFrame({"a": [1, None], "b": [2.5, 3.5]}))
    >>> names, values.tolist()
    (('a', 'b'), [[1.0, 2.5], [nan, 3.5]])
    """
    if isinstance(X, pl.DataFrame) and not set(X.dtypes) - PLAIN:
        # For a small batch the conversions of polars and narwhals take several times as long: one
        # waits for a pool of threads, the other looks up the methods of each object.
        names = tuple(X.columns)
        values = np.empty(X.shape, order="F")
        for j, column in enumerate(X.iter_columns()):
            values[:, j] = column.to_numpy()
    else:
        try:
            frame = into_frame(X)
        except TypeError as error:
            raise DataError(
                f"X is of type {type(X).__name__}, and must be a frame of polars, pandas or pyarrow"
            ) from error
        names, values = tuple(frame.columns), numbers_of(frame, _number)
    with np.errstate(over="ignore"):  # Huge values are clipped below.
        if np.abs(values).sum() < LARGEST:
            return names, values
    infinite = np.isinf(values)
    if infinite.any():
        row, column = np.argwhere(infinite)[0]
        raise DataError(f"feature {names[column]!r} is infinite in row {row} of the batch")
    return names, values.clip(-LARGEST, LARGEST)


def _number(name: Hashable, value: Any) -> float:
    """Return a feature as a float within `LARGEST`, NaN if it is missing."""
    number = to_number(value)
    if number is None:
        raise DataError(
            f"feature {name!r} is {value!r}, not a number; "
            "encode categories first, for example with river.preprocessing.OneHotEncoder"
        )
    if isinf(number) and value == number:
        raise DataError(f"feature {name!r} is infinite")
    return number if isnan(number) else min(max(number, -LARGEST), LARGEST)


def _sort_key(name: Hashable) -> tuple[str, str]:
    return type(name).__name__, repr(name)
