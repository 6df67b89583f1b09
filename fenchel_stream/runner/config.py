"""The configuration of a run: what a TOML file may say, checked before anything starts."""

from __future__ import annotations

import hashlib
import inspect
import json
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec

from fenchel_stream.errors import ConfigError


class Table(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A table of the file: unknown keys and wrong types are errors that name the key."""


AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]
AtLeastZero = Annotated[int, msgspec.Meta(ge=0)]
AboveZero = Annotated[float, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class SourceTable(Table, frozen=True):
    """``[source]``: where the rows come from and what is to be predicted.

    Attributes
    ----------
    url
        As ``csv:flights.csv.gz``, ``jsonl:-``, ``parquet:FILE``, ``river:Phishing`` or
        ``kafka://host:9092/topic``.
    target
        The column to predict; a list of them for several targets.
    kind
        ``classification``, ``regression`` or ``multi-target``.
    positive
        The class that becomes True, while all others become False: for metrics of one class
        against the others, such as ROCAUC, where the file calls them ``"1"`` and ``"0"``.
    options
        Passed to the source, as the ``delimiter`` of a CSV file.
    """

    url: str
    target: str | list[str]
    kind: Literal["classification", "regression", "multi-target"] = "classification"
    positive: str | int | bool | None = None
    options: dict[str, Any] = {}


class LabelsTable(Table, frozen=True):
    """``[labels]``: a stream of its own on which the labels come, later than the events.

    Attributes
    ----------
    source
        Its URL, of any source. Its records need the columns of `key`, the target, and perhaps
        `time`; others are not used.
    key
        The columns, in events and labels, by which a label finds its event; by default the key
        that each record has in its topic. They are no features.
    time
        The column, in events and labels, of their times: seconds since 1970, or a date and time of
        ISO 8601; by default the time that each record has in its topic. It is no feature.
    ttl
        Seconds, of those times, after which nobody waits any more; for ever by default.
    limit
        How many predictions may wait; beyond it the oldest are given up.
    options
        Passed to the source.
    """

    source: str
    key: str | list[str] = []
    time: str | None = None
    ttl: AboveZero | None = None
    limit: AtLeastOne = 100_000
    options: dict[str, Any] = {}


class FeaturesTable(Table, frozen=True):
    """``[features]``: what each column is, and the preprocessing.

    Attributes
    ----------
    one_hot
        Columns that hold categories. All others hold numbers.
    ignore
        Columns that are neither features nor targets.
    scale
        Columns to standardise online; true for all numbers, or false.
    """

    one_hot: list[str] = []
    ignore: list[str] = []
    scale: bool | list[str] = True


class MetricsTable(Table, frozen=True):
    """``[metrics]``: how well the model does, and who can see it.

    Attributes
    ----------
    names
        River metrics by class name; by default Accuracy, or MAE.
    window
        Rows that windowed metrics look back on.
    port, host
        Where Prometheus finds the figures, and an orchestrator the state of health; nowhere
        without a port. Port 0 is any free one.
    certfile, keyfile
        PEM files of a certificate and its key: with them, HTTPS.
    stuck_after
        Seconds after which a run whose loop does not turn is reported as stuck.
    """

    names: list[str] = []
    window: AtLeastOne = 1000
    port: AtLeastZero | None = None
    host: str = "127.0.0.1"
    certfile: str | None = None
    keyfile: str | None = None
    stuck_after: AboveZero = 300.0


class RunTable(Table, frozen=True):
    """``[run]``: how the stream is cut and when to stop.

    Attributes
    ----------
    batch_size
        Records that are predicted, then learnt together.
    limit
        Stop after the batch that reaches so many records, those of earlier runs included.
    delay
        The label of a row arrives after so many further rows.
    max_error_rate
        Stop with an error if more than this share of the records is rejected.
    progress
        Show a progress bar.
    threads
        Threads of the libraries that compute. For networks as small as these more than one gain
        nothing, and lose much on a busy machine.
    group
        Share the parts of the stream, such as the partitions of a topic, with all other runs that
        have the same checkpoint directory.
    """

    batch_size: AtLeastOne = 100
    limit: AtLeastOne | None = None
    delay: AtLeastZero = 0
    max_error_rate: Share = 1.0
    progress: bool = True
    threads: AtLeastOne = 1
    group: bool = False


class OutputTable(Table, frozen=True):
    """``[output]``: files that the run writes; none by default.

    Attributes
    ----------
    predictions, rejects
        JSON lines: what was predicted for each row, and the records that were not learnt. Or
        topics, as ``kafka://host:9092/predictions``.
    transactional
        Commit the predictions of each batch to their topic as one transaction.
    plot
        A picture of the metrics; its suffix is its format.
    """

    predictions: str | None = None
    rejects: str | None = None
    transactional: bool = False
    plot: str | None = None

    def __post_init__(self) -> None:
        if self.predictions is not None and self.predictions == self.rejects:
            raise ValueError("predictions and rejects cannot go to the same file")
        if self.transactional and not (self.predictions or "").startswith("kafka:"):
            raise ValueError("transactional is for predictions that go to a topic")


class CheckpointTable(Table, frozen=True):
    """``[checkpoint]``: where state is kept; a run goes on from what it finds there.

    Attributes
    ----------
    directory
        Where the checkpoints are.
    every
        Batches from one checkpoint to the next.
    keep
        How many of them stay, beside those that have an alias.
    start
        As ``directory/name`` or ``directory/alias``, a checkpoint of another directory to go on
        from while this one has none.
    allow_pickle
        Whether to pickle, and to unpickle, the model of a `factory` that cannot be stored
        otherwise. Loading a pickle runs whatever code it names: whoever can write to the
        directory can run code as the user of the run.
    """

    directory: str
    every: AtLeastOne = 100
    keep: AtLeastOne = 3
    start: str | None = None
    allow_pickle: bool = False


class Config(Table, frozen=True):
    """A whole configuration.

    Attributes
    ----------
    source, labels, features, metrics, run, output, checkpoint
        The other tables. Only ``[source]`` is needed.
    model
        Parameters of the Fenchel estimator for the kind of target, or
        ``factory = "module:function"`` and the arguments of that function, which returns any
        River model.
    kafka
        Options of the Kafka client, for every address of the scheme ``kafka``.

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
    model: dict[str, Any] = {}
    metrics: MetricsTable = MetricsTable()
    run: RunTable = RunTable()
    output: OutputTable = OutputTable()
    checkpoint: CheckpointTable | None = None
    kafka: dict[str, Any] = {}

    def sink(self, output: Literal["predictions", "rejects"], writer: str) -> dict[str, Any]:
        """Return what the sink of an output needs to know beside its URL.

        What a run puts into a topic is told from what others put there by its `writer`.
        """
        url = getattr(self.output, output)
        if url is None or not url.startswith("kafka:"):
            return {}
        found = {**self.client(url), "writer": writer}
        if output == "predictions":
            return {**found, "key": "key", "transactional": self.output.transactional}
        return {**found, "key": "where"}

    def digest(self) -> str:
        """Return a short name for all that decides what is learnt."""
        text = json.dumps(self.identity(), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def client(self, url: str) -> dict[str, Any]:
        """Return what a source or sink at `url` needs to know beside options of its own."""
        return {"client": self.kafka} if self.kafka and url.startswith("kafka:") else {}

    def __post_init__(self) -> None:
        if self.labels is not None and self.run.delay:
            raise ValueError("run.delay and [labels] are two ways for labels to come late")
        if self.output.transactional and self.checkpoint is None:
            raise ValueError("output.transactional needs a [checkpoint], to know what is published")

    def identity(self) -> dict[str, dict[str, Any]]:
        """Return what a checkpoint must agree on: everything that decides what is learnt."""
        tables = msgspec.to_builtins(self)
        del tables["source"]["options"]  # how to read, not what; there may be passwords among them
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


def difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Return in words the first setting in which two identities differ, empty if they are one.

    Examples
    --------
    >>> from fenchel_stream.runner.config import difference
    >>> difference({"run": {"delay": 5}}, {"run": {"delay": 0}})
    'run.delay = 5, and this run has 0'
    """
    for table, values in wanted.items():
        before = found.get(table, {})
        for key in [*values, *(before.keys() - values.keys())]:
            old, new = before.get(key), values.get(key)
            if old != new:
                return f"{table}.{key} = {old!r}, and this run has {new!r}"
    return ""


def parse(tables: Mapping[str, Any], origin: str = "configuration") -> Config:
    """Return the configuration that `tables` spell.

    Raises
    ------
    ConfigError
        A key is unknown or missing, or a value has the wrong type or is out of range; the message
        begins with `origin`.
    """
    try:
        return msgspec.convert(tables, Config)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        where = where.removesuffix("`")
        for word, plain in _PLAIN.items():
            what = what.replace(word, plain)
        if what.startswith(_UNKNOWN):
            what += _near(where, what[len(_UNKNOWN) : -1])
        raise ConfigError(": ".join(filter(None, (origin, where, what)))) from None


def load(path: Path | None, settings: Mapping[str, Any] | None = None) -> Config:
    """Read a TOML file and put `settings` over it, whose keys are as ``run.limit``.

    Raises
    ------
    ConfigError
        The file cannot be read, is not TOML, or does not spell a configuration.
    """
    tables: dict[str, Any] = {}
    origin = "configuration" if path is None else f"configuration {path}"
    if path is not None:
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{origin}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ConfigError(f"{origin} is not TOML: {error}") from error
    for key, value in (settings or {}).items():
        _put(tables, key, value)
    return parse(tables, origin)


def setting(text: str) -> tuple[str, Any]:
    """Return the key and the value of a text ``table.key=value``.

    The value is TOML; what is none is a string, so that a shell needs no quotes.

    Raises
    ------
    ConfigError
        The text has another form.

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
    except (tomllib.TOMLDecodeError, RecursionError):
        return key, value.strip()


def _put(tables: dict[str, Any], key: str, value: Any) -> None:
    *path, name = key.split(".")
    for part in path:
        tables = tables.setdefault(part, {})
        if not isinstance(tables, dict):
            raise ConfigError(f"setting {key}: {part} is no table")
    tables[name] = value


def _near(table: str, key: str) -> str:
    """Return which key was meant, or those that there are: ``, did you mean `limit`?``."""
    keys = {"": [field.name for field in msgspec.structs.fields(Config)]}
    for field in msgspec.structs.fields(Config):
        for kind in (field.type, *get_args(field.type)):
            if inspect.isclass(kind) and issubclass(kind, Table):
                keys[field.name] = [one.name for one in msgspec.structs.fields(kind)]
    near = get_close_matches(key, keys.get(table, ()), 1)
    # A key may have gone to the wrong table.
    near += [f"{other}.{key}" for other, names in keys.items() if other and key in names]
    return f", did you mean `{near[0]}`?" if near else f"; known: {', '.join(keys[table])}"


_UNKNOWN = "unknown key `"

# What msgspec calls things.
_PLAIN = {
    "Object contains unknown field": "unknown key",
    "Object missing required field": "missing key",
    " | null": "",
    "Invalid enum value": "must be classification, regression or multi-target, not",
    "`object`": "a table",
    "array": "list",
}
