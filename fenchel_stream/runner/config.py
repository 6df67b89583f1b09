"""A whole configuration, and how it is read from a TOML file and from settings.

Needed to start a run from Python: ``Learner(load(Path("run.toml")))``.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

import msgspec

from fenchel_stream.errors import ConfigError
from fenchel_stream.runner.tables import (
    CheckpointTable,
    FeaturesTable,
    LabelsTable,
    MetricsTable,
    OutputTable,
    RunTable,
    SourceTable,
    Table,
)


class Config(Table, frozen=True):
    """A whole configuration. Only ``[source]`` is required.

    Attributes
    ----------
    source
        The stream of rows, and what is to be predicted.
    labels
        A stream of labels, if they come later than their events.
    features
        The roles of the columns, and the preprocessing.
    model
        Parameters of the Fenchel estimator for the kind of target, or
        ``factory = "module:function"`` and the arguments of that function, which returns any
        River model.
    metrics
        The metrics of the run, and where they are served.
    run
        How the stream is cut into batches, and when the run ends.
    output
        What the run writes.
    checkpoint
        Where the state of the run is kept, and from where it resumes.
    kafka
        Options of the Kafka client, for all topics of the run.

    Examples
    --------
    >>> from fenchel_stream.runner.config import parse
    >>> config = parse({"source": {"url": "river:Phishing", "target": "target"}})
    >>> config.run.batch_size
    100
    >>> parse({"source": {"url": "river:Phishing", "target": "target", "colour": 1}})
    Traceback (most recent call last):
        ...
    fenchel_stream.errors.ConfigError: configuration: source: unknown key `colour`; known: ...
    """

    source: SourceTable
    labels: LabelsTable | None = None
    features: FeaturesTable = FeaturesTable()
    model: dict[str, Any] = {}  # noqa: RUF012 - msgspec copies it
    metrics: MetricsTable = MetricsTable()
    run: RunTable = RunTable()
    output: OutputTable = OutputTable()
    checkpoint: CheckpointTable | None = None
    kafka: dict[str, Any] = {}  # noqa: RUF012

    def client(self, table: str | None) -> dict[str, Any]:
        """Return the option ``client`` of a source or sink.

        Parameters
        ----------
        table
            The `client_table` of the class of the source or sink.

        Returns
        -------
        options
            ``{"client": ...}``; empty if `table` is None, or the configuration leaves it empty.
        """
        clients = {"kafka": self.kafka}
        return {"client": clients[table]} if table is not None and clients.get(table) else {}

    def digest(self) -> str:
        """Return a short hash of `identity`, which names the model in its predictions."""
        return _hash(self.identity())[:8]

    def __post_init__(self) -> None:
        if self.labels is not None and self.run.delay:
            raise ValueError("run.delay and [labels] are two ways for labels to come late: use one")
        if self.output.transactional and self.checkpoint is None:
            raise ValueError(
                "output.transactional needs a [checkpoint], which keeps what is published"
            )

    def identity(self) -> dict[str, dict[str, Any]]:
        """Return the settings that decide what is learnt.

        A run resumes only from a checkpoint that was made with the same ones. In place of the
        arguments of a `factory` stand their hashes.
        """
        tables = msgspec.to_builtins(self)
        model = tables["model"]
        if "factory" in model:
            # Its arguments may hold passwords too, and an identity stands in every checkpoint.
            model |= {key: f"sha256:{_hash(model[key])}" for key in model.keys() - {"factory"}}
        # Options decide how to read, not what. They may hold passwords.
        del tables["source"]["options"]
        labels = tables["labels"] or {}
        labels.pop("options", None)
        return {
            "source": tables["source"],
            "labels": labels,
            "features": tables["features"],
            "model": tables["model"],
            "metrics": {key: tables["metrics"][key] for key in ("names", "window")},
            "run": {key: tables["run"][key] for key in ("batch_size", "delay")},
        }


def _hash(value: object) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def difference(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Return a text on the first setting in which two identities differ; empty if they agree.

    Examples
    --------
    >>> from fenchel_stream.runner.config import difference
    >>> difference({"run": {"delay": 5}}, {"run": {"delay": 0}})
    'run.delay = 5, and this run has 0'
    """
    for table, values in wanted.items():
        earlier = stored.get(table, {})
        for key in [*values, *(earlier.keys() - values.keys())]:
            old, new = earlier.get(key), values.get(key)
            if old != new:
                return f"{table}.{key} = {old!r}, and this run has {new!r}"
    return ""


