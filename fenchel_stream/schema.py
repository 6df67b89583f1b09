"""Feature names seen so far, append-only, and the way from a dict or a frame to a matrix.

A name keeps its column for ever. New names of one row or frame are appended in sorted order, so
that columns do not depend on the order in which a row lists its features. Names that were not
learnt yet are left out, and a feature that a row lacks is 0: for a standardised feature, its mean.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from math import isinf, isnan
from numbers import Real
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from river.utils import dataframe

from fenchel_stream.arrays import Array
from fenchel_stream.errors import DataError

LARGEST = 1e15
"""Features are clipped here, so that their squares stay finite in single precision."""


class Schema:
    """Feature names and their columns; column 0 of a matrix is the ones of the biases.

    Parameters
    ----------
    dtype
        ``float32`` or ``float64``, of the matrices.

    Examples
    --------
    >>> from fenchel_stream.schema import Schema
    >>> schema = Schema("float64")
    >>> schema.extend(("b", "a"))
    ['a', 'b']
    >>> schema.place(("b", "new"), [3.0, 9.0]).tolist()
    [[1.0, 0.0, 3.0]]
    """

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self.columns: dict[Hashable, int] = {}
        # Most rows list the names that the last learnt one listed: they are placed at once.
        self.names: tuple[Hashable, ...] = ()
        self.places: list[int] = []

    def extend(self, names: tuple[Hashable, ...]) -> list[Hashable]:
        """Give a column to each of `names` that has none, and return those."""
        if names == self.names:
            return []
        new = sorted((name for name in names if name not in self.columns), key=_sort_key)
        for name in new:
            self.columns[name] = 1 + len(self.columns)
        self.names = names
        self.places = [self.columns[name] for name in names]
        return new

    def place(self, names: tuple[Hashable, ...], values: Any) -> Array:
        """Return `values`, of one row or of a matrix of rows with columns `names`, as a matrix.

        The result is rows x (1 + features), with its column of ones.
        """
        places = self.places
        if names != self.names:
            known = [i for i, name in enumerate(names) if name in self.columns]
            places = [self.columns[names[i]] for i in known]
            values = np.asarray(values)[..., known]
        rows = values.shape[0] if isinstance(values, np.ndarray) and values.ndim == 2 else 1
        a = np.zeros((rows, 1 + len(self.columns)), self.dtype)
        a[:, 0] = 1.0
        a[:, places] = values
        return a


def row_values(x: Mapping[Hashable, Any]) -> list[Any]:
    """Return the numbers of a row; None and NaN are missing, hence 0.

    Raises
    ------
    DataError
        A value is not a number or is infinite; the message names the feature.
    """
    values = list(x.values())
    try:
        plain = sum(map(abs, values)) < LARGEST
    except TypeError:
        plain = False
    if plain:
        return values
    return [_number(name, value) for name, value in x.items()]


def frame_values(frame: nw.DataFrame[Any]) -> Array:
    """Return the numbers of a frame (rows x columns); null and NaN are missing, hence 0.

    Raises
    ------
    DataError
        A column is not numeric or holds an infinite value; the message names it.
    """
    for name, dtype in frame.schema.items():
        if not (dtype.is_numeric() or dtype == nw.Boolean):
            column = [_number(name, value) for value in frame[name].to_list()]
            frame = frame.with_columns(
                nw.new_series(name, column, nw.Float64, backend=frame.implementation)
            )
    values = dataframe.to_numpy(frame)
    if np.abs(values).sum() < LARGEST:
        return values
    infinite = np.isinf(values)
    if infinite.any():
        row, column = np.argwhere(infinite)[0]
        raise DataError(f"feature {frame.columns[column]!r} is infinite in row {row} of the batch")
    return np.nan_to_num(values, nan=0.0).clip(-LARGEST, LARGEST)


def _number(name: Hashable, value: Any) -> float:
    if value is None:
        return 0.0
    if not isinstance(value, (Real, np.bool_)):
        raise DataError(
            f"feature {name!r} is {value!r}, not a number; "
            "encode categories first, for example with river.preprocessing.OneHotEncoder"
        )
    number = float(value)
    if isinf(number):
        raise DataError(f"feature {name!r} is infinite")
    return 0.0 if isnan(number) else min(max(number, -LARGEST), LARGEST)


def _sort_key(name: Hashable) -> tuple[str, str]:
    return type(name).__name__, repr(name)
