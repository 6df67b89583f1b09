"""Running mean and variance of columns."""

from __future__ import annotations

from math import inf

import numpy as np

from fenchel_stream import kernels
from fenchel_stream.arrays import Array, holds_nan


class Moments:
    """Mean and variance of each column, in double precision.

    Values that are NaN are missing and teach nothing. Batches are merged by the formulas of Chan,
    Golub and LeVeque (1983).

    Parameters
    ----------
    horizon
        Rows that they look back on: when there are more, what is older fades by exponential
        weights.
    bound
        Values count as at most so many deviations from the mean, both as they were before the row
        or batch.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.moments import Moments
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

    def grow(self, columns: int) -> None:
        """Append `columns` of which nothing is known."""
        none = np.zeros(columns)
        self.count, self.mean, self.squares = (
            np.append(values, none) for values in (self.count, self.mean, self.squares)
        )

    def update(self, x: Array) -> None:
        """Take in the rows of `x` (rows x columns)."""
        if len(x) == 1:
            kernels.follow(x[0], self.horizon, self.bound, self.count, self.mean, self.squares)
            return
        if self.bound < inf:
            reach = np.where(self.deviation > 0.0, self.bound * self.deviation, inf)
            x = np.minimum(np.maximum(x, self.mean - reach), self.mean + reach)
        if holds_nan(x):
            present = ~np.isnan(x)
            count = present.sum(axis=0)
            mean = np.where(present, x, 0.0).sum(axis=0) / np.maximum(count, 1)
            squares = (np.where(present, x - mean, 0.0) ** 2).sum(axis=0)
        else:
            count, mean = np.full(x.shape[1], float(len(x))), x.mean(axis=0)
            squares = ((x - mean) ** 2).sum(axis=0)
        # A batch that is longer than the horizon counts whole.
        room = np.maximum(self.horizon - count, 0.0)
        keep = np.minimum(1.0, room / np.maximum(self.count, 1.0))
        before = keep * self.count
        total = before + count
        shift = mean - self.mean
        moved = shift * (count / np.maximum(total, 1.0))
        self.squares = keep * self.squares + squares + before * moved * shift
        self.mean = self.mean + moved
        self.count = total

    @property
    def deviation(self) -> Array:
        """Standard deviation of each column; 0 while it is unknown, and for a constant."""
        deviation = np.sqrt(self.squares / np.maximum(self.count, 1.0))
        return np.where(deviation > kernels.ROUNDING * np.abs(self.mean), deviation, 0.0)