def parse(tables: Mapping[str, Any], origin: str = "configuration") -> Config:
    """Return the configuration that `tables` describe.

    Parameters
    ----------
    tables
        The tables as plain values, as from a TOML file.
    origin
        What the tables come from. Messages of errors begin with it.

    Raises
    ------
    ConfigError
        A key is unknown or missing, or a value has the wrong type or is out of range.
    """
    _check_values(tables, origin)
    try:
        return msgspec.convert(tables, Config)
    except msgspec.ValidationError as error:
        fault, _, key = str(error).partition(" - at `$.")
        key = key.removesuffix("`")
        for phrase, plain in _PLAIN.items():
            fault = fault.replace(phrase, plain)
        if fault.startswith(_UNKNOWN):
            fault += _advice(key, fault[len(_UNKNOWN) : -1])
        raise ConfigError(": ".join(filter(None, (origin, key, fault)))) from None


def load(path: Path | None, settings: Mapping[str, Any] | None = None) -> Config:
    """Read a configuration from a TOML file and from settings.

    Parameters
    ----------
    path
        The file; None for settings alone.
    settings
        Values by keys such as ``run.limit``, which replace those of the file.

    Raises
    ------
    ConfigError
        The file cannot be read, is not TOML, or does not describe a configuration.
    """
    tables: dict[str, Any] = {}
    origin = "configuration" if path is None else f"configuration {path}"
    if path is not None:
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{origin}: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{origin} is not TOML: {error}") from error
    for key, value in (settings or {}).items():
        _put(tables, key, value)
    return parse(tables, origin)


def setting(text: str) -> tuple[str, Any]:
    """Return the key and the value of a text ``table.key=value``.

    A value that is not TOML is a string, so that a shell needs no quotes.

    Raises
    ------
    ConfigError
        The text is not of that form.

    Examples
    --------
    >>> from fenchel_stream.runner.config import setting
    >>> setting("model.hidden=[32, 16]"), setting("model.activation=tanh")
    (('model.hidden', [32, 16]), ('model.activation', 'tanh'))
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or "." not in key or not all(key.split(".")):
        raise ConfigError(f"setting {text!r} is not of the form table.key=value")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value.strip()
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"setting {key}: its value cannot be read: {error}") from error


def _put(tables: dict[str, Any], key: str, value: Any) -> None:
    *path, name = key.split(".")
    for table in path:
        tables = tables.setdefault(table, {})
        if not isinstance(tables, dict):
            raise ConfigError(f"setting {key}: {table} is not a table")
    tables[name] = value


def _check_values(value: object, where: str) -> None:
    """Raise ConfigError for a value that nothing can use: a NUL in a text, or a huge integer."""
    match value:
        case str() if "\0" in value:
            raise ConfigError(f"{where}: {value!r} holds a NUL character")
        case int() if not -(2**63) <= value < 2**63:
            raise ConfigError(f"{where}: an integer has at most 64 bits, as TOML says")
        case Mapping():
            for key, part in value.items():
                _check_values(key, where)
                _check_values(part, f"{where}: {key}")
        case list():
            for part in value:
                _check_values(part, where)


def _advice(table: str, key: str) -> str:
    """Return the key that may be meant (``, did you mean `limit`?``), or all keys of the table."""
    keys = {"": [field.name for field in msgspec.structs.fields(Config)]}
    for field in msgspec.structs.fields(Config):
        for kind in (field.type, *get_args(field.type)):
            if inspect.isclass(kind) and issubclass(kind, Table):
                keys[field.name] = [entry.name for entry in msgspec.structs.fields(kind)]
    near = get_close_matches(key, keys.get(table, ()), 1)
    # The key may belong to another table.
    near += [f"{other}.{key}" for other, names in keys.items() if other and key in names]
    return f", did you mean `{near[0]}`?" if near else f"; known: {', '.join(keys[table])}"


_UNKNOWN = "unknown key `"

# Phrases of msgspec, and the words that replace them in messages.
_PLAIN = {
    "Object contains unknown field": "unknown key",
    "Object missing required field": "missing key",
    " | null": "",
    "Invalid enum value": "must be classification, regression or multi-target, not",
    "`object`": "a table",
    "array": "list",
}
