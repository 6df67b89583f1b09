"""The configuration of a run: what a TOML file may say, checked before anything starts."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from fenchel_stream.errors import ConfigError


class Table(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A table of the file: unknown keys and wrong types are errors that name the key."""


AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]
AtLeastZero = Annotated[int, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class SourceTable(Table):
    """``[source]``: where the rows come from and which column is to be predicted."""

    url: str
    target: str | list[str]
    kind: Literal["classification", "regression", "multi-target"] = "classification"
    options: dict[str, Any] = {}


class FeaturesTable(Table):
    """``[features]``: what each column is, and the preprocessing."""

    one_hot: list[str] = []
    ignore: list[str] = []
    scale: bool | list[str] = True


class CheckpointTable(Table):
    """``[checkpoint]``: where state goes, how often in batches, and how many are kept."""

    directory: str
    every: AtLeastOne = 100
    keep: AtLeastOne = 3
    allow_pickle: bool = False


class OutputTable(Table):
    """``[output]``: files that the run writes; none by default."""

    predictions: str | None = None
    rejects: str | None = None
    plot: str | None = None


class MetricsTable(Table):
    """``[metrics]``: River metrics by class name, and the Prometheus endpoint."""

    names: list[str] = []
    window: AtLeastOne = 1000
    port: AtLeastZero | None = None
    host: str = "127.0.0.1"


class RunTable(Table):
    """``[run]``: how the stream is cut and when to stop."""

    batch_size: AtLeastOne = 100
    limit: AtLeastOne | None = None
    delay: AtLeastZero = 0
    max_error_rate: Share = 1.0
    progress: bool = True


class Config(Table):
    """A whole configuration.

    ``[model]`` holds the parameters of the Fenchel estimator for the kind of target, or
    ``factory = "module:function"`` and the arguments of that function, which returns any River
    model.

    Examples
    --------
    >>> from fenchel_stream.config import parse
    >>> config = parse({"source": {"url": "river:Phishing", "target": "target"}})
    >>> config.run.batch_size
    100
    >>> parse({"source": {"url": "river:Phishing", "target": "target", "colour": 1}})
    Traceback (most recent call last):
        ...
    fenchel_stream.errors.ConfigError: configuration: Object contains unknown field `colour` \
- at `$.source`
    """

    source: SourceTable
    features: FeaturesTable = FeaturesTable()
    model: dict[str, Any] = {}
    metrics: MetricsTable = MetricsTable()
    run: RunTable = RunTable()
    output: OutputTable = OutputTable()
    checkpoint: CheckpointTable | None = None

    def identity(self) -> dict[str, Any]:
        """Return what a checkpoint must agree on: everything that decides what is learnt."""
        tables = msgspec.to_builtins(self)
        return {
            "source": tables["source"],
            "features": tables["features"],
            "model": tables["model"],
            "metrics": {key: tables["metrics"][key] for key in ("names", "window")},
            "run": {key: tables["run"][key] for key in ("batch_size", "delay")},
        }


def parse(tables: Mapping[str, Any]) -> Config:
    """Return the configuration that `tables` spell.

    Raises
    ------
    ConfigError
        A key is unknown or missing, or a value has the wrong type or is out of range.
    """
    try:
        return msgspec.convert(tables, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"configuration: {error}") from None


def load(path: Path | None, settings: Sequence[str] = ()) -> Config:
    """Read a TOML file and put `settings`, each ``table.key=value`` in TOML, over it.

    Raises
    ------
    ConfigError
        The file cannot be read, is not TOML, or does not spell a configuration.
    """
    tables: dict[str, Any] = {}
    if path is not None:
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"configuration {path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"configuration {path} is not TOML: {error}") from error
    for setting in settings:
        key, equals, value = setting.partition("=")
        table, dot, name = key.strip().partition(".")
        if not (equals and dot and name):
            raise ConfigError(f"setting {setting!r} is not of the form table.key=value")
        tables.setdefault(table, {})[name] = _value(value)
    return parse(tables)


def _value(text: str) -> Any:
    """Read a TOML value; what is none is a string, so that a shell needs no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
