"""The tables of a configuration, one class each: their keys, types, defaults and meanings."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec


class Table(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A table of the file. Unknown keys and wrong types are errors that name the key."""


AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]
AtLeastZero = Annotated[int, msgspec.Meta(ge=0)]
AboveZero = Annotated[float, msgspec.Meta(gt=0)]
Threads = Annotated[int, msgspec.Meta(ge=1, le=1024)]
BatchSize = Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class SourceTable(Table, frozen=True):
    """``[source]``: the stream of rows, and what is to be predicted.

    Attributes
    ----------
    url
        URL of the stream, as ``csv:flights.csv.gz``, ``jsonl:-`` (standard input),
        ``parquet:FILE``, ``river:Phishing`` or the address of a topic.
    target
        The column to predict; a list of columns for several targets.
    kind
        ``classification``, ``regression`` or ``multi-target``.
    positive
        The class that becomes True, while all other classes become False. Metrics of one class
        against the others, such as ROCAUC, need it if the classes are not True and False.
    options
        Options of the source, such as the ``delimiter`` of a CSV file.
    """

    url: str
    target: str | list[str]
    kind: Literal["classification", "regression", "multi-target"] = "classification"
    positive: str | int | bool | None = None
    options: dict[str, Any] = {}


class LabelsTable(Table, frozen=True):
    """``[labels]``: a stream of labels, which come later than their events.

    Attributes
    ----------
    source
        URL of the stream. Its records need the columns of `key`, the target, and `time` if it is
        set. Other columns are not used.
    key
        The columns, in events and labels, by which a label finds its event; by default the key that
        each record has in its topic. They are not features.
    time
        The column, in events and labels, of their times: seconds since 1970, or a date and time of
        ISO 8601; by default the time that each record has in its topic. It is not a feature.
    ttl
        Seconds, in the time of the records, for which a prediction waits for its label. By default
        it waits without end.
    limit
        Largest number of predictions that wait. Beyond it the oldest are given up.
    options
        Options of the source.
    """

    source: str
    key: str | list[str] = []
    time: str | None = None
    ttl: AboveZero | None = None
    limit: AtLeastOne = 100_000
    options: dict[str, Any] = {}


class FeaturesTable(Table, frozen=True):
    """``[features]``: the roles of the columns, and the preprocessing.

    Attributes
    ----------
    one_hot
        Columns that hold categories. All other columns hold numbers.
    ignore
        Columns that are neither features nor targets.
    scale
        Columns to standardise online; true for all numbers, or false for none.
    """

    one_hot: list[str] = []
    ignore: list[str] = []
    scale: bool | list[str] = True


class MetricsTable(Table, frozen=True):
    """``[metrics]``: the metrics of the run, and where they are served.

    Attributes
    ----------
    names
        Class names of River metrics; by default Accuracy for classes, and MAE for numbers.
    window
        Number of rows over which windowed metrics are computed.
    port
        Port at which the figures are served for Prometheus, and the health of the run for an
        orchestrator. Port 0 is any free port. Without a port nothing is served.
    host
        Address to listen on.
    certfile
        PEM file of a certificate, with which the server speaks HTTPS.
    keyfile
        PEM file of the key of the certificate, if `certfile` does not hold it.
    stuck_after
        Seconds without a new batch or an answer of the source after which the run counts as stuck.
    """

    names: list[str] = []
    window: AtLeastOne = 1000
    port: AtLeastZero | None = None
    host: str = "127.0.0.1"
    certfile: str | None = None
    keyfile: str | None = None
    stuck_after: AboveZero = 300.0


class RunTable(Table, frozen=True):
    """``[run]``: how the stream is cut into batches, and when the run ends.

    Attributes
    ----------
    batch_size
        Number of records that are predicted and then learnt together.
    limit
        The run ends after the batch that reaches this number of records. Those of earlier runs
        count. By default the run ends with the stream.
    delay
        The label of a row arrives after this number of further rows.
    max_error_rate
        The run ends with an error if more than this share of the records is rejected.
    progress
        Whether to show a progress bar.
    threads
        Number of threads of the numerical libraries. More than one gains nothing for networks as
        small as these, and costs much on a busy machine.
    group
        Whether to share the partitions of the stream with all other runs that have the same
        checkpoint directory.
    """

    batch_size: BatchSize = 100
    limit: AtLeastOne | None = None
    delay: AtLeastZero = 0
    max_error_rate: Share = 1.0
    progress: bool = True
    threads: Threads = 1
    group: bool = False


class OutputTable(Table, frozen=True):
    """``[output]``: what the run writes; nothing by default.

    A file that exists is emptied only if an earlier run has written it, and otherwise refused.

    Attributes
    ----------
    predictions
        File of JSON lines, or address of a topic, for the prediction of each row.
    rejects
        File of JSON lines, or address of a topic, for the records that cannot be learnt.
    transactional
        Whether to commit the predictions of each batch to their topic as one transaction.
    plot
        Picture of the metrics. The suffix of the file is its format: ``png``, ``svg``, ``pdf``,
        ``jpg``, ``webp``, ``tif``, ``eps`` or ``ps``.
    """

    predictions: str | None = None
    rejects: str | None = None
    transactional: bool = False
    plot: str | None = None

    def __post_init__(self) -> None:
        if self.predictions is not None and self.predictions == self.rejects:
            raise ValueError("predictions and rejects cannot go to the same file")
        if self.transactional and self.predictions is None:
            raise ValueError("transactional needs predictions that go to a topic")


class CheckpointTable(Table, frozen=True):
    """``[checkpoint]``: where the state of the run is kept, and from where it resumes.

    Attributes
    ----------
    directory
        Directory of the checkpoints. A run resumes from the newest checkpoint in it.
    every
        Number of batches from one checkpoint to the next.
    keep
        Number of checkpoints to keep, beside those that have an alias.
    start
        A checkpoint of another directory, as ``directory/name`` or ``directory/alias``, from which
        the run resumes while its own directory has none.
    allow_pickle
        Whether to pickle and unpickle the model of a `factory` that cannot be stored otherwise.
        Loading a pickle runs whatever code it names: everyone who can write to the directory can
        run code as the user of the run.
    """

    directory: str
    every: AtLeastOne = 100
    keep: AtLeastOne = 3
    start: str | None = None
    allow_pickle: bool = False
