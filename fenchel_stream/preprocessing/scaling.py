"""Online scaling of features and of regression targets, as the estimators use it."""

from __future__ import annotations

import numpy as np

from fenchel_stream.network import compiled
from fenchel_stream.network.arrays import Array, holds_nan
from fenchel_stream.preprocessing.moments import Moments, standard_units

CLIP = 10.0
"""Largest absolute value of a scaled feature, in deviations. A value 1,000 deviations away must
neither disturb the network nor enlarge the scale of later rows. If the units of a feature grow, its
deviation grows by a tenth per row."""

HORIZON = 500
"""Number of last rows for means and deviations. On real streams it raised the accuracy by up to
0.016, compared with all rows. Horizons from 200 to 1,000 rows gave about the same accuracy."""

TARGET_CLIP = 30.0
"""Largest absolute value of a scaled target. It is wider than `CLIP`, because a rare target may be
the one that matters."""

TINY = 1e-30
"""A smaller deviation of a target counts as 0: weights in its units would exceed single
precision."""


class FeatureScaler:
    """Features in standard units: mean 0, standard deviation 1, clipped.

    Mean and deviation are those of the last `HORIZON` rows. A constant feature and a missing value
    become 0, which is the scaled mean.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.preprocessing import FeatureScaler
    >>> scaler = FeatureScaler()
    >>> scaler.grow(1)
    >>> scaler.update(np.array([[1.0], [3.0]]))
    >>> scaler.scale(np.array([[3.0], [np.nan], [1e9]])).tolist()
    [[1.0], [0.0], [10.0]]
    """

    def __init__(self) -> None:
        self.moments = Moments(HORIZON, CLIP)

    def grow(self, columns: int) -> None:
        """Append features without any value yet."""
        self.moments.grow(columns)

    def update(self, x: Array) -> None:
        """Learn from the rows of `x`; NaN is a missing value."""
        self.moments.update(x)

    def scale(self, x: Array, out: Array | None = None) -> Array:
        """Return `x` in standard units, written to `out` unless that is None."""
        moments, out = self.moments, np.empty_like(x) if out is None else out
        if len(x) == 1:
            compiled.kernels.standardize(
                x[0], moments.count, moments.mean, moments.squares, CLIP, out[0]
            )
            return out
        out = standard_units(x, moments.mean, moments.deviation, CLIP, out)
        return np.nan_to_num(out, copy=False) if holds_nan(out) else out


class TargetScaler:
    """Regression targets in standard units.

    When a batch changes the mean and the deviation, the output weights are rescaled so that every
    prediction in the units of the targets stays the same (van Hasselt et al., "Learning values
    across many orders of magnitude", 2016).

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.preprocessing import TargetScaler
    >>> scaler = TargetScaler()
    >>> scaler.grow(1)
    >>> factor, shift = scaler.update(np.array([[1000.0], [3000.0]]))
    >>> scaler.scale(np.array([[3000.0]])).tolist()
    [[1.0]]
    """

    def __init__(self) -> None:
        self.moments = Moments(HORIZON, TARGET_CLIP)

    def grow(self, outputs: int) -> None:
        """Append targets without any value yet."""
        self.moments.grow(outputs)

    @property
    def deviation(self) -> Array:
        """Standard deviation of each target; 1 while it is unknown or below `TINY`."""
        deviation = self.moments.deviation
        return np.where(deviation > TINY, deviation, 1.0)

    def update(self, y: Array) -> tuple[Array, Array]:
        """Learn from the rows of `y`; NaN is a missing target.

        Returns
        -------
        factor, shift
            An output ``u`` in the old units is ``factor * u + shift`` in the new units. Before its
            first value a target has no units. With the first value its outputs stay unchanged, so
            that its prediction becomes its mean and not 0.
        """
        known, deviation = self.moments.count > 0, self.deviation
        mean = self.moments.mean.copy()
        self.moments.update(y)
        new = self.deviation
        factor, shift = deviation / new, (mean - self.moments.mean) / new
        return np.where(known, factor, 1.0), np.where(known, shift, 0.0)

    def scale(self, y: Array) -> Array:
        """Return targets in standard units, clipped."""
        return np.clip((y - self.moments.mean) / self.deviation, -TARGET_CLIP, TARGET_CLIP)

    def unscale(self, u: Array) -> Array:
        """Return network outputs in the units of the targets."""
        return u * self.deviation + self.moments.mean
