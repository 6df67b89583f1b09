"""From a configuration to the objects of a run: the model, its preprocessing and the metrics."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from numbers import Real
from typing import Any, get_type_hints

import msgspec
from river import base, metrics

from fenchel_stream.errors import ConfigError
from fenchel_stream.estimators.base import FenchelEstimator
from fenchel_stream.estimators.classifier import FenchelClassifier
from fenchel_stream.estimators.regressor import FenchelMultiTargetRegressor, FenchelRegressor
from fenchel_stream.preprocessing.pipeline import pipeline
from fenchel_stream.runner.config import Config
from fenchel_stream.streams.registry import find_function

ESTIMATORS = {
    "classification": FenchelClassifier,
    "regression": FenchelRegressor,
    "multi-target": FenchelMultiTargetRegressor,
}

DEFAULT_METRICS = {
    "classification": ["Accuracy"],
    "regression": ["MAE"],
    "multi-target": ["MAE"],
}


def build_model(config: Config) -> base.Estimator:
    """Return the pipeline that `config` describes.

    Raises
    ------
    ConfigError
        A parameter is unknown or has the wrong type, or the factory cannot be found or returns
        no River model.
    """
    settings = dict(config.model)
    factory = settings.pop("factory", None)
    make: Any = (
        ESTIMATORS[config.source.kind]
        if factory is None
        else find_function(factory, "model.factory")
    )
    parameters = _checked(make, settings)
    try:
        model = make(**parameters)
    except (ConfigError, TypeError, ValueError) as error:
        raise ConfigError(f"model: {error}") from error
    if not isinstance(model, base.Estimator):
        raise ConfigError(f"model.factory {factory!r} returned a {type(model).__name__}: no model")
    scale = config.features.scale
    if scale is True and isinstance(model, FenchelEstimator) and model.scale:
        # It standardises its features itself: a second scaler before it gains nothing.
        scale = False
    return pipeline(model, scale=scale, one_hot=config.features.one_hot)


def build_metrics(config: Config) -> metrics.base.Metrics:
    """Return the River metrics that `config` names, or the default one of its kind.

    Raises
    ------
    ConfigError
        River has no metric of a name, or one that is not a number or needs parameters.
    """
    names = config.metrics.names or DEFAULT_METRICS[config.source.kind]
    found = [_metric(name) for name in names]
    if config.source.kind == "multi-target":
        found = [metrics.multioutput.MicroAverage(metric) for metric in found]
    return metrics.base.Metrics(found)


def _metric(name: str) -> metrics.base.Metric:
    cls = getattr(metrics, name, None)
    if not (inspect.isclass(cls) and issubclass(cls, metrics.base.Metric)):
        known = {one.lower(): one for one in metrics.__all__ if one[0].isupper()}
        near = get_close_matches(name.lower(), known, 1)
        hint = f", did you mean {known[near[0]]}?" if near else ""
        raise ConfigError(f"metrics.names: river.metrics has no metric {name!r}{hint}")
    try:
        metric: metrics.base.Metric = cls()
    except TypeError as error:
        raise ConfigError(f"metrics.names: {name} needs parameters: {error}") from error
    if not _is_number(metric):
        raise ConfigError(f"metrics.names: {name} is no number that could be followed in time")
    return metric


def _is_number(metric: metrics.base.Metric) -> bool:
    try:
        return isinstance(metric.get(), Real)
    except NotImplementedError:
        return False


def _checked(make: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return `settings` converted to the types that `make` declares for them."""
    known = inspect.signature(make).parameters
    takes_any = any(one.kind is one.VAR_KEYWORD for one in known.values())
    hints = get_type_hints(make.__init__ if inspect.isclass(make) else make)
    checked = {}
    for name, value in settings.items():
        if name not in known and not takes_any:
            raise ConfigError(f"model: unknown parameter {name!r}; known: {', '.join(known)}")
        try:
            checked[name] = msgspec.convert(value, hints.get(name, Any))
        except msgspec.ValidationError as error:
            raise ConfigError(f"model.{name}: {error}") from None
    return checked
