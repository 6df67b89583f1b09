"""The runner: read, check, predict, score, learn and save, until the stream or a signal ends it.

A checkpoint is written between two batches and holds the whole state of a run: the pipeline and its
metrics, the curve, the counts of rejected rows, and the positions of the source and of the outputs.
A run that was killed resumes from its last checkpoint and gives the result of an uninterrupted run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from math import isfinite
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits
from tqdm.contrib.logging import logging_redirect_tqdm

from fenchel_stream.errors import CheckpointError, DataError
from fenchel_stream.estimators.base import FenchelEstimator
from fenchel_stream.evaluation.curve import Curve
from fenchel_stream.evaluation.prequential import Step
from fenchel_stream.evaluation.refusals import Refusal, RefusedRowsError
from fenchel_stream.evaluation.result import Evaluation
from fenchel_stream.network.report import StepReport
from fenchel_stream.runner.build import (
    build_labels,
    build_monitor,
    build_outputs,
    build_test,
    check_classes,
)
from fenchel_stream.runner.config import Config
from fenchel_stream.runner.dead_letters import RejectLog, refused_record
from fenchel_stream.runner.files import check_files
from fenchel_stream.runner.monitor import Monitor, NullMonitor
from fenchel_stream.runner.outputs import Marks, prediction_records
from fenchel_stream.runner.progress import ProgressBar, progress_bar
from fenchel_stream.runner.resume import RunCheckpoints, using_state
from fenchel_stream.runner.signals import StopSignals
from fenchel_stream.streams.source import Batch, Position, Reject
from fenchel_stream.validation.doubt import FirstRecords
from fenchel_stream.validation.row_check import REASONS, CheckedRows

log = logging.getLogger(__name__)


class Learner:
    """One run of a configuration. Nothing is opened or written before `run`.

    Parameters
    ----------
    config
        What to learn, from where, and what to write.
    reads
        Further files that must not be written to, such as that of the configuration.

    Attributes
    ----------
    test
        The model, as ``test.model.model``, and its scores.
    labels
        The stream, and the way in which labels come.
    records, first
        Number of records so far, and the number of those that earlier runs have read.
    stopped
        Whether a signal has ended the run.

    Raises
    ------
    ConfigError
        Something that the configuration names does not exist.

    Examples
    --------
    >>> from fenchel_stream.runner import Learner, parse
    >>> source = {"url": "river:Phishing", "target": "target"}
    >>> result = Learner(parse({"source": source, "run": {"progress": False}})).run()
    >>> result.rows, result.metrics["Accuracy"] > 0.85
    (1250, True)

    To get the model of a run from its checkpoints, make a fresh `Learner` of the same configuration
    and call ``CheckpointStore(directory).load({"test": learner.test})``.
    """

    def __init__(self, config: Config, reads: Iterable[Path] = ()) -> None:
        self.config = config
        self.reads = tuple(reads)
        self.digest = config.digest()
        self.labels = build_labels(config)
        self.test = build_test(config)
        self.curve = Curve(config.metrics.window)
        self.rejects = RejectLog(max_error_rate=config.run.max_error_rate)
        self.checkpoints = RunCheckpoints(config)
        self.writer = ""  # known once the checkpoints are open
        self.outputs = build_outputs(config, self.writer)
        self.willing = FirstRecords("is taken by the model")
        self.monitor: Monitor = NullMonitor()
        self.signals = StopSignals()
        self.position: Position | None = None
        self.records = 0
        self.first = 0
        self.stopped = False
        self.seconds = 0.0

    def run(self) -> Evaluation:
        """Learn until the stream, the limit or a signal ends the run. Call it once.

        Returns
        -------
        Evaluation
            Of the whole stream so far, including the records of earlier runs. Rows whose label has
            not come by the end are not in it; they wait in the checkpoint.

        Raises
        ------
        ConfigError
            An output cannot be written, or the metrics cannot be served.
        DataError
            A needed column is missing, or too many rows were rejected.
        CheckpointError
            The checkpoint directory is in use or holds the state of another configuration, or
            the last checkpoint could not be written.
        """
        with ExitStack() as resources:
            resources.enter_context(threadpool_limits(self.config.run.threads))
            resources.enter_context(self.signals)
            self._open(resources)
            limit = self.config.run.limit
            total = min(filter(None, (self.labels.source.total, limit)), default=None)
            bar = progress_bar(total, self.records, show=self.config.run.progress)
            resources.enter_context(bar)
            resources.enter_context(logging_redirect_tqdm())
            with self._using_state():
                reading = self.labels.source.reading(self.config.run.batch_size, self.position)
                batches = resources.enter_context(reading)
            self._follow(batches, bar)
        outcome = self._outcome()
        self._plot(outcome)
        return outcome

    def check_files(self) -> None:
        """Make sure that the run would destroy no file but outputs of earlier runs.

        Raises
        ------
        ConfigError
            An output is a file that the run reads, or exists and is no output of a run.
        """
        metrics = self.config.metrics
        certificates = [Path(file) for file in (metrics.certfile, metrics.keyfile) if file]
        reads = {
            "the stream": self.labels.source.files,
            "the configuration": self.reads,
            "the TLS certificate": certificates,
        }
        check_files(self.config, reads)

    def _open(self, resources: ExitStack) -> None:
        """Open what the run needs, and go back to the last checkpoint, if any."""
        self.check_files()
        resources.enter_context(self.checkpoints)
        self.writer = self.checkpoints.writer()
        self.monitor = build_monitor(self.config)
        resources.callback(self.monitor.close)
        outputs = build_outputs(self.config, self.writer)
        outputs.on_outage = self._wait
        outputs.patient = self.checkpoints.own() is not None
        self.outputs = resources.enter_context(outputs)
        self.rejects.sink = self.outputs.sinks.get("rejects")
        resources.callback(self.rejects.close)
        marks = self._resume()
        with self._using_state():
            outcome = self._outcome()
        self._plot(outcome)  # a plot that cannot be drawn must fail now, not after hours
        if marks is None:
            self.outputs.clear(self.checkpoints.first_marks())
        with self._using_state():
            whole = marks is not None and self.outputs.go_back(marks)
        if not whole or self.checkpoints.own() is None:
            # A state that cannot be stored must fail now too. The checkpoint also keeps where a new
            # output began, because a run that resumes after a crash needs it.
            self._save(must=True)
        self.monitor.rejected({**dict.fromkeys(REASONS, 0), **self.rejects.counts})

    def _resume(self) -> Marks | None:
        """Restore the state of the last checkpoint; return the marks of its outputs.

        Returns
        -------
        marks
            None if the run begins anew.
        """
        meta = self.checkpoints.load(self._state())
        if meta is None:
            self.position = self.checkpoints.beginning()
            if self.position is not None:
                log.info(
                    "an earlier run has learnt nothing; this run begins where it began, unless "
                    "start has changed since; to begin anew, choose another checkpoint directory"
                )
            return None
        self.records = self.first = meta["records"]
        self.seconds = meta["seconds"]
        self.position = meta["position"]
        self.rejects.accepted = meta["accepted"]
        if self.rejects.accepted:
            self.labels.resume()
            self.willing.doubts.resumed = True
        marks: Marks = meta["outputs"]
        return marks

    def _follow(self, batches: Iterator[Batch], bar: ProgressBar) -> None:
        """Learn one batch after another, and write checkpoints, until the run ends."""
        start = time.perf_counter() - self.seconds
        limit = self.config.run.limit
        unsaved = 0  # batches after the last checkpoint
        while limit is None or self.records < limit:
            self._turn()
            with self._using_state():
                batch = self.signals.next(batches, interrupt=not self.labels.source.live)
            if batch is None:
                break
            if not batch.records:
                self._idle(batch.position)
                continue
            with self._using_state():
                self._learn(batch)
            unsaved += 1
            self.seconds = time.perf_counter() - start
            bar.set_postfix_str(str(self.test.scores), refresh=False)
            bar.update(self.records - bar.n)
            # Until a record was accepted, the configuration may be wrong. The next run begins anew.
            if self.rejects.accepted and self.checkpoints.due(unsaved) and self._save():
                unsaved = 0
        self.monitor.stop()
        if self.signals.received:
            self.stopped = True
            log.info(
                "%s: ended after %d records",
                self.signals.received.name,
                self.records,
                extra={"records": self.records},
            )
        # At a signal or a limit, the stream may still hold records that can be learnt.
        cut = self.stopped or (limit is not None and self.records >= limit)
        self.labels.end(cut)
        if not cut:
            self.willing.end()
        if unsaved:
            self._save(must=True)

    def _using_state(self) -> AbstractContextManager[None]:
        return using_state(untried=self.records == self.first > 0)

    def _turn(self) -> None:
        self.monitor.turn(self.labels.source.waits, self.labels.source.outage_seconds)

    def _wait(self, outage: float) -> None:
        """Show that the run lives while an output waits, and give up once a signal has come."""
        self.monitor.turn(outage=outage)
        if outage and self.signals.received:
            raise DataError(
                f"{self.signals.received.name}: an output cannot be written, because its broker is "
                "away; the run resumes from its last checkpoint, and publishes the rest then"
            )

    def _idle(self, position: Position) -> None:
        """Note the position of a source that has no records now."""
        begins = position and not self.records and position != self.position
        self.position = position
        if begins:
            # A source that begins at the end of its stream would begin at a later end next time.
            self._save()

    def _learn(self, batch: Batch) -> None:
        checked = self.labels.check(batch)
        rejects = [*batch.rejects, *checked.rejects]
        step, seconds, learnt = None, 0.0, self.test.learnt
        refused: list[Reject] = []
        if len(checked.X):
            check_classes(self.test, checked.y)
            begin = time.perf_counter()
            step, checked, refused = self._step(batch, checked)
            seconds = time.perf_counter() - begin
            self.willing.look(self.test.learnt - learnt, refused)
            self.curve.follow(self.test.learnt, self.test.scores)
        # A file accepts predictions from any process, so this one must still own the run.
        self.checkpoints.confirm()
        predictions = self.outputs.sinks.get("predictions")
        if predictions is not None and step is not None and step.labels:
            keys = self.labels.keys(batch, checked)
            model = f"{self.digest}-{learnt}"
            predictions.write(prediction_records(checked.where, step, keys, model))
        self.records += batch.records
        self.position = batch.position
        self.monitor.batch(batch.records, step, seconds, self._report())
        self.monitor.joined(self.labels.figures)
        rejects += refused
        self.rejects.record(rejects, accepted=batch.records - len(rejects))
        if rejects:
            self.monitor.rejected(self.rejects.counts)

    def _step(
        self, batch: Batch, checked: CheckedRows
    ) -> tuple[Step | None, CheckedRows, list[Reject]]:
        """Predict, score and learn; return the rows that were predicted, and what was refused."""
        step: Step | None = None
        refused: list[Reject] = []
        try:
            step = self.labels.step(self.test, checked)
        except RefusedRowsError as error:
            refused = [
                refused_record(batch, Refusal(checked.where[row], {}, detail))
                for row, detail in error.rows.items()
            ]
            checked = checked.without(error.rows)
            if len(checked.X):
                step = self.labels.step(self.test, checked)
        if step is not None:
            refused += [refused_record(batch, refusal) for refusal in step.refusals]
        return step, checked, refused

    def _report(self) -> StepReport | None:
        last = self.test.model.last
        return last.report if isinstance(last, FenchelEstimator) else None

    def _state(self) -> dict[str, Any]:
        return {
            "test": self.test,
            "curve": self.curve,
            "counts": self.rejects.counts,
            **self.labels.state,
        }

    def _save(self, must: bool = False) -> bool:
        """Write a checkpoint, and return whether it was written.

        If the disk refuses it, log the error, or raise it if the checkpoint `must` be written.
        """
        if self.checkpoints.store is None:
            return False
        cumulative = self.test.scores.cumulative
        meta = {
            "writer": self.writer,
            "records": self.records,
            "accepted": self.rejects.accepted,
            "rejected": dict(self.rejects.counts),
            "metrics": {
                name: value if isfinite(value) else None for name, value in cumulative.items()
            },
            "seconds": self.seconds,
            "position": self.position,
        }
        if self.labels.figures:
            meta["labels"] = self.labels.figures
        try:
            meta["outputs"] = self.outputs.mark()
            self.checkpoints.save(self._state(), meta)
        except CheckpointError as error:
            self.monitor.checkpoint(error)
            # A disk may recover later, but a state that cannot be stored stays so.
            if must or not isinstance(error.__cause__, OSError):
                raise
            log.error("%s; learning goes on, and the previous checkpoint stays valid", error)
            return False
        if self.position is not None:
            self.labels.source.saved(self.position)
        self.monitor.checkpoint()
        return True

    def _outcome(self) -> Evaluation:
        return Evaluation(
            metrics=self.test.scores.cumulative,
            curve=self.curve.to_frame(self.test.learnt, self.test.scores),
            window=self.config.metrics.window,
            rows=self.test.learnt,
            rejected=self.rejects.counts.total(),
            seconds=self.seconds,
            notes=tuple(self.labels.notes),
        )

    def _plot(self, outcome: Evaluation) -> None:
        if self.config.output.plot is not None:
            outcome.save_plot(Path(self.config.output.plot))
