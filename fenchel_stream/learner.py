"""The runner: source, check, predict, score, learn, checkpoint, until the stream or a signal ends.

What a run knows between two batches is one state, written into one checkpoint: the pipeline and
its metrics, the curve, the counts of rejected rows, and the positions of the source and of the
files written. A run that is killed goes on from its last checkpoint as if nothing had happened.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from river import compose
from tqdm import tqdm

from fenchel_stream.build import build_metrics, build_model
from fenchel_stream.checkpoint import CheckpointStore
from fenchel_stream.config import Config
from fenchel_stream.curve import Curve
from fenchel_stream.errors import CheckpointError
from fenchel_stream.estimator import FenchelEstimator
from fenchel_stream.evaluation import Evaluation
from fenchel_stream.monitor import open_monitor
from fenchel_stream.prequential import Prequential, Step
from fenchel_stream.rejects import RejectLog
from fenchel_stream.report import StepReport
from fenchel_stream.rows import CheckedRows, RowCheck
from fenchel_stream.sink import Sink, open_sink
from fenchel_stream.source import Batch, Position, open_source

log = logging.getLogger(__name__)


class Learner:
    """One run, as a configuration describes it.

    Parameters
    ----------
    config
        What to learn, from where, and what to write.

    Raises
    ------
    ConfigError
        Something that the configuration names does not exist.
    CheckpointError
        The checkpoint directory is in use, or holds the state of another configuration.

    Examples
    --------
    >>> from fenchel_stream.config import parse
    >>> from fenchel_stream.learner import Learner
    >>> source = {"url": "river:Phishing", "target": "target"}
    >>> result = Learner(parse({"source": source, "run": {"progress": False}})).run()
    >>> result.rows, result.metrics["Accuracy"] > 0.85
    (1250, True)
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        source, run, output = config.source, config.run, config.output
        self.source = open_source(source.url, **source.options)
        self.test = Prequential(
            build_model(config),
            build_metrics(config),
            delay=run.delay,
            window=config.metrics.window,
            probabilities=source.kind == "classification" and "factory" not in config.model,
        )
        self.curve = Curve(config.metrics.window)
        self.records = 0
        self.position: Position | None = None
        self.sinks: dict[str, Sink] = {
            name: open_sink(url)
            for name, url in (("predictions", output.predictions), ("rejects", output.rejects))
            if url is not None
        }
        self.rejects = RejectLog(self.sinks.get("rejects"), max_error_rate=run.max_error_rate)
        self.store: CheckpointStore | None = None
        if config.checkpoint is not None:
            self.store = CheckpointStore(config.checkpoint.directory, config.checkpoint.keep).open()
        self.stopped = False
        resumed = self._resume()
        self.check = RowCheck(
            source.target,
            source.kind,
            one_hot=config.features.one_hot,
            ignore=config.features.ignore,
            resumed=resumed,
        )
        port = config.metrics.port
        address = f"prometheus:{config.metrics.host}:{port}"
        self.monitor = None if port is None else open_monitor(address)

    def run(self) -> Evaluation:
        """Learn until the stream, the limit or a signal ends it.

        Raises
        ------
        DataError
            A needed column is missing, or too many rows were rejected.
        CheckpointError
            The last checkpoint could not be written.
        """
        run = self.config.run
        start, first, since = time.perf_counter(), self.records, 0
        with self._signals(), self._bar() as bar:
            try:
                for batch in self.source.batches(run.batch_size, self.position):
                    self._learn(batch)
                    since += 1
                    bar.set_postfix_str(_text(self.test.scores.cumulative), refresh=False)
                    bar.update(self.records - bar.n)
                    if self.config.checkpoint and since >= self.config.checkpoint.every:
                        since = 0
                        self._save()
                    if self.stopped or (run.limit is not None and self.records >= run.limit):
                        break
                if since:
                    self._save(last=True)
            finally:
                self._close()
        return self._outcome(self.records - first, time.perf_counter() - start)

    def _learn(self, batch: Batch) -> None:
        checked = self.check(batch)
        rejects = [*batch.rejects, *checked.rejects]
        step, seconds = None, 0.0
        if len(checked.X):
            begin = time.perf_counter()
            step = self.test.step(checked.X, checked.y)
            seconds = time.perf_counter() - begin
            self._write(checked, step)
            self.curve.follow(self.test.learnt, self.test.scores)
        records = len(batch.rows) + len(batch.rejects)
        self.records += records
        self.position = batch.position
        if self.monitor is not None:
            self.monitor.batch(records, step, seconds, self._report())
        self.rejects.record(rejects, accepted=len(checked.X))
        if self.monitor is not None and rejects:
            self.monitor.rejected(self.rejects.counts)

    def _report(self) -> StepReport | None:
        model = self.test.model.model
        while isinstance(model, compose.Pipeline):
            model = model[-1]
        return model.report if isinstance(model, FenchelEstimator) else None

    def _write(self, checked: CheckedRows, step: Step) -> None:
        sink = self.sinks.get("predictions")
        if sink is None:
            return
        records: list[dict[str, Any]] = [
            {"where": where, "prediction": label}
            for where, label in zip(checked.where, step.labels, strict=True)
        ]
        for record, probabilities in zip(records, step.probabilities or (), strict=False):
            record["probabilities"] = {str(label): p for label, p in probabilities.items()}
        sink.write(records)

    def _state(self) -> dict[str, Any]:
        return {"test": self.test, "curve": self.curve, "counts": self.rejects.counts}

    def _save(self, last: bool = False) -> None:
        """Write a checkpoint. One that fails is told of and tried again later, unless it is last."""
        settings = self.config.checkpoint
        if self.store is None or settings is None:
            return
        for sink in self.sinks.values():
            sink.flush()
        meta = {
            "identity": self.config.identity(),
            "records": self.records,
            "accepted": self.rejects.accepted,
            "position": self.position,
            "sinks": {name: sink.position for name, sink in self.sinks.items()},
        }
        try:
            self.store.save(self._state(), meta, allow_pickle=settings.allow_pickle)
        except CheckpointError as error:
            if self.monitor is not None:
                self.monitor.checkpoint(error)
            # Only the disk's own refusal may pass; a state that cannot be stored never will be.
            if last or not isinstance(error.__cause__, OSError):
                raise
            log.error("%s; learning goes on, the last checkpoint stays valid", error)
        else:
            if self.monitor is not None:
                self.monitor.checkpoint()

    def _resume(self) -> bool:
        """Go back to the last checkpoint, if there is one."""
        settings = self.config.checkpoint
        if self.store is None or settings is None or (newest := self.store.latest()) is None:
            for sink in self.sinks.values():
                sink.truncate(None)
            return False
        _compare(newest.meta["identity"], self.config.identity(), newest.name)
        meta = self.store.load(self._state(), newest.name, allow_pickle=settings.allow_pickle)
        self.records, self.rejects.accepted = meta["records"], meta["accepted"]
        self.position = meta["position"]
        for name, sink in self.sinks.items():
            sink.truncate(meta["sinks"].get(name))
        log.info("resumed from checkpoint %s after %d records", newest.name, self.records)
        return True

    def _close(self) -> None:
        self.rejects.close()
        for sink in self.sinks.values():
            sink.close()
        if self.monitor is not None:
            self.monitor.close()
        if self.store is not None:
            self.store.close()

    def _outcome(self, records: int, seconds: float) -> Evaluation:
        if self.test.learnt > self.curve.end:
            self.curve.add(self.test.learnt, self.test.scores)
        result = Evaluation(
            metrics=self.test.scores.cumulative,
            curve=self.curve.to_frame(),
            window=self.config.metrics.window,
            rows=self.test.learnt,
            rejected=self.rejects.counts.total(),
            seconds=seconds,
        )
        if self.config.output.plot is not None:
            result.save_plot(Path(self.config.output.plot))
        return result

    def _bar(self) -> tqdm[Any]:
        total = min(filter(None, (self.source.total, self.config.run.limit)), default=None)
        return tqdm(
            total=total,
            initial=self.records,
            unit=" rows",
            unit_scale=True,
            disable=not self.config.run.progress,
        )

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM end the run after the batch at hand; a second one at once."""

        def stop(number: int, frame: object) -> None:
            self.stopped = True
            log.info("%s: finishing the batch", signal.Signals(number).name)
            signal.signal(number, before[number])

        # Python handles signals in the main thread alone.
        main = threading.current_thread() is threading.main_thread()
        numbers = (signal.SIGINT, signal.SIGTERM) if main else ()
        before = {number: signal.getsignal(number) for number in numbers}
        for number in numbers:
            signal.signal(number, stop)
        try:
            yield
        finally:
            for number in numbers:
                signal.signal(number, before[number])


def _compare(found: dict[str, Any], wanted: dict[str, Any], name: str) -> None:
    """Raise CheckpointError if a checkpoint was made by another configuration."""
    for table, values in wanted.items():
        for key in sorted({*values, *found.get(table, {})}):
            old, new = found.get(table, {}).get(key), values.get(key)
            if old != new:
                raise CheckpointError(
                    f"checkpoint {name} was made with {table}.{key} = {old!r}, this run has "
                    f"{new!r}: restore the setting, or choose another checkpoint directory"
                )


def _text(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())
