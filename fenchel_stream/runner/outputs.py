"""The sinks of a run, their positions for its checkpoints, and the record of a prediction."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from fenchel_stream.errors import CheckpointError, DataError, UnavailableError
from fenchel_stream.evaluation.prequential import Step
from fenchel_stream.streams.registry import open_sink
from fenchel_stream.streams.sink import Sink
from fenchel_stream.values import class_names

log = logging.getLogger(__name__)

RETRY = 0.5
"""Seconds between two attempts to open an output whose server does not answer."""

Marks = dict[str, dict[str, Any]]
"""For each output its URL and its position: JSON values, for the checkpoint."""


def prediction_records(
    where: list[str], step: Step, keys: Iterable[str | None] | None, model: str
) -> list[dict[str, Any]]:
    """Return one record for each prediction of a step.

    Parameters
    ----------
    where
        Labels of the rows.
    step
        Their predictions, and probabilities if the model gives them.
    keys
        Keys of the rows; None if the source has no keys.
    model
        Name of the model: `Config.digest`, and the number of rows that the model has learnt.

    Examples
    --------
    >>> from fenchel_stream.evaluation.prequential import Step
    >>> from fenchel_stream.runner.outputs import prediction_records
    >>> step = Step([True], [{True: 0.75, False: 0.25}], scored=0, correct=0, loss=None)
    >>> prediction_records(["a.csv:2"], step, None, "1a2b3c4d-100")
    [{'where': 'a.csv:2', 'prediction': True, 'model': '1a2b3c4d-100',
      'probabilities': {'True': 0.75, 'False': 0.25}}]

    Two classes of the same text, such as 1 and ``"1"``, have two names:

    >>> step = Step([1], [{1: 0.75, "1": 0.25}], scored=0, correct=0, loss=None)
    >>> prediction_records(["a.csv:2"], step, None, "1a2b3c4d-100")[0]["probabilities"]
    {'1': 0.75, '1 (str)': 0.25}
    """
    records: list[dict[str, Any]] = [
        {"where": place, "prediction": label, "model": model}
        for place, label in zip(where, step.labels, strict=True)
    ]
    if keys is not None:
        for record, key in zip(records, keys, strict=True):
            record["key"] = key
    if step.probabilities is not None:
        classes: list[Any] = []
        names: list[str] = []
        for record, probabilities in zip(records, step.probabilities, strict=True):
            if (labels := list(probabilities)) != classes:  # rarely: most rows have the same
                classes, names = labels, class_names(labels)
            record["probabilities"] = dict(zip(names, probabilities.values(), strict=True))
    return records


class Outputs:
    """The sinks of a run, open from `__enter__` to `__exit__`.

    Parameters
    ----------
    urls
        URL of each output by name; None for an output that is not wanted.
    options
        Options of each sink, by the name of its output.

    Attributes
    ----------
    on_outage
        Called about twice a second while a sink waits for a server that is away, with the seconds
        so far. It may raise an exception to give up.
    patient
        Wait for a server that does not answer when the outputs are opened, as a run should that
        resumes. Otherwise that is an error, since the configuration may be wrong.
    sinks
        The open sinks by the names of their outputs.
    marks
        Where each output ended at the last checkpoint that it took part in. An output that some
        runs leave out keeps its mark.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from fenchel_stream.runner.outputs import Outputs
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     urls = {"predictions": f"{folder}/p.jsonl", "rejects": None}
    ...     with Outputs(urls) as outputs:
    ...         marks = outputs.mark()
    ...         outputs.sinks["predictions"].write([{"prediction": True}])
    ...     with Outputs(urls) as outputs:
    ...         outputs.go_back(marks)
    ...     pathlib.Path(folder, "p.jsonl").read_text()
    True
    ''
    """

    def __init__(
        self,
        urls: Mapping[str, str | None],
        options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.urls = {name: url for name, url in urls.items() if url is not None}
        self.options = options or {}
        self.sinks: dict[str, Sink] = {}
        self.marks: Marks = {}
        self.on_outage: Callable[[float], None] = lambda seconds: None
        self.patient = False
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as resources:
            for name in self.urls:
                sink = self.sinks[name] = self._open(name)
                resources.callback(sink.close)
                sink.on_outage(self.on_outage)
            self._resources = resources.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with self._resources:
                if error is None:
                    for sink in self.sinks.values():
                        sink.flush()  # waits for a broker that is away, which `close` does not
        except (OSError, DataError):
            # An error that came before is the cause of this one, and says more.
            if error is None:
                raise

    def _open(self, name: str) -> Sink:
        begin = None
        while True:
            try:
                sink = open_sink(self.urls[name], **self.options.get(name, {}))
            except UnavailableError as error:
                if not self.patient:
                    raise
                if begin is None:
                    log.warning("output.%s: waits until it can be used again: %s", name, error)
                    begin = time.monotonic()
                self.on_outage(time.monotonic() - begin)
                time.sleep(RETRY)
            else:
                if begin is not None:
                    seconds = time.monotonic() - begin
                    log.warning("output.%s: can be used again, after %.0f s", name, seconds)
                return sink

    def clear(self, marks: Marks | None = None) -> None:
        """Drop the content of the outputs.

        Parameters
        ----------
        marks
            Where the outputs ended when an earlier run began that learnt nothing. The content
            before these marks is kept.
        """
        for name, sink in self.sinks.items():
            mark = (marks or {}).get(name, {})
            sink.truncate(mark["position"] if mark.get("url") == self.urls[name] else None)

    def go_back(self, marks: Marks) -> bool:
        """Drop the content after a checkpoint; return whether it has a mark for every output.

        An output without a mark, or with the mark of another URL, keeps its content.

        Raises
        ------
        CheckpointError
            An output holds less than at the checkpoint.
        """
        self.marks = dict(marks)
        known = {name for name, mark in marks.items() if mark["url"] == self.urls.get(name)}
        for name in known:
            self.sinks[name].truncate(self.marks[name]["position"])
        return known == self.sinks.keys()

    def mark(self) -> Marks:
        """Flush all outputs, and return where they end.

        Raises
        ------
        CheckpointError
            The disk refuses to write.
        """
        for name, sink in self.sinks.items():
            try:
                sink.flush()
            except OSError as error:
                raise CheckpointError(f"{self.urls[name]}: {error.strerror}") from error
            self.marks[name] = {"url": self.urls[name], "position": sink.position}
        return self.marks
