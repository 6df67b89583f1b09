"""The runner: source, check, predict, score, learn, checkpoint, until the stream or a signal ends.

What a run knows between two batches is one state, written into one checkpoint: the pipeline and
its metrics, the curve, the counts of rejected rows, and the positions of the source and of the
files written. A run that is killed goes on from its last checkpoint as if nothing had happened.
"""

from __future__ import annotations

import logging
import sys
import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from math import isfinite
from pathlib import Path
from typing import Any

import polars as pl
from river.metrics.base import BinaryMetric
from threadpoolctl import threadpool_limits
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from fenchel_stream.checkpoint import CheckpointInfo, CheckpointStore
from fenchel_stream.errors import CheckpointError, ConfigError
from fenchel_stream.estimators.base import FenchelEstimator
from fenchel_stream.evaluation.curve import Curve
from fenchel_stream.evaluation.prequential import Prequential, Step
from fenchel_stream.evaluation.result import Evaluation
from fenchel_stream.late_labels.join_check import CheckedPart, JoinCheck
from fenchel_stream.late_labels.late_labels import LateLabels
from fenchel_stream.network.report import StepReport
from fenchel_stream.runner.build import build_metrics, build_model
from fenchel_stream.runner.config import Config, difference
from fenchel_stream.runner.dead_letters import RejectLog
from fenchel_stream.runner.monitor import Monitor, open_monitor
from fenchel_stream.runner.outputs import Marks, Outputs
from fenchel_stream.runner.signals import StopSignals
from fenchel_stream.streams.source import Batch, LiveSource, Position, open_source
from fenchel_stream.validation.row_check import REASONS, CheckedRows, RowCheck

log = logging.getLogger(__name__)


