"""From a configuration to the objects of a run: the model, its preprocessing and the metrics."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any, get_type_hints

import msgspec
from river import base, metrics

from fenchel_stream.classifier import FenchelClassifier
from fenchel_stream.config import Config
from fenchel_stream.errors import ConfigError
from fenchel_stream.preprocessing import pipeline
from fenchel_stream.regressor import FenchelMultiTargetRegressor, FenchelRegressor

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
        A parameter is unknown or has the wrong type, or the factory cannot be found.
    """
    settings = dict(config.model)
    factory = settings.pop("factory", None)
    make = ESTIMATORS[config.source.kind] if factory is None else _find(factory)
    try:
        model = make(**_checked(make, settings))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model: {error}") from error
    features = config.features
    return pipeline(model, scale=features.scale, one_hot=features.one_hot)


def build_metrics(config: Config) -> metrics.base.Metrics:
    """Return the River metrics that `config` names, or the default one of its kind.

    Raises
    ------
    ConfigError
        River has no metric of a name.
    """
    found = []
    for name in config.metrics.names or DEFAULT_METRICS[config.source.kind]:
        metric = getattr(metrics, name, None)
        if not (inspect.isclass(metric) and issubclass(metric, metrics.base.Metric)):
            raise ConfigError(f"metrics.names: river.metrics has no metric {name!r}")
        one = metric()
        several = config.source.kind == "multi-target"
        found.append(metrics.multioutput.MicroAverage(one) if several else one)
    return metrics.base.Metrics(found)


def _find(factory: str) -> Any:
    module, colon, name = factory.partition(":")
    try:
        if not colon:
            raise ImportError("it is not of the form module:function")
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"model.factory {factory!r}: {error}") from error


def _checked(make: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return `settings` converted to the types that `make` declares for them."""
    known = inspect.signature(make).parameters
    hints = get_type_hints(make.__init__ if inspect.isclass(make) else make)
    checked = {}
    for name, value in settings.items():
        if name not in known:
            raise ConfigError(f"model: unknown parameter {name!r}; known: {', '.join(known)}")
        try:
            checked[name] = msgspec.convert(value, hints.get(name, Any))
        except msgspec.ValidationError as error:
            raise ConfigError(f"model.{name}: {error}") from None
    return checked
