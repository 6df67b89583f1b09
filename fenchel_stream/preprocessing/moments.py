"""Running mean and variance of columns."""

from __future__ import annotations

from math import inf

import numpy as np

from fenchel_stream.network import compiled
from fenchel_stream.network.arrays import Array


class Moments:
    """Mean and variance of each column, in double precision.

    Values that are NaN are missing and teach nothing. A batch is its rows, one after another.

    Parameters
    ----------
    horizon
        Rows that they look back on: when there are more, what is older fades by exponential
        weights.
    bound
        Values count as at most so many deviations from the mean: of late, or since ever if that is
        more. Without the latter a value that is rare would make the deviation ever smaller.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.preprocessing.moments import Moments
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
        # Values since ever, and the mean of their squared distances from the mean of the time.
        self.seen = np.zeros(0)
        self.spread = np.zeros(0)

    @property
    def _state(self) -> tuple[Array, ...]:
        return self.count, self.mean, self.squares, self.seen, self.spread

    def grow(self, columns: int) -> None:
        """Append `columns` of which nothing is known."""
        self.count, self.mean, self.squares, self.seen, self.spread = (
            np.append(values, np.zeros(columns)) for values in self._state
        )

    def update(self, x: Array) -> None:
        """Take in the rows of `x` (rows x columns)."""
        compiled.kernels.follow(x, self.horizon, self.bound, *self._state)

    @property
    def deviation(self) -> Array:
        """Standard deviation of each column; 0 while it is unknown, and for a constant."""
        deviation = np.sqrt(self.squares / np.maximum(self.count, 1.0))
        return np.where(deviation > compiled.kernels.ROUNDING * np.abs(self.mean), deviation, 0.0)