class Learner:
    """One run, as a configuration describes it.

    Nothing is opened or written before `run`.

    Parameters
    ----------
    config
        What to learn, from where, and what to write.

    Raises
    ------
    ConfigError
        Something that the configuration names does not exist.

    Examples
    --------
    >>> from fenchel_stream.runner.config import parse
    >>> from fenchel_stream.runner.learner import Learner
    >>> source = {"url": "river:Phishing", "target": "target"}
    >>> result = Learner(parse({"source": source, "run": {"progress": False}})).run()
    >>> result.rows, result.metrics["Accuracy"] > 0.85
    (1250, True)

    The model of a run, from its checkpoints:

    >>> import tempfile
    >>> from fenchel_stream.checkpoint import CheckpointStore
    >>> directory = tempfile.TemporaryDirectory()
    >>> run = {"progress": False, "limit": 500}
    >>> config = {"source": source, "run": run, "checkpoint": {"directory": directory.name}}
    >>> _ = Learner(parse(config)).run()
    >>> learner = Learner(parse(config))
    >>> CheckpointStore(directory.name).load({"test": learner.test})["records"]
    500
    >>> model = learner.test.model.model  # has predict_one, predict_many and their kin
    >>> directory.cleanup()
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.digest = config.digest()
        source, features, run = config.source, config.features, config.run
        self.source = open_source(source.url, **source.options, **config.client(source.url))
        self.check: RowCheck | JoinCheck = RowCheck(
            source.target,
            source.kind,
            positive=source.positive,
            one_hot=features.one_hot,
            ignore=features.ignore,
        )
        self.late = None if config.labels is None else LateLabels(config, self.source)
        if self.late is not None:
            self.source, self.check = self.late.source, self.late.check
        self.test = Prequential(
            build_model(config),
            build_metrics(config),
            delay=run.delay,
            window=config.metrics.window,
            probabilities=source.kind == "classification" and "factory" not in config.model,
        )
        self.curve = Curve(config.metrics.window)
        self.rejects = RejectLog(max_error_rate=run.max_error_rate)
        self.outputs = Outputs({})  # until they are opened
        self.writer = uuid.uuid4().hex[:16]  # until a checkpoint knows better
        self.store: CheckpointStore | None = None
        self.monitor: Monitor | None = None
        self.position: Position | None = None
        self.records = 0
        self.first = 0  # records of earlier runs
        self.stopped = False
        self.seconds = 0.0

    def run(self) -> Evaluation:
        """Learn until the stream, the limit or a signal ends it, once.

        Returns
        -------
        Evaluation
            Of the whole stream so far, the part that earlier runs learnt included. Rows whose
            label has not come by the end are not in it; they wait in the checkpoint.

        Raises
        ------
        ConfigError
            Something cannot be written or served where the configuration says.
        DataError
            A needed column is missing, or too many rows were rejected.
        CheckpointError
            The checkpoint directory is in use or holds the state of another configuration, or
            the last checkpoint could not be written.
        """
        settings, limit = self.config.checkpoint, self.config.run.limit
        with ExitStack() as held:
            held.enter_context(threadpool_limits(self.config.run.threads))
            stop = held.enter_context(StopSignals())
            self._open(held)
            bar = held.enter_context(self._bar())
            held.enter_context(logging_redirect_tqdm())
            start = time.perf_counter() - self.seconds
            live = isinstance(self.source, LiveSource)
            batches = self.source.batches(self.config.run.batch_size, self.position)
            # Now, not at some later collection: a broker should know that nobody reads on.
            held.callback(getattr(batches, "close", lambda: None))
            batches = iter(batches)
            since = 0  # batches after the last checkpoint
            while limit is None or self.records < limit:
                self._turn()
                if (batch := stop.next(batches, interrupt=not live)) is None:
                    break
                if not (batch.where or batch.rejects):
                    self._idle(batch.position)
                    continue
                self._learn(batch)
                since += 1
                self.seconds = time.perf_counter() - start
                bar.set_postfix_str(str(self.test.scores), refresh=False)
                bar.update(self.records - bar.n)
                if settings and since % settings.every == 0 and self._save():
                    since = 0
            if self.monitor is not None:
                self.monitor.stop()
            self.stopped = stop.came is not None
            if stop.came:
                log.info(
                    "%s: ended after %d records",
                    stop.came.name,
                    self.records,
                    extra={"records": self.records},
                )
            self.check.end()
            if since:
                self._save(must=True)
        outcome = self._outcome()
        self._plot(outcome)
        return outcome

    def step(self, batch: Batch, checked: CheckedRows) -> Step:
        """Predict, score and learn what a batch brings, once it was checked."""
        if self.late is not None and isinstance(checked, CheckedPart):
            return self.late.step(self.test, batch, checked)
        return self.test.step(checked.X, checked.y)

    def _open(self, held: ExitStack) -> None:
        """Take what the run needs, and go back to the last checkpoint if there is one."""
        settings, metrics = self.config.checkpoint, self.config.metrics
        if settings is not None:
            self.store = held.enter_context(CheckpointStore(settings.directory, settings.keep))
            if (newest := self.store.latest()) is not None:
                self.writer = newest.meta.get("writer", self.writer)
        if metrics.port is not None:
            self.monitor = open_monitor(
                f"prometheus:{metrics.host}:{metrics.port}",
                certfile=metrics.certfile,
                keyfile=metrics.keyfile,
                stuck_after=metrics.stuck_after,
            )
            held.callback(self.monitor.close)
        output = self.config.output
        self.outputs = Outputs(
            {"predictions": output.predictions, "rejects": output.rejects},
            {
                "predictions": self.config.sink("predictions", self.writer),
                "rejects": self.config.sink("rejects", self.writer),
            },
        )
        held.enter_context(self.outputs)
        self.rejects.sink = self.outputs.sinks.get("rejects")
        held.callback(self.rejects.close)
        marks = self._resume()
        self._plot(self._outcome())  # what cannot be drawn should fail now, not after hours
        if marks is None:
            self.outputs.clear(self._marks_of_nothing())
        forked = self.store is not None and self._own(self.store) is None
        if marks is None or not self.outputs.go_back(marks) or forked:
            # So should what cannot be stored; and a crash must find where a new output began.
            self._save(must=True)
        if self.monitor is not None:
            self.monitor.rejected({**dict.fromkeys(REASONS, 0), **self.rejects.counts})

    def _turn(self) -> None:
        if self.monitor is not None:
            self.monitor.turn(getattr(self.source, "waits", False))

    def _idle(self, position: Position) -> None:
        """Hear from the source that it has nothing new, and where it is."""
        first = position and not self.records and position != self.position
        self.position = position
        if first:
            # The source may have begun at its end, which will have moved when it is asked again.
            self._save()

    def _learn(self, batch: Batch) -> None:
        checked = self.check(batch)
        rejects = [*batch.rejects, *checked.rejects]
        step, seconds = None, 0.0
        if len(checked.X):
            self._check_labels(checked.y)
            begin, learnt = time.perf_counter(), self.test.learnt
            step = self.step(batch, checked)
            seconds = time.perf_counter() - begin
            self.curve.follow(self.test.learnt, self.test.scores)
        if self.store is not None:
            self.store.confirm()  # a file of predictions does not know whose they are
        if step is not None and step.labels:
            self._write(batch, checked, step, learnt)
        records = len(batch.rows) + len(batch.rejects)
        self.records += records
        self.position = batch.position
        if self.monitor is not None:
            self.monitor.batch(records, step, seconds, self._report())
            if self.late is not None:
                self.monitor.joined(self.late.join.figures)
        self.rejects.record(rejects, accepted=len(checked.X))
        if self.monitor is not None and rejects:
            self.monitor.rejected(self.rejects.counts)

    def _check_labels(self, y: pl.Series | pl.DataFrame) -> None:
        """Raise ConfigError where a metric of True and False would see neither."""
        if isinstance(y, pl.Series) and y.dtype == pl.String:
            for metric in self.test.scores.metrics:
                if isinstance(metric, BinaryMetric):
                    raise ConfigError(
                        f"metrics.names: {type(metric).__name__} is about one class against all "
                        f'others: name that class, as in source.positive = "{y[0]}"'
                    )

    def _report(self) -> StepReport | None:
        last = self.test.model.last
        return last.report if isinstance(last, FenchelEstimator) else None

    def _write(self, batch: Batch, checked: CheckedRows, step: Step, learnt: int) -> None:
        sink = self.outputs.sinks.get("predictions")
        if sink is None:
            return
        model = f"{self.digest}-{learnt}"
        records: list[dict[str, Any]] = [
            {"where": where, "prediction": label, "model": model}
            for where, label in zip(checked.where, step.labels, strict=True)
        ]
        keys = checked.keys if isinstance(checked, CheckedPart) else batch.keys
        if keys is not None and keys is batch.keys and checked.numbers is not None:
            keys = keys[checked.numbers]
        for record, key in zip(records, () if keys is None else keys, strict=False):
            record["key"] = key
        for record, probabilities in zip(records, step.probabilities or (), strict=False):
            record["probabilities"] = {str(label): p for label, p in probabilities.items()}
        sink.write(records)

    def _state(self) -> dict[str, Any]:
        state = {"test": self.test, "curve": self.curve, "counts": self.rejects.counts}
        return state if self.late is None else {**state, "join": self.late.join}

    def _save(self, must: bool = False) -> bool:
        """Write a checkpoint; return False if the disk refuses it, unless it `must` be written."""
        settings = self.config.checkpoint
        if self.store is None or settings is None:
            return False
        meta = {
            "identity": self.config.identity(),
            "writer": self.writer,
            "records": self.records,
            "accepted": self.rejects.accepted,
            "rejected": dict(self.rejects.counts),
            "metrics": {
                name: value if isfinite(value) else None
                for name, value in self.test.scores.cumulative.items()
            },
            "seconds": self.seconds,
            "position": self.position,
        }
        if self.late is not None:
            meta["labels"] = self.late.join.figures
        try:
            meta["outputs"] = self.outputs.mark()
            self.store.save(self._state(), meta, allow_pickle=settings.allow_pickle)
        except CheckpointError as error:
            if self.monitor is not None:
                self.monitor.checkpoint(error)
            # A disk may recover; a state that cannot be stored will not.
            if must or not isinstance(error.__cause__, OSError):
                raise
            log.error("%s; learning goes on, and the checkpoint before stays valid", error)
            return False
        if isinstance(self.source, LiveSource) and self.position is not None:
            self.source.saved(self.position)
        if self.monitor is not None:
            self.monitor.checkpoint()
        return True

    def origin(self) -> tuple[CheckpointStore, CheckpointInfo] | None:
        """Return the checkpoint from which a run would go on, None if it would begin anew.

        Raises
        ------
        CheckpointError
            It was made with other settings, or is damaged.
        """
        settings = self.config.checkpoint
        if settings is None:
            return None
        store = self.store or CheckpointStore(settings.directory, settings.keep)
        info = self._own(store)
        if info is None and settings.start is not None:
            start = Path(settings.start)
            store = CheckpointStore(start.parent)
            info = store.verify(start.name)
        if info is None:
            return None
        if different := difference(info.meta.get("identity", {}), self.config.identity()):
            raise CheckpointError(
                f"checkpoint {info.path} was made with {different}: restore the setting, or "
                "choose another checkpoint directory"
            )
        return store, info

    def beginning(self) -> Position | None:
        """Return where a run that has learnt nothing so far began to read the same streams."""
        settings = self.config.checkpoint
        if settings is None:
            return None
        store = self.store or CheckpointStore(settings.directory, settings.keep)
        newest = store.latest()
        if newest is None or newest.meta.get("records") != 0:
            return None
        # Settings may have been mended since, but a position means nothing in another stream.
        same = _streams(newest.meta.get("identity", {})) == _streams(self.config.identity())
        return newest.meta["position"] if same else None

    def _marks_of_nothing(self) -> Marks:
        """Return where the outputs ended when a run began that never came to a checkpoint."""
        newest = None if self.store is None else self.store.latest()
        marks: Marks = {} if newest is None else newest.meta.get("outputs", {})
        return marks

    @staticmethod
    def _own(store: CheckpointStore) -> CheckpointInfo | None:
        """Return the newest checkpoint of the run's own directory, if it has learnt anything."""
        newest = store.latest()
        # Some are only written to see that they can be: who starts again may have mended the rest.
        return None if newest is None or newest.meta.get("records") == 0 else newest

    def _resume(self) -> Marks | None:
        """Go back to the last checkpoint, if one has learnt anything; return its outputs' marks."""
        settings = self.config.checkpoint
        if settings is None:
            return None
        if (found := self.origin()) is None:
            self.position = self.beginning()
            if self.position is not None:
                log.info(
                    "begins where an earlier run began that learnt nothing, unless start has "
                    "changed since; to begin anew, choose another directory than %s",
                    settings.directory,
                )
            return None
        store, info = found
        meta = store.load(self._state(), info.name, allow_pickle=settings.allow_pickle)
        self.records = self.first = meta["records"]
        self.seconds = meta["seconds"]
        self.position = meta["position"]
        self.rejects.accepted = meta["accepted"]
        self.check.resumed = True
        log.info(
            "resumed from checkpoint %s after %d records",
            info.name if store is self.store else info.path,
            self.records,
            extra={"checkpoint": str(info.path), "records": self.records},
        )
        # Another run's outputs are not this one's to cut.
        marks: Marks = meta["outputs"] if store is self.store else {}
        return marks

    def _outcome(self) -> Evaluation:
        return Evaluation(
            metrics=self.test.scores.cumulative,
            curve=self.curve.to_frame(self.test.learnt, self.test.scores),
            window=self.config.metrics.window,
            rows=self.test.learnt,
            rejected=self.rejects.counts.total(),
            seconds=self.seconds,
            notes=(*self.check.notes, *([] if self.late is None else [str(self.late.join)])),
        )

    def _plot(self, outcome: Evaluation) -> None:
        if self.config.output.plot is not None:
            outcome.save_plot(Path(self.config.output.plot))

    def _bar(self) -> tqdm[Any]:
        total = min(filter(None, (self.source.total, self.config.run.limit)), default=None)
        return tqdm(
            total=total,
            initial=self.records,
            unit=" rows",
            unit_scale=True,
            # A log file should not fill up with bars.
            mininterval=0.1 if sys.stderr.isatty() else 10.0,
            disable=not self.config.run.progress,
        )


def _streams(identity: Mapping[str, Any]) -> tuple[Any, Any]:
    return identity.get("source", {}).get("url"), identity.get("labels", {}).get("source")
