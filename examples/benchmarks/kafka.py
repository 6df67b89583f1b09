r"""Rows per second from a topic to learnt, and where the time goes.

Ten numeric features, a hidden layer of 64, batches of 128: the runner as `fenchel-stream run` has
it, which predicts, scores and learns each batch; beside it reading alone, and reading with
decoding. The passes take turns in one process, on one core; each figure is of the best pass. CPU
time is that of the process, the client's own thread included, and depends less than the clock on
who else is busy on the machine.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 taskset -c 0 python -m examples.benchmarks.kafka

A broker from PyPI is started on loopback.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from examples.benchmarks.stages import Stages
from fenchel_connectors.formats.plain_json import PlainJson
from fenchel_connectors.kafka.client import ClientOptions
from fenchel_connectors.kafka.reader import Reader
from fenchel_connectors.kafka.rows import Rows
from fenchel_stream.evaluation.batch_model import BatchModel
from fenchel_stream.evaluation.scores import Scores
from fenchel_stream.network.lifted_network import LiftedNetwork
from fenchel_stream.preprocessing.standardize import Standardize
from fenchel_stream.runner.config import parse
from fenchel_stream.runner.learner import Learner
from fenchel_stream.validation.row_check import RowCheck
from tests.brokers import Broker

RESULTS = Path(__file__).parent / "results"
FEATURES, BATCH, PASSES = 10, 128, 3

GAMMAS: dict[str, str | tuple[float, float]] = {
    "defaults": "auto",
    "`gamma=(0.1, 1.0)`": (0.1, 1.0),
}

CLIENT = "client: fetch and unpack records, its own thread included"
REST = "bookkeeping: the loop around all this"
WATCHED: dict[str, list[tuple[Any, str]]] = {
    CLIENT: [(Reader, "poll")],
    "decode JSON": [(PlainJson, "decode_all")],
    "columns, keys, times and places": [(Rows, "batch")],
    "check rows": [(RowCheck, "__call__")],
    "standardise features": [(Standardize, "learn_many"), (Standardize, "transform_many")],
    "network: predict and learn": [(LiftedNetwork, "outputs"), (LiftedNetwork, "step")],
    "frames, classes and probabilities around the network": [
        (BatchModel, "predict"),
        (BatchModel, "learn"),
    ],
    "score": [(Scores, "update")],
    REST: [(Learner, "run")],
}
"""The stages of a run, and the functions that are theirs."""


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--broker", default="tansu", choices=("noida", "tansu"))
    parser.add_argument("--rows", type=int, default=300 * BATCH)
    parser.add_argument("--machine", default="2 shared x86-64 cores", help="in words")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Broker(options.broker, Path(folder)) as broker:
        topic = broker.topic()
        broker.send(topic, _records(options.rows))
        url = f"kafka://{broker.bootstrap}/{topic}"
        count = options.rows
        best: dict[str, tuple[float, float]] = {}
        profiles: dict[str, dict[str, float]] = {}
        for _ in range(PASSES):
            works: dict[str, Callable[[], None]] = {
                "read": partial(_read, broker.bootstrap, topic, count),
                "read and decode": partial(_decode, broker.bootstrap, topic, count),
            }
            for name, gamma in GAMMAS.items():
                works[f"from topic to learnt, {name}"] = partial(_learn, url, count, gamma)
            for name, work in works.items():
                wall, cpu = map(min, best.get(name, (inf, inf)), _time(work))
                best[name] = wall, cpu
            for name, gamma in GAMMAS.items():
                found = _profile(partial(_learn, url, count, gamma))
                profiles[name] = min(profiles.get(name, found), found, key=_total)
    text = _report(options, best, profiles)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "kafka.md").write_text(text)
    print(text)


def _report(
    options: argparse.Namespace,
    best: Mapping[str, tuple[float, float]],
    profiles: Mapping[str, dict[str, float]],
) -> str:
    count = options.rows
    each = {name: {k: 1e6 * v / count for k, v in one.items()} for name, one in profiles.items()}
    stages = sorted(next(iter(each.values())), key=lambda k: -sum(one[k] for one in each.values()))
    totals = {name: _total(one) for name, one in each.items()}
    client = min(one[CLIENT] for one in each.values())
    passes = [f"| {n} | {count / t:,.0f} | {count / cpu:,.0f} |" for n, (t, cpu) in best.items()]
    shares = [
        " | ".join(f"{one[stage]:.1f} ({one[stage] / totals[n]:.0%})" for n, one in each.items())
        for stage in stages
    ]
    parts = "\n".join(f"| {s} | {share} |" for s, share in zip(stages, shares, strict=True))
    return f"""# From a topic to learnt

{count:,} rows of {FEATURES} numeric features, a hidden layer of 64, batches of {BATCH}, one core;
the best of {PASSES} passes, {options.broker} as the broker, {time.strftime("%Y-%m-%d")}, \
{options.machine}:

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 taskset -c 0 python -m examples.benchmarks.kafka

| pass | rows/s | rows per second of CPU |
| --- | --- | --- |
{chr(10).join(passes)}

Where the CPU time of a row goes, in microseconds, and its share:

| stage | {" | ".join(each)} |
| --- |{" --- |" * len(each)}
{parts}
| all | {" | ".join(f"{total:.1f}" for total in totals.values())} |

40,000 rows/s would leave 25 microseconds for a row. The client alone takes {client:.0f} of them: it
fetches and unpacks each record in Python.
"""


def _total(seconds: Mapping[str, float]) -> float:
    return sum(seconds.values())


def _profile(work: Callable[[], None]) -> dict[str, float]:
    """Return the CPU seconds of each stage of a run."""
    stages = Stages(WATCHED)
    process, thread = time.process_time(), time.thread_time()
    with stages.measured():
        work()
    thread = time.thread_time() - thread
    process = time.process_time() - process
    rest, client = thread - sum(stages.seconds.values()), process - thread
    # The client's own thread is the only other one that works.
    return stages.seconds | {
        REST: stages.seconds[REST] + rest,
        CLIENT: stages.seconds[CLIENT] + client,
    }


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
    make = Rows()
    with Reader(topic, {0: "earliest"}, ClientOptions({}, bootstrap)) as reader:
        read = 0
        while read < count:
            records = reader.poll(BATCH)
            if records:
                read += len(make.batch(records, {}).rows)


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
