"""``fenchel-stream check``: try a configuration on the first batch of its source.

The command writes no file, and the trained model is thrown away.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from pathlib import Path

from fenchel_stream.cli.configuration import configuration
from fenchel_stream.cli.terminal import show
from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.runner.config import Config
from fenchel_stream.runner.files import written_files
from fenchel_stream.runner.group import Group
from fenchel_stream.runner.learner import Learner
from fenchel_stream.streams.source import Batch
from fenchel_stream.validation.row_check import CheckedRows


def execute(options: argparse.Namespace) -> None:
    """Check a configuration, its checkpoint, its outputs and the first batch of its source."""
    config = configuration(options)
    learner = Learner(config, filter(None, [options.config]))
    _show("configuration", f"{options.config or 'flags'}: well-formed")
    _show("model", " ".join(repr(learner.test.model.model).split()))
    learners = map(Learner, Group(config).configs().values()) if config.run.group else [learner]
    for partition_learner in learners:
        _check_checkpoint(partition_learner)
    learner.check_files()
    for key, path in _files(config).items():
        _check_writable(key, path)
    source, url = learner.labels.source, config.source.url
    if source.waits:
        _show("source", f"{url}: not read, since it cannot be read twice")
        return
    batch = _first_batch(learner, options.wait)
    if batch is None:
        _show("source", f"{url}: reachable, but no record within {options.wait:g} s")
        return
    total = "" if source.total is None else f", {source.total:,} records"
    _show("source", f"{url}: reachable{total}")
    _try(learner, batch)


def _check_checkpoint(learner: Learner) -> None:
    checkpoints = learner.checkpoints
    if (origin := checkpoints.origin()) is not None:
        origin.store.verify(origin.info.name)
        records = origin.info.records or 0
        path = origin.info.path
        _show("checkpoint", f"{path}: a run resumes from it, after {records:,} records")
    elif checkpoints.settings is not None:
        start = "anew" if checkpoints.beginning() is None else "where the earlier run began"
        _show("checkpoint", f"{checkpoints.settings.directory}: none yet, a run begins {start}")


def _first_batch(learner: Learner, patience: float) -> Batch | None:
    """Return the first batch with a record; None if none comes within `patience` seconds."""
    end = time.monotonic() + patience
    with learner.labels.source.reading(learner.config.run.batch_size) as batches:
        for batch in batches:
            if batch.records:
                return batch
            if time.monotonic() >= end:
                return None
    raise DataError(f"{learner.config.source.url}: ends without a record")


def _try(learner: Learner, batch: Batch) -> None:
    """Show the roles of the columns; predict and learn the batch in memory."""
    checked = learner.labels.check(batch)
    _show_record(learner, batch, checked)
    rejects = [*batch.rejects, *checked.rejects]
    _show("records", f"{batch.records}, {len(rejects)} of them rejected")
    counts = Counter(reject.reason for reject in rejects)
    for reason, count in counts.items():
        first = next(reject for reject in rejects if reject.reason == reason)
        _show("", f"{count} {reason}: {first.where}, {first.detail or first.raw[:60]}")
    if not checked.where:
        raise DataError("no record of the first batch can be learnt")
    for _ in range(2):  # the model may give no prediction before it has learnt a batch
        step = learner.labels.step(learner.test, checked)
    if step.labels:
        _show("dry run", f"predicts {step.labels[0]!r} for {checked.where[0]}")


def _show_record(learner: Learner, batch: Batch, checked: CheckedRows) -> None:
    where = (checked.where or batch.where)[:1]
    if not where:
        return
    _show("record", where[0])
    features = learner.config.features
    for name, value in batch.rows.row(batch.where.index(where[0]), named=True).items():
        if name in learner.labels.targets:
            role = "target"
        elif name in learner.labels.joining:
            role = "joins labels to events"
        elif name in features.ignore:
            role = "ignored"
        else:
            role = "category" if name in features.one_hot else "number"
        _show("", f"{name} = {value!r}: {role}")


def _files(config: Config) -> dict[str, Path]:
    """Return the files and directories that a run writes, with their keys."""
    files = written_files(config)
    if config.checkpoint is not None:
        files["checkpoint.directory"] = Path(config.checkpoint.directory)
    return files


def _check_writable(key: str, path: Path) -> None:
    existing = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not os.access(existing, os.W_OK) or not (existing == path or existing.is_dir()):
        raise ConfigError(f"{key}: {path} cannot be written")


def _show(subject: str, text: str) -> None:
    show(f"{subject:<14} {text}")
