"""Joins and leaves of a group: every record is learnt once, whoever has its partition."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from fenchel_stream.checkpoint import CheckpointStore
from tests.brokers import DURABLE, Broker
from tests.chaos.part import Figures, Part
from tests.runs import Process, learn, rows, tables, to_toml, until

PARTITIONS, BATCH, CHANGES = 4, 20, 50
FIGURES = ("records", "joins", "leaves", "kills", "moves", "lost", "doubled")
FLAGS = ("--set", "run.group=true", "--set", "source.options.deterministic=true")


@dataclass
class Report:
    """What happened to a group."""

    records: int
    joins: int = 0
    leaves: int = 0
    kills: int = 0
    moves: int = 0
    lost: int = 0
    doubled: int = 0
    different: list[str] = field(default_factory=list)


def churn(broker: Broker, folder: Path, changes: int, rng: Random, pace: float = 1.0) -> Report:
    """Let members join, leave and be killed while records arrive, and compare with quiet runs.

    Parameters
    ----------
    broker
        Where the topic is made.
    folder
        An empty directory, which all members see.
    changes
        Joins and leaves.
    rng
        Decides what happens when.
    pace
        Mean seconds from one change to the next.
    """
    topic = broker.topic(partitions=PARTITIONS)
    url = f"kafka://{broker.bootstrap}/{topic}"
    file = folder / "run.toml"
    file.write_text(to_toml(tables(folder, url, source={"options": {}}) | {"source": _source(url)}))
    per_partition = max(int(changes * pace * 3), 10) * BATCH
    report = Report(per_partition * PARTITIONS)
    sender = threading.Thread(
        target=_send, args=(broker, topic, per_partition, changes * pace), daemon=True
    )
    sender.start()
    members: list[Process] = []
    everyone: list[Process] = []
    try:
        for _ in range(changes):
            if len(members) < 1 or (len(members) < PARTITIONS and rng.random() < 0.5):
                home = folder / f"member-{len(everyone)}"
                home.mkdir()
                members.append(Process(home, "run", str(file), *FLAGS))
                everyone.append(members[-1])
                report.joins += 1
            else:
                one = members.pop(rng.randrange(len(members)))
                assert one.running, one.err.read_text()
                killed = rng.random() < 0.5
                one.signal(signal.SIGKILL if killed else signal.SIGTERM)
                # Before it has begun, what asks it to end kills it.
                ends = {-signal.SIGKILL} if killed else {0, -signal.SIGTERM}
                assert one.wait() in ends, one.err.read_text()
                report.kills += killed
                report.leaves += not killed
            time.sleep(rng.uniform(0, 2 * pace))
        if not members:
            (folder / "last").mkdir()
            members.append(Process(folder / "last", "run", str(file), *FLAGS))
            everyone.append(members[-1])
        sender.join()
        until(lambda: all(_records(folder, n) >= per_partition for n in range(PARTITIONS)))
        for one in members:
            # Before it can hear that, it would be killed by it.
            one.until(partial(one.catches, signal.SIGTERM))
            one.signal(signal.SIGTERM)
            assert one.wait() == 0, one.err.read_text()
        report.moves = sum(one.err.read_text().count(": taken") for one in everyone)
    finally:
        for one in everyone:
            one.__exit__()
    _compare(folder, url, per_partition, report)
    return report


def _source(url: str) -> dict[str, Any]:
    return {"url": url, "target": "y"}


def _send(broker: Broker, topic: str, per_partition: int, seconds: float) -> None:
    data = rows(per_partition * PARTITIONS)
    sent = [
        {"value": json.dumps(row).encode(), "partition": n % PARTITIONS}
        for n, row in enumerate(data)
    ]
    pieces = max(int(seconds), 1)
    for piece in range(pieces):
        broker.send(topic, sent[piece::pieces])
        time.sleep(seconds / pieces)


def _store(folder: Path, partition: int) -> CheckpointStore:
    return CheckpointStore(folder / "checkpoints" / f"partition-{partition}")


def _records(folder: Path, partition: int) -> int:
    infos = _store(folder, partition).list()
    return max((info.meta["records"] for info in infos if not info.damage), default=0)


def _arrays(checkpoint: Path) -> dict[str, bytes]:
    with np.load(checkpoint / "arrays.npz") as arrays:
        return {name: array.tobytes() for name, array in arrays.items()}


def _compare(folder: Path, url: str, per_partition: int, report: Report) -> None:
    for number in range(PARTITIONS):
        quiet = folder / f"quiet-{number}"
        quiet.mkdir()
        options = {"deterministic": True, "partitions": [number]}
        learn(quiet, url, source={"options": options}, run={"limit": per_partition})
        infos = _store(folder, number).verify(), CheckpointStore(quiet / "checkpoints").verify()
        arrays, expected = (_arrays(info.path) for info in infos)
        if arrays != expected or infos[0].meta["position"] != infos[1].meta["position"]:
            report.different.append(f"partition-{number}")
        lines = (folder / f"predictions-partition-{number}.jsonl").read_text().splitlines()
        where = [json.loads(line)["where"] for line in lines]
        report.doubled += len(where) - len(set(where))
        report.lost += per_partition - len(set(where))
        if lines != (quiet / "predictions.jsonl").read_text().splitlines():
            report.different.append(f"predictions of partition-{number}")


def _churn(folder: Path, random: Random, *, name: str) -> Figures:
    home = folder / "group"
    home.mkdir()
    with Broker(name, folder) as broker:
        report = churn(broker, home, CHANGES, random)
    assert not report.different, report.different
    assert (report.lost, report.doubled) == (0, 0)
    figures = vars(report)
    return {key: figures[key] for key in FIGURES}


def parts() -> Iterator[Part]:
    """Yield one for each broker."""
    for name in (DURABLE, "tansu"):
        yield Part("Joins and leaves of a group", name, partial(_churn, name=name))
