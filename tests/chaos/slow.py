"""A learner ten times slower than its topic: its memory stays flat, and it loses nothing."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from fenchel_stream.checkpoint import CheckpointStore
from tests.apache.jars import obstacle
from tests.brokers import Broker
from tests.chaos.part import Figures, Part
from tests.runs import Process, rows, tables, to_toml, until

BATCH, SLOWER = 100, 10
RECORDS, SECONDS = 100_000, 40.0

LARGE = "tansu" if obstacle() else "apache"
"""A broker that keeps so many records at ease."""

FIRST = 20_000
"""Records that are learnt at full speed before: more than the client fetches at once, so that all
its buffers have been in use when memory is looked at first."""


@dataclass
class Report:
    """What a slow learner did while records came faster, and when it could learn as they came.

    Attributes
    ----------
    records
        How many came.
    behind
        How many of them were not learnt yet when the last one came.
    start, slow, end
        Resident memory in MiB: before, at most while learning was slow, and at most until
        everything was learnt.
    """

    records: int
    behind: int = 0
    learnt: int = 0
    start: float = 0.0
    slow: float = 0.0
    end: float = 0.0

    @property
    def growth(self) -> float:
        """The share by which memory grew."""
        return max(self.slow, self.end) / self.start - 1


def slow(broker: Broker, folder: Path, records: int, seconds: float) -> Report:
    """Send so many records in so many seconds to a learner that is ten times slower."""
    report = Report(records)
    topic = broker.topic()
    url = f"kafka://{broker.bootstrap}/{topic}"
    settings = tables(folder, url, features={"one_hot": []}, run={"batch_size": BATCH})
    settings["features"]["ignore"] = ["c"]
    settings["checkpoint"] |= {"every": 10, "allow_pickle": True}
    settings["metrics"]["names"] = ["Accuracy"]
    settings["output"] = {}
    nap = BATCH * seconds * SLOWER / records
    model = {"factory": "tests.models:sluggish", "folder": str(folder), "seconds": nap}
    file = folder / "run.toml"
    file.write_text(to_toml(settings | {"model": model}))
    _send(broker, topic, FIRST, 0)
    sender = threading.Thread(target=_send, args=(broker, topic, records, seconds), daemon=True)
    store = CheckpointStore(folder / "checkpoints")
    fast = folder / "fast"
    fast.touch()
    with Process(folder, "run", str(file)) as process:
        process.checkpoint_after(FIRST)
        fast.unlink()
        sender.start()
        report.start = report.slow = _resident(process)
        while sender.is_alive():
            report.slow = max(report.slow, _resident(process))
            time.sleep(0.2)
        report.behind = FIRST + records - _learnt(store)
        fast.touch()
        report.end = report.slow
        while _learnt(store) < FIRST + records:
            assert process.running, process.err.read_text()
            report.end = max(report.end, _resident(process))
            time.sleep(0.2)
        process.signal(signal.SIGTERM)
        assert process.wait() == 0, process.err.read_text()
    report.learnt = _learnt(store) - FIRST
    return report


def _send(broker: Broker, topic: str, records: int, seconds: float) -> None:
    data = [json.dumps(row).encode() for row in rows(1000)]
    pieces = records // len(data)
    for _ in range(pieces):
        broker.send(topic, data)
        time.sleep(seconds / pieces)


def _resident(process: Process) -> float:
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _learnt(store: CheckpointStore) -> int:
    return int(until(store.list)[-1].meta.get("records", 0))


def _slow(folder: Path, random: Random) -> Figures:
    home = folder / "slow"
    home.mkdir()
    with Broker(LARGE, folder) as broker:
        report = slow(broker, home, RECORDS, SECONDS)
    assert report.learnt == RECORDS
    assert report.growth < 0.05, report
    return {
        "records": RECORDS,
        "behind at the end": report.behind,
        "MiB at first": round(report.start, 1),
        "MiB at most": round(max(report.slow, report.end), 1),
        "growth in %": round(100 * report.growth, 1),
    }


def parts() -> Iterator[Part]:
    """Yield the only one."""
    yield Part("A learner ten times too slow", LARGE, _slow)
