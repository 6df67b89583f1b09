r"""Rows per second from a topic to learnt, beside reading alone and reading with decoding.

Ten numeric features, a hidden layer of 64, batches of 128: the runner as `fenchel-stream run` has
it, which predicts, scores and learns each batch. The passes take turns in one process, on one core;
each figure is of the best pass. CPU time is that of the process, the client's own thread included,
and does not depend on who else is busy on the machine.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 taskset -c 0 python -m examples.benchmarks.kafka

A broker from PyPI is started on loopback.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from fenchel_connectors.kafka.client import ClientOptions
from fenchel_connectors.kafka.reader import Reader
from fenchel_connectors.kafka.rows import Rows
from fenchel_stream.config import parse
from fenchel_stream.learner import Learner
from tests.brokers import Broker

RESULTS = Path(__file__).parent / "results"
FEATURES, BATCH, PASSES = 10, 128, 3


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--broker", default="tansu", choices=("noida", "tansu"))
    parser.add_argument("--rows", type=int, default=300 * BATCH)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Broker(options.broker, Path(folder)) as broker:
        topic = broker.topic()
        broker.send(topic, _records(options.rows))
        url = f"kafka://{broker.bootstrap}/{topic}"
        count = options.rows
        best: dict[str, tuple[float, float]] = {}
        for _ in range(PASSES):
            for name, work in {
                "read": lambda: _read(broker.bootstrap, topic, count),
                "read and decode": lambda: _decode(broker.bootstrap, topic, count),
                "from topic to learnt": lambda: _learn(url, count, "auto"),
                "from topic to learnt, `gamma=(0.1, 1.0)`": lambda: _learn(url, count, (0.1, 1.0)),
            }.items():
                spent = _time(work)
                best[name] = min(best.get(name, spent), spent)
    lines = [
        "| pass | rows/s | rows per second of CPU |",
        "| --- | --- | --- |",
        *(f"| {name} | {count / t:,.0f} | {count / cpu:,.0f} |" for name, (t, cpu) in best.items()),
    ]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "kafka.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def _records(count: int) -> Iterator[bytes]:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=FEATURES)
    for x in rng.normal(size=(count, FEATURES)):
        row = {f"x{i}": round(value, 6) for i, value in enumerate(x.tolist())}
        label = bool(x @ weights + rng.normal() > 0)
        yield json.dumps({**row, "y": label}).encode()


def _read(bootstrap: str, topic: str, count: int) -> None:
    with Reader(topic, {0: "earliest"}, ClientOptions({}, bootstrap)) as reader:
        read = 0
        while read < count:
            read += len(reader.poll(BATCH))


def _decode(bootstrap: str, topic: str, count: int) -> None:
    rows = Rows()
    with Reader(topic, {0: "earliest"}, ClientOptions({}, bootstrap)) as reader:
        read = 0
        while read < count:
            records = reader.poll(BATCH)
            if records:
                read += len(rows.batch(records, {}).rows)


def _learn(url: str, count: int, gamma: str | tuple[float, float]) -> None:
    tables = {
        "source": {"url": url, "target": "y"},
        "model": {"hidden": [64], "gamma": gamma},
        "run": {"batch_size": BATCH, "limit": count, "progress": False},
    }
    if (result := Learner(parse(tables)).run()).rows != count:
        raise RuntimeError(f"{result.rows} of {count} rows were learnt")


def _time(work: Callable[[], None]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
