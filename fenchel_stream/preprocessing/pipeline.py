"""`pipeline`: a model with scaling and one-hot encoding before it."""

from __future__ import annotations

from collections.abc import Sequence

from river import base, compose

from fenchel_stream.errors import ConfigError
from fenchel_stream.preprocessing.one_hot import OneHot
from fenchel_stream.preprocessing.standardize import Standardize


def pipeline(
    model: base.Estimator, *, scale: bool | Sequence[str] = True, one_hot: Sequence[str] = ()
) -> compose.Pipeline:
    """Return a River pipeline of `Standardize`, `OneHot` and `model`.

    Parameters
    ----------
    model
        Any River model. Only a model with River's mini-batch methods can learn a batch at once.
    scale
        Names of the features to standardise; True for all that are not in `one_hot`; False for a
        model that scales its features itself, as the estimators of this library do.
    one_hot
        Names of the features that hold categories.

    Raises
    ------
    ConfigError
        A feature is named in both `scale` and `one_hot`.

    Examples
    --------
    >>> from river import linear_model
    >>> from fenchel_stream.preprocessing import pipeline
    >>> model = pipeline(linear_model.LinearRegression(), one_hot=["origin"])
    >>> model.learn_one({"origin": "JFK", "distance": 1400}, 12.0)
    >>> print(model)
    Standardize | OneHot | LinearRegression
    """
    columns = None if scale is True else tuple(scale or ())
    if both := set(columns or ()) & set(one_hot):
        raise ConfigError(
            f"{', '.join(sorted(both))}: a feature cannot be in both scale and one_hot"
        )
    steps: list[base.Estimator] = []
    if scale:
        steps.append(Standardize(columns=columns, skip=tuple(one_hot) or None))
    if one_hot:
        steps.append(OneHot(tuple(one_hot)))
    return compose.Pipeline(*steps, model)
