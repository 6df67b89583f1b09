"""Features in standard units, whatever is missing or far out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf, nan
from numbers import Real
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import polars as pl
from numpy.typing import NDArray
from river import base
from river.base.typing import FeatureName
from river.utils import dataframe

from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.preprocessing.frames import as_frame, replace_columns
from fenchel_stream.preprocessing.moments import Moments

HUGE = 1e100
"""Beyond this a number is as good as infinite: its square would spoil a running variance."""

ROUNDING = 16 * float(np.finfo(np.float64).eps)
"""A spread below this share of the mean is rounding: the feature is constant."""


class Standardize(base.MiniBatchTransformer):
    """Scale features to mean 0 and standard deviation 1, and clip what is far out.

    The mean and the variance of each feature run over all its values learnt so far, in double
    precision. Features may appear at any time. A missing value (None, null, NaN, or no such key)
    teaches nothing and stays missing; so does not an infinite one, which is clipped.

    River's own ``StandardScaler`` is not used because one missing value in ``learn_many`` makes
    its variance of that feature NaN for ever, and because it does not clip: a value a thousand
    standard deviations out, as heavy-tailed features have them, reaches the model and ruins it.

    Parameters
    ----------
    clip
        Largest absolute value that comes out, in standard deviations.
    columns
        Names of the features to scale; None scales all. The others pass as they are.
    skip
        Names of features that pass as they are, categories for example.

    Raises
    ------
    ConfigError
        `clip` is not positive.
    DataError
        A feature to be scaled is not a number; the message names it. Raised when learning and
        when transforming.

    Examples
    --------
    >>> import polars as pl
    >>> from fenchel_stream.preprocessing.pipeline import Standardize
    >>> scaler = Standardize(clip=3.0)
    >>> scaler.learn_many(pl.DataFrame({"x": [1.0, None, 3.0], "constant": [7, 7, 7]}))
    >>> scaler.transform_one({"x": 2.5, "constant": 7})
    {'x': 0.5, 'constant': 0.0}
    >>> scaler.transform_many(pl.DataFrame({"x": [3.0, None, 1e9]}))["x"].to_list()
    [1.0, nan, 3.0]
    """

    def __init__(
        self,
        clip: float = 10.0,
        columns: tuple[str, ...] | None = None,
        skip: tuple[str, ...] | None = None,
    ) -> None:
        if not clip > 0:
            raise ConfigError(f"clip is {clip!r}; it must be a positive number")
        self.clip = clip
        self.columns = columns
        self.skip = skip
        self.index: dict[FeatureName, int] = {}
        self.moments = Moments()

    def learn_one(self, x: Mapping[Any, Any]) -> None:
        """Update the means and variances with one row."""
        if names := self._chosen(x):
            self._learn(names, np.array([[_number(name, x[name]) for name in names]]))

    def transform_one(self, x: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return `x` with scaled values; missing ones are NaN."""
        # Number by number: NumPy's cost per call exceeds that of a few features.
        means, spreads = self.moments.mean.tolist(), self.moments.deviation.tolist()
        scaled = dict(x)
        for name in self._chosen(x):
            value = min(max(_number(name, x[name]), -HUGE), HUGE)
            i = self.index.get(name)
            mean, spread = (0.0, 0.0) if i is None else (means[i], spreads[i])
            if spread <= ROUNDING * abs(mean):
                spread = inf
            scaled[name] = min(max((value - mean) / spread, -self.clip), self.clip)
        return scaled

    def learn_many(self, X: Any) -> None:
        """Update the means and variances with the rows of `X`, any eager narwhals frame."""
        frame = as_frame(X)
        if names := self._chosen(frame.columns):
            self._learn(names, _numbers(frame, names))

    def transform_many(self, X: Any) -> Any:
        """Return `X` with scaled columns, in the same kind of frame; the others come first."""
        frame = as_frame(X)
        if not (names := self._chosen(frame.columns)):
            return X
        scaled = self._scale(names, _numbers(frame, names))
        return replace_columns(frame, names, names, scaled)

    def _chosen(self, names: Iterable[FeatureName]) -> list[Any]:
        if self.columns is not None:
            names = [name for name in names if name in self.columns]
        return [name for name in names if name not in (self.skip or ())]

    def _learn(self, names: list[Any], values: NDArray[np.float64]) -> None:
        if new := [name for name in names if name not in self.index]:
            self.index |= {name: len(self.index) + i for i, name in enumerate(new)}
            self.moments.grow(len(new))
        # To the moments, what is absent and what is infinite is as good as missing.
        known = np.full((len(values), len(self.index)), nan)
        at = [self.index[name] for name in names]
        known[:, at] = np.where(np.abs(values) < HUGE, values, nan)
        if len(known):
            self.moments.update(known)

    def _scale(self, names: list[Any], values: NDArray[np.float64]) -> NDArray[np.float64]:
        # The last place is that of all features never seen: no mean and no spread.
        at = [self.index.get(name, -1) for name in names]
        mean = np.append(self.moments.mean, 0.0)[at]
        spread = np.append(self.moments.deviation, 0.0)[at]
        spread[spread <= ROUNDING * np.abs(mean)] = np.inf
        with np.errstate(over="ignore"):
            scaled: NDArray[np.float64] = (values.clip(-HUGE, HUGE) - mean) / spread
        return scaled.clip(-self.clip, self.clip)


def _numbers(frame: pl.DataFrame | nw.DataFrame[Any], names: list[Any]) -> NDArray[np.float64]:
    """Return the columns `names` of `frame` as a matrix, NaN where a value is missing."""
    if names != frame.columns:
        frame = frame[names]
    values = frame.to_numpy()
    if values.dtype.kind not in "biuf":
        frame = dataframe.into_frame(frame)
        values = np.column_stack([_column(frame.get_column(name)) for name in names])
    return values.astype(np.float64, copy=False)


def _column(series: nw.Series[Any]) -> NDArray[np.float64]:
    if series.dtype.is_numeric() or series.dtype == nw.Boolean:
        return dataframe.to_numpy(series.cast(nw.Float64).to_frame())[:, 0]
    return np.array([_number(series.name, value) for value in series.to_list()])


def _number(name: FeatureName, value: Any) -> float:
    if value is None:
        return nan
    if not isinstance(value, (float, Real, np.bool_)):
        raise DataError(
            f"feature {name!r} is {value!r}, not a number: "
            "name it in one_hot, or leave it out of scale"
        )
    return float(value)
