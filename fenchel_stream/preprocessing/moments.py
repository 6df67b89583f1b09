"""Running mean and variance of columns, and columns in standard units."""

from __future__ import annotations

from math import inf

import numpy as np

from fenchel_stream.network import compiled
from fenchel_stream.network.arrays import Array
from fenchel_stream.network.form import check_array, require


class Moments:
    """Mean and variance of each column, in double precision.

    A value that is NaN is missing and changes nothing. A batch counts as its rows, one after
    another.

    Parameters
    ----------
    horizon
        Number of last rows that count fully. The weight of older rows falls exponentially.
    bound
        Largest distance of a value from the mean, in deviations. A value farther away counts as a
        value at this distance. Here the deviation is the larger one of two: within the horizon, and
        over all rows. Without the second, each rare value would make the deviation smaller.

    Attributes
    ----------
    count, mean, squares
        For each column, within the horizon: number of values, mean, and sum of squared distances
        from the mean.
    seen, spread
        For each column, over all rows: number of values, and mean of their squared distances from
        the mean at their time.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.preprocessing import Moments
    >>> moments = Moments()
    >>> moments.grow(2)
    >>> moments.update(np.array([[1.0, 5.0], [3.0, np.nan]]))
    >>> moments.mean.tolist(), moments.deviation.tolist()
    ([2.0, 5.0], [1.0, 0.0])
    """

    def __init__(self, horizon: float = inf, bound: float = inf) -> None:
        self.horizon = horizon
        self.bound = bound
        self.count = np.zeros(0)
        self.mean = np.zeros(0)
        self.squares = np.zeros(0)
        self.seen = np.zeros(0)
        self.spread = np.zeros(0)

    @property
    def _state(self) -> tuple[Array, ...]:
        return self.count, self.mean, self.squares, self.seen, self.spread

    def check_restored(self) -> None:
        """Make sure that compiled loops may use this state, which a checkpoint brought."""
        columns = np.shape(self.count)
        for name in ("count", "mean", "squares", "seen", "spread"):
            check_array(getattr(self, name), columns[:1], "float64", f"moments.{name}")
        require(type(self.horizon) in (int, float) and self.horizon >= 1, "moments.horizon")
        require(type(self.bound) in (int, float) and self.bound > 0, "moments.bound")

    def grow(self, columns: int) -> None:
        """Append `columns` without any value yet."""
        self.count, self.mean, self.squares, self.seen, self.spread = (
            np.append(values, np.zeros(columns)) for values in self._state
        )

    def update(self, x: Array) -> None:
        """Add the rows of `x` (rows x columns)."""
        compiled.kernels.follow(x, self.horizon, self.bound, *self._state)

    @property
    def deviation(self) -> Array:
        """Standard deviation of each column; 0 before two values, and for a constant.

        A column is constant if its deviation is so small beside its mean that rounding explains
        it. All scalers use this definition.
        """
        deviation = np.sqrt(self.squares / np.maximum(self.count, 1.0))
        return np.where(deviation > compiled.kernels.ROUNDING * np.abs(self.mean), deviation, 0.0)


def standard_units(
    x: Array, mean: Array, deviation: Array, clip: float, out: Array | None = None
) -> Array:
    """Return ``(x - mean) / deviation``, clipped; 0 where the deviation is 0, NaN where `x` is.

    Parameters
    ----------
    x
        Values (rows x columns).
    mean, deviation
        Mean and standard deviation of each column.
    clip
        Largest absolute value of the result.
    out
        Array for the result, perhaps of a lower precision; a new one if None.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.preprocessing.moments import standard_units
    >>> x = np.array([[3.0, 7.0], [-1e9, 8.0]])
    >>> standard_units(x, np.array([1.0, 7.0]), np.array([2.0, 0.0]), 10.0).tolist()
    [[1.0, 0.0], [-10.0, 0.0]]
    """
    scaled = x - mean
    scaled /= np.where(deviation > 0.0, deviation, inf)
    np.maximum(scaled, -clip, out=scaled)
    return np.minimum(scaled, clip, out=scaled if out is None else out, casting="same_kind")
