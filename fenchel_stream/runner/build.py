"""Builds the objects of a run from its configuration: streams, model, metrics, outputs, monitor."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from numbers import Real
from typing import Any, get_type_hints

import msgspec
import polars as pl
from river import base, metrics

from fenchel_stream.display import SECRET_NAME, conceal
from fenchel_stream.errors import ConfigError
from fenchel_stream.estimators.base import FenchelEstimator
from fenchel_stream.estimators.classifier import FenchelClassifier
from fenchel_stream.estimators.regressor import FenchelMultiTargetRegressor, FenchelRegressor
from fenchel_stream.evaluation.prequential import Prequential
from fenchel_stream.evaluation.scores import is_binary, name_of, others_than_true_and_false
from fenchel_stream.late_labels.labels import Labels, PromptLabels
from fenchel_stream.late_labels.late_labels import LateLabels
from fenchel_stream.preprocessing.pipeline import pipeline
from fenchel_stream.runner.config import Config
from fenchel_stream.runner.monitor import Monitor, NullMonitor, open_monitor
from fenchel_stream.runner.outputs import Outputs
from fenchel_stream.streams.registry import (
    find_function,
    find_sink,
    find_source,
    open_source,
)
from fenchel_stream.streams.source import Source
from fenchel_stream.validation.row_check import RowCheck

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


def build_source(config: Config, url: str, options: Mapping[str, Any]) -> Source:
    """Return the source at `url`, with its `options` and those of its client.

    Raises
    ------
    ConfigError
        No installed package provides the scheme, or the source refuses its address or an option.
    """
    client = config.client(find_source(url).connector.client_table)
    source = open_source(url, **options, **client)
    source.growing = config.checkpoint is not None
    return source


def build_labels(config: Config) -> Labels:
    """Return the stream that `config` describes, with labels that come with the rows or later.

    Raises
    ------
    ConfigError
        A source cannot be opened, or a column has two roles.
    """
    source, features, labels = config.source, config.features, config.labels
    stream = build_source(config, source.url, source.options)
    if labels is None:
        check = RowCheck(
            source.target,
            source.kind,
            positive=source.positive,
            one_hot=features.one_hot,
            ignore=features.ignore,
        )
        return PromptLabels(stream, check)
    return LateLabels(
        stream,
        build_source(config, labels.source, labels.options),
        source.target,
        source.kind,
        key=labels.key,
        time=labels.time,
        ttl=labels.ttl,
        limit=labels.limit,
        positive=source.positive,
        one_hot=features.one_hot,
        ignore=features.ignore,
    )


def build_outputs(config: Config, writer: str) -> Outputs:
    """Return the outputs that `config` names, which are not open yet.

    Parameters
    ----------
    config
        The configuration.
    writer
        Name of the run for sinks that several runs share.

    Raises
    ------
    ConfigError
        No installed package provides the scheme of an output, or the predictions of a
        transactional output do not go to a topic.
    """
    output = config.output
    urls = {"predictions": output.predictions, "rejects": output.rejects}
    options: dict[str, dict[str, Any]] = {}
    for name, url in urls.items():
        if url is None:
            continue
        sink = find_sink(url).connector
        options[name] = config.client(sink.client_table)
        if sink.shared:
            key = "key" if name == "predictions" else "where"
            options[name] |= {"writer": writer, "key": key}
        if name == "predictions" and output.transactional:
            if not sink.shared:
                raise ConfigError("output.transactional needs predictions that go to a topic")
            options[name]["transactional"] = True
    return Outputs(urls, options)


def build_monitor(config: Config) -> Monitor:
    """Return the running monitor of a run. Without ``metrics.port`` it shows nothing.

    Raises
    ------
    ConfigError
        The monitor cannot listen on the port.
    """
    settings = config.metrics
    if settings.port is None:
        return NullMonitor()
    return open_monitor(
        settings.port,
        settings.host,
        certfile=settings.certfile,
        keyfile=settings.keyfile,
        stuck_after=settings.stuck_after,
    )


def build_test(config: Config) -> Prequential:
    """Return the test-then-train loop of the model that `config` describes, with its metrics.

    Raises
    ------
    ConfigError
        `build_model` or `build_metrics` raises it, or a metric does not work with the model.
    """
    is_fenchel = "factory" not in config.model
    return Prequential(
        build_model(config),
        build_metrics(config),
        delay=config.run.delay,
        window=config.metrics.window,
        probabilities=is_fenchel and config.source.kind == "classification",
        tolerant=True,
    )


def check_classes(test: Prequential, y: pl.Series | pl.DataFrame) -> None:
    """Raise ConfigError if a metric expects True and False, and the first classes are others.

    Such a metric would count every label as False. Once rows were scored, the configuration has
    proved right, and `Scores` decides what a label of another kind means.
    """
    if test.learnt or not isinstance(y, pl.Series) or not test.model.classifies:
        return
    for metric in test.scores.metrics:
        if is_binary(metric) and others_than_true_and_false(y):
            raise ConfigError(
                f"metrics.names: {name_of(metric)} compares one class with all others, which must "
                f"be True and False, or 1 and 0: name that class, as in source.positive = "
                f"{_example(y)}"
            )


def _example(y: pl.Series) -> str:
    """Return a class that may be the positive one, as TOML: of -1 and 1 it is 1."""
    label = y.max() if y.dtype.is_numeric() else y[0]
    return f'"{label}"' if isinstance(label, str) else str(label)


def build_model(config: Config) -> base.Estimator:
    """Return the pipeline that `config` describes.

    Raises
    ------
    ConfigError
        A parameter is unknown or has the wrong type, or the factory does not exist or does not
        return a River model.
    """
    settings = dict(config.model)
    factory = settings.pop("factory", None)
    make: Any = (
        ESTIMATORS[config.source.kind]
        if factory is None
        else find_function(factory, "model.factory")
    )
    if factory is None:
        model = _made(make, settings)
    else:
        for name, value in settings.items():
            if SECRET_NAME.search(name):
                conceal(str(value))
        try:
            model = _made(make, settings)
        except (Exception, SystemExit) as error:
            # It may be any, of code that the user chose, and quote any argument.
            text = str(error) if isinstance(error, ConfigError) else f"model: {error!r}"
            raise ConfigError(_without(text, settings)) from error
    if not isinstance(model, base.Estimator):
        raise ConfigError(
            f"model.factory {factory!r} returned a {type(model).__name__}, not a model"
        )
    scale = config.features.scale
    if scale is True and isinstance(model, FenchelEstimator) and model.scale:
        # The estimator standardises its features itself. A scaler before it gains nothing.
        scale = False
    return pipeline(model, scale=scale, one_hot=config.features.one_hot)


def build_metrics(config: Config) -> metrics.base.Metrics:
    """Return the River metrics that `config` names, or the default metric for its kind of target.

    Raises
    ------
    ConfigError
        River has no metric of a name, or the metric needs parameters, or its value is not a number.
    """
    names = config.metrics.names or DEFAULT_METRICS[config.source.kind]
    chosen = [_metric(name) for name in names]
    if config.source.kind == "multi-target":
        chosen = [metrics.multioutput.MicroAverage(metric) for metric in chosen]
    return metrics.base.Metrics(chosen)


def _metric(name: str) -> metrics.base.Metric:
    cls = _metric_class(name)
    if cls is None:
        known = {key.lower(): key for key in metrics.__all__ if _metric_class(key)}
        near = get_close_matches(name.lower(), known, 1)
        hint = f", did you mean {known[near[0]]}?" if near else ""
        if name in metrics.__all__ and inspect.isclass(getattr(metrics, name, None)):
            raise ConfigError(
                f"metrics.names: {name} scores something else than predictions of a class or a "
                f"number{hint}"
            )
        raise ConfigError(f"metrics.names: river.metrics has no metric {name!r}{hint}")
    parameters = inspect.signature(cls).parameters.values()
    if required := [one.name for one in parameters if one.default is one.empty]:
        raise ConfigError(
            f"metrics.names: {name} needs parameters: {', '.join(required)}; a name gives none"
        )
    metric: metrics.base.Metric = cls()
    if not _is_number(metric):
        raise ConfigError(f"metrics.names: {name} has no number as its value")
    return metric


def _metric_class(name: str) -> type[metrics.base.Metric] | None:
    """Return the class of a metric that scores predictions, None if there is none of that name."""
    cls = getattr(metrics, name, None)
    return cls if inspect.isclass(cls) and issubclass(cls, metrics.base.Metric) else None


def _is_number(metric: metrics.base.Metric) -> bool:
    try:
        return isinstance(metric.get(), Real)
    except NotImplementedError:
        return False


def _made(make: Any, settings: Mapping[str, Any]) -> Any:
    """Return the model that `make` returns for `settings`."""
    parameters = _checked(make, settings)
    try:
        return make(**parameters)
    except (ConfigError, TypeError, ValueError) as error:
        raise ConfigError(f"model: {error}") from error


def _without(text: str, settings: Mapping[str, Any]) -> str:
    """Return a text with ``***`` in place of every value of `settings`."""
    values = {str(value) for value in settings.values()}
    for value in sorted(values, key=len, reverse=True):
        if len(value) > 2:
            text = text.replace(value, "***")
    return text


def _checked(make: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return `settings` converted to the types that `make` declares for them."""
    try:
        known = inspect.signature(make).parameters
    except ValueError:  # some functions in C do not tell
        return dict(settings)
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
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
