"""Online scaling of features and of regression targets."""

from __future__ import annotations

import numpy as np

from fenchel_stream import kernels
from fenchel_stream.arrays import Array, holds_nan
from fenchel_stream.moments import Moments

CLIP = 10.0
"""Scaled features end here: a value 1,000 standard deviations out must not upset the network."""


class FeatureScaler:
    """Features in standard units: mean 0, standard deviation 1, clipped.

    Mean and deviation run over the rows learnt since the feature appeared. A constant feature and
    a missing value are 0, the mean.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.scaling import FeatureScaler
    >>> scaler = FeatureScaler()
    >>> scaler.grow(1)
    >>> scaler.update(np.array([[1.0], [3.0]]))
    >>> scaler.scale(np.array([[3.0], [np.nan], [1e9]])).tolist()
    [[1.0], [0.0], [10.0]]
    """

    def __init__(self) -> None:
        self.moments = Moments()
        self.factor = np.zeros(0)
        # Rows since a feature was new, and at how many the deviations are looked at again.
        self.rows = 0
        self.due = 0

    def grow(self, columns: int) -> None:
        """Append features of which nothing is known."""
        self.moments.grow(columns)
        self.factor = np.append(self.factor, np.zeros(columns))
        self.rows = self.due = 0

    def update(self, x: Array) -> None:
        """Take in the rows of `x`, NaN where a value is missing."""
        self.moments.update(x)
        self.rows += len(x)
        if self.rows < self.due:
            return
        # One row of n moves a deviation by a part of order 1 / n: one per cent more rows hardly.
        self.due = self.rows + self.rows // 100 + 1
        deviation = self.moments.deviation
        self.factor = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0)

    def scale(self, x: Array, out: Array | None = None) -> Array:
        """Return `x` in standard units, in the memory of `out` if there is one."""
        if out is None:
            out = np.empty_like(x)
        if len(x) == 1:
            kernels.standardize(x[0], self.moments.mean, self.factor, CLIP, out[0])
            return out
        scaled = x - self.moments.mean
        scaled *= self.factor
        np.maximum(scaled, -CLIP, out=scaled)
        np.minimum(scaled, CLIP, out=out, casting="same_kind")
        return np.nan_to_num(out, copy=False) if holds_nan(out) else out


class TargetScaler:
    """Regression targets in standard units.

    When a batch moves the mean and the deviation, the output weights are rescaled so that every
    prediction in the targets' own units stays as it was (van Hasselt et al., "Learning values
    across many orders of magnitude", 2016).

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.scaling import TargetScaler
    >>> scaler = TargetScaler()
    >>> scaler.grow(1)
    >>> factor, shift = scaler.update(np.array([[1000.0], [3000.0]]))
    >>> scaler.scale(np.array([[3000.0]])).tolist()
    [[1.0]]
    """

    def __init__(self) -> None:
        self.moments = Moments()

    def grow(self, outputs: int) -> None:
        """Append targets of which nothing is known."""
        self.moments.grow(outputs)

    @property
    def deviation(self) -> Array:
        """Standard deviation of each target; 1 while it is unknown or 0."""
        deviation = self.moments.deviation
        return np.where(deviation > 0, deviation, 1.0)

    def update(self, y: Array) -> tuple[Array, Array]:
        """Take in the rows of `y`, NaN where a target is missing.

        Returns
        -------
        factor, shift
            ``factor * u + shift`` is, in the new units, what the output ``u`` was in the old. A
            target seen for the first time had no units: its outputs stay, so that its mean is
            predicted and not 0.
        """
        known, deviation = self.moments.count > 0, self.deviation
        mean = self.moments.mean.copy()
        self.moments.update(y)
        new = self.deviation
        factor, shift = deviation / new, (mean - self.moments.mean) / new
        return np.where(known, factor, 1.0), np.where(known, shift, 0.0)

    def scale(self, y: Array) -> Array:
        """Return targets in standard units."""
        return (y - self.moments.mean) / self.deviation

    def unscale(self, u: Array) -> Array:
        """Return network outputs in the targets' own units."""
        return u * self.deviation + self.moments.mean
