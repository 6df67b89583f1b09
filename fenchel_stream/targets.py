"""Online scaling of regression targets."""

from __future__ import annotations

import numpy as np

from fenchel_stream.arrays import Array


class TargetScaler:
    """Running mean and standard deviation of each target, over all rows learnt.

    The network learns standardised targets. When a batch moves the mean and the deviation, the
    output weights are rescaled so that every prediction in the targets' own units stays as it was
    (van Hasselt et al., "Learning values across many orders of magnitude", 2016).

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.targets import TargetScaler
    >>> scaler = TargetScaler()
    >>> scaler.grow(1)
    >>> weights = scaler.update(np.array([[1000.0], [3000.0]]), np.zeros((1, 2)))
    >>> scaler.scale(np.array([[3000.0]])).tolist()
    [[1.0]]
    """

    def __init__(self) -> None:
        self.count = np.zeros(0)
        self.mean = np.zeros(0)
        self.squares = np.zeros(0)

    def grow(self, outputs: int) -> None:
        """Append `outputs` targets of which nothing is known."""
        self.count, self.mean, self.squares = (
            np.append(values, np.zeros(outputs))
            for values in (self.count, self.mean, self.squares)
        )

    @property
    def deviation(self) -> Array:
        """Standard deviation of each target; 1 while it is unknown or 0."""
        variance = self.squares / np.maximum(self.count, 1.0)
        return np.where(variance > 0, np.sqrt(variance), 1.0)

    def update(self, y: Array, weights: Array) -> Array:
        """Take in the rows of `y`, NaN where missing, and return the rescaled output weights.

        Parameters
        ----------
        y
            Targets (m x outputs).
        weights
            Of the last layer (outputs x (1 + units)), biases first.
        """
        old_mean, old_deviation = self.mean, self.deviation
        present = ~np.isnan(y)
        count = present.sum(axis=0)
        mean = np.where(present, y, 0.0).sum(axis=0) / np.maximum(count, 1)
        total = np.maximum(self.count + count, 1)
        shift = mean - self.mean
        squares = np.where(present, (y - mean) ** 2, 0.0).sum(axis=0)
        self.mean = self.mean + shift * count / total
        self.squares = self.squares + squares + shift**2 * self.count * count / total
        self.count = self.count + count
        deviation = self.deviation
        weights = weights * (old_deviation / deviation)[:, None]
        weights[:, 0] += (old_mean - self.mean) / deviation
        return weights

    def scale(self, y: Array) -> Array:
        """Return targets in standard units."""
        return (y - self.mean) / self.deviation

    def unscale(self, y: Array) -> Array:
        """Return network outputs in the targets' own units."""
        return y * self.deviation + self.mean
