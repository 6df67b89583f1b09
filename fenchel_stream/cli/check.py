"""``fenchel-stream check``: would a run work? Nothing is written, and nothing learnt is kept."""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from fenchel_stream.cli.run import add_configuration, configuration
from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.late_labels.join_check import JoinCheck
from fenchel_stream.runner.config import Config
from fenchel_stream.runner.group.group import Group
from fenchel_stream.runner.learner import Learner
from fenchel_stream.streams.source import Batch
from fenchel_stream.validation.row_check import CheckedRows


def add_to(commands: Any) -> None:
    """Add the command to the parser of the command line."""
    text = "try a configuration on the first batch of its source, writing nothing"
    parser = commands.add_parser("check", help=text, description=text)
    add_configuration(parser)
    parser.add_argument(
        "--wait", type=float, default=10.0, metavar="SECONDS", help="for a record of an idle source"
    )
    parser.set_defaults(command=_check)


def _check(options: argparse.Namespace) -> None:
    config = configuration(options)
    learner = Learner(config)
    _say("configuration", f"{options.config or 'flags'}: well-formed")
    _say("model", " ".join(repr(learner.test.model.model).split()))
    for one in map(Learner, Group(config).configs().values()) if config.run.group else [learner]:
        _check_checkpoint(one)
    for key, path in _places(config):
        _check_writable(key, path)
    if getattr(learner.source, "waits", False):
        _say("source", f"{config.source.url}: not read, since it cannot be read twice")
        return
    batch = _first_batch(learner, options.wait)
    if batch is None:
        _say("source", f"{config.source.url}: reachable, but no record within {options.wait:g} s")
        return
    total = "" if learner.source.total is None else f", {learner.source.total:,} records"
    _say("source", f"{config.source.url}: reachable{total}")
    _try(learner, batch)


def _check_checkpoint(learner: Learner) -> None:
    settings = learner.config.checkpoint
    if (found := learner.origin()) is not None:
        store, info = found
        store.verify(info.name)
        records = info.meta.get("records", 0)
        _say("checkpoint", f"{info.path}: a run goes on from there, after {records:,} records")
    elif settings is not None:
        place = "anew" if learner.beginning() is None else "where the one before did"
        _say("checkpoint", f"{settings.directory}: none yet, a run begins {place}")


def _first_batch(learner: Learner, patience: float) -> Batch | None:
    """Return the first batch with a record, None if the source stays idle."""
    end = time.monotonic() + patience
    batches = iter(learner.source.batches(learner.config.run.batch_size))
    try:
        for batch in batches:
            if batch.where or batch.rejects:
                return batch
            if time.monotonic() >= end:
                return None
    finally:
        getattr(batches, "close", lambda: None)()
    raise DataError(f"{learner.config.source.url}: ends without a record")


def _try(learner: Learner, batch: Batch) -> None:
    """Show a record as it is understood; predict and learn its batch in memory."""
    checked = learner.check(batch)
    _show_record(learner, batch, checked)
    rejects = [*batch.rejects, *checked.rejects]
    _say("records", f"{len(batch.where) + len(batch.rejects)}, {len(rejects)} of them rejected")
    counts = Counter(reject.reason for reject in rejects)
    for reason, count in counts.items():
        first = next(reject for reject in rejects if reject.reason == reason)
        _say("", f"{count} {reason}: {first.where}, {first.detail or first.raw[:60]}")
    if not checked.where:
        raise DataError("no record of the first batch can be learnt")
    for _ in range(2):  # before anything is learnt, a model has little to say
        step = learner.step(batch, checked)
    if step.labels:
        _say("dry run", f"predicts {step.labels[0]!r} for {checked.where[0]}")


def _show_record(learner: Learner, batch: Batch, checked: CheckedRows) -> None:
    where = (checked.where or batch.where)[:1]
    if not where:
        return
    _say("record", where[0])
    features = learner.config.features
    for name, value in batch.rows.row(batch.where.index(where[0]), named=True).items():
        if name in learner.check.targets:
            part = "target"
        elif isinstance(learner.check, JoinCheck) and name in learner.check.joining:
            part = "joins labels to events"
        elif name in features.ignore:
            part = "ignored"
        else:
            part = "category" if name in features.one_hot else "number"
        _say("", f"{name} = {value!r}: {part}")


def _places(config: Config) -> list[tuple[str, str]]:
    output, checkpoint = config.output, config.checkpoint
    places = {
        "output.predictions": output.predictions,
        "output.rejects": output.rejects,
        "output.plot": output.plot,
        "checkpoint.directory": checkpoint and checkpoint.directory,
    }
    return [
        (key, place.removeprefix("jsonl:"))
        for key, place in places.items()
        if place and ":" not in place.removeprefix("jsonl:") and place not in {"-", "jsonl:-"}
    ]


def _check_writable(key: str, place: str) -> None:
    path = Path(place)
    nearest = next(one for one in (path, *path.absolute().parents) if one.exists())
    if not os.access(nearest, os.W_OK) or not (nearest == path or nearest.is_dir()):
        raise ConfigError(f"{key}: {place} cannot be written")


def _say(part: str, text: str) -> None:
    print(f"{part:<14} {text}")
