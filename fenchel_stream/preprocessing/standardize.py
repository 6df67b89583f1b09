"""`Standardize`: features in standard units, for a River model that does not scale them itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf, nan
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import polars as pl
from numpy.typing import NDArray
from river import base
from river.base.typing import FeatureName

from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.network.form import require
from fenchel_stream.preprocessing.frames import (
    PLAIN,
    as_frame,
    into_frame,
    numbers_of,
    replace_columns,
)
from fenchel_stream.preprocessing.moments import Moments, standard_units
from fenchel_stream.values import HUGE, to_number


class Standardize(base.MiniBatchTransformer):
    """Scale features to mean 0 and standard deviation 1, and clip outliers.

    The mean and the variance of each feature are those of all its values learnt so far, in double
    precision. Features may appear at any time. A missing value (None, null, NaN, or no such key)
    changes neither and stays missing. An infinite value changes neither and is clipped.

    River's own ``StandardScaler`` is not used for two reasons: one missing value in ``learn_many``
    makes its variance of that feature NaN for ever, and it does not clip. Heavy-tailed features
    have values a thousand standard deviations away. Such a value would spoil the model.

    `FenchelClassifier` and the regressors scale their features themselves and need no
    `Standardize` before them.

    Parameters
    ----------
    clip
        Largest absolute value of the result, in standard deviations.
    columns
        Names of the features to scale; None scales all. The others pass unchanged.
    skip
        Names of features that pass unchanged, categories for example.

    Raises
    ------
    ConfigError
        `clip` is not positive.
    DataError
        A feature to be scaled is not a number; the message names it. Learning and transforming
        raise it.

    Examples
    --------
    >>> import polars as pl
    >>> from fenchel_stream.preprocessing import Standardize
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

    def check_restored(self) -> None:
        """Make sure that compiled loops may use this state, which a checkpoint brought."""
        require(list(self.index.values()) == list(range(len(self.moments.mean))), "index")

    def learn_one(self, x: Mapping[Any, Any]) -> None:
        """Update the means and variances with one row."""
        if names := self._chosen(x):
            self._learn(names, np.array([[_number(name, x[name]) for name in names]]))

    def transform_one(self, x: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return `x` with scaled values; missing values are NaN."""
        # For a few features, Python's numbers are faster than a call of NumPy.
        means, deviations = self.moments.mean.tolist(), self.moments.deviation.tolist()
        scaled = dict(x)
        for name in self._chosen(x):
            value = min(max(_number(name, x[name]), -HUGE), HUGE)
            i = self.index.get(name)
            mean, deviation = (0.0, 0.0) if i is None else (means[i], deviations[i])
            units = (value - mean) / (deviation or inf)
            scaled[name] = min(max(units, -self.clip), self.clip)
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
        # Absent features and infinite values count as missing.
        known = np.full((len(values), len(self.index)), nan)
        places = [self.index[name] for name in names]
        known[:, places] = np.where(np.abs(values) < HUGE, values, nan)
        if len(known):
            self.moments.update(known)

    def _scale(self, names: list[Any], values: NDArray[np.float64]) -> NDArray[np.float64]:
        # All features that were never learnt share the last place, with mean and deviation 0.
        places = [self.index.get(name, -1) for name in names]
        mean = np.append(self.moments.mean, 0.0)[places]
        deviation = np.append(self.moments.deviation, 0.0)[places]
        with np.errstate(over="ignore"):
            scaled: NDArray[np.float64] = standard_units(
                values.clip(-HUGE, HUGE), mean, deviation, self.clip
            )
        return scaled


def _numbers(frame: pl.DataFrame | nw.DataFrame[Any], names: list[Any]) -> NDArray[np.float64]:
    """Return the columns `names` of `frame` as a matrix, NaN where a value is missing."""
    if names != list(frame.columns):
        frame = frame[:, [frame.columns.index(name) for name in names]]
    if isinstance(frame, pl.DataFrame) and not PLAIN.issuperset(frame.dtypes):
        return numbers_of(into_frame(frame), _number)
    values = frame.to_numpy()
    if values.dtype.kind not in "biuf":
        return numbers_of(into_frame(frame), _number)
    return values.astype(np.float64, copy=False)


def _number(name: FeatureName, value: Any) -> float:
    number = to_number(value)
    if number is None:
        raise DataError(
            f"feature {name!r} is {value!r}, not a number: "
            "name it in one_hot, or leave it out of scale"
        )
    return number
