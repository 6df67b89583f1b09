"""Checks of the rows that a network learns or predicts: their shapes and values."""

from __future__ import annotations

import numpy as np

from fenchel_stream.errors import DataError
from fenchel_stream.network.arrays import (
    LARGEST,
    Array,
    as_array,
    as_numbers,
    copied,
    placed,
    with_ones,
)
from fenchel_stream.network.layers import Shape


def checked_inputs(X: Array, n_inputs: int, shape: Shape) -> Array:
    """Return `X` with its column of ones (m x (1 + inputs)).

    Parameters
    ----------
    X
        Rows (m x inputs), or images of the given shape.
    n_inputs
        Number of inputs of the network.
    shape
        Shape of one sample: (units,), or (height, width, channels).

    Raises
    ------
    DataError
        The network does not take rows of this shape; the message names both shapes.
    """
    given = tuple(getattr(X, "shape", ()))
    if len(shape) == 3 and given[1:] == shape:
        X = X.reshape(len(X), -1)
    elif len(given) != 2 or given[1] != n_inputs:
        takes = f"(rows, {n_inputs})"
        if len(shape) == 3:
            takes += f" or (rows, {', '.join(map(str, shape))})"
        raise DataError(f"X has shape {given}; the network takes {takes}")
    return with_ones(X)


def checked_batch(
    X: Array, Y: Array, n_inputs: int, shape: Shape, device: str, dtype: str
) -> tuple[Array, Array]:
    """Return the input `X` with its column of ones, and a copy of the targets `Y`.

    Both are in the library and precision and on the device of the network.

    Raises
    ------
    DataError
        The batch is empty, the shapes do not fit, or a value is not finite.
    """
    X, Y = as_numbers(X, "X"), as_numbers(Y, "Y")
    with np.errstate(over="ignore"):
        a = placed(checked_inputs(X, n_inputs, shape), device, dtype)
        # A copy: the report reads the targets later, and the caller may reuse the array.
        y = as_array(copied(Y), like=a)
    if not len(a):
        raise DataError("the batch has no rows")
    if len(y) != len(a):
        raise DataError(f"X has {len(a)} rows, Y has {len(y)}")
    for name, values in (("X", a), ("Y", y)):
        if not ((values <= LARGEST) & (values >= -LARGEST)).all():
            raise DataError(
                f"{name} holds values that are not finite or beyond {LARGEST:g}; nothing was learnt"
            )
    return a, y
