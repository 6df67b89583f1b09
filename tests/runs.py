"""What tests of the runner share: data on disk, runs in processes of their own, and their state."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from fenchel_stream.checkpoint import CheckpointStore
from fenchel_stream.cli import main
from fenchel_stream.evaluation.result import Evaluation
from fenchel_stream.runner.config import parse
from fenchel_stream.runner.learner import Learner

SEA = "river:synth.SEA?variant=1&seed=3&noise=0.2"
"""A stream without end, whose labels are noisy."""

PATIENCE = 300.0
"""Seconds after which a test gives up on a process, however busy the machine is."""


def rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return a stream whose labels are noisy: only those tell a batch that was learnt twice."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        a, b = rng.gauss(0, 3), rng.gauss(5, 1)
        y = "yes" if (a > 0) != (rng.random() < 0.3) else "no"
        made.append({"a": round(a, 3), "b": round(b, 3), "c": rng.choice("uvw"), "y": y})
    return made


def write_csv(path: Path, data: list[dict[str, Any]]) -> str:
    """Write a file with some records that cannot be learnt, and return its URL."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "b", "c", "y"])
        for number, row in enumerate(data):
            fields = list(row.values())
            if number % 41 == 17:
                fields[0] = "far"
            if number % 53 == 5:
                fields[3] = ""
            writer.writerow(fields[: 2 if number % 61 == 30 else 4])
    return f"csv:{path}"


def write_jsonl(path: Path, data: list[dict[str, Any]]) -> str:
    """Write a file with some records that cannot be learnt, and return its URL."""
    lines = [json.dumps(row) for row in data]
    lines[9::41] = ["{" * 50] * len(lines[9::41])
    lines[11::53] = ['{"a": 1.0, "y": null}'] * len(lines[11::53])
    path.write_text("\n".join(lines) + "\n")
    return f"jsonl:{path}"


def write_parquet(path: Path, data: list[dict[str, Any]]) -> str:
    """Write a file with some records that cannot be learnt, and return its URL."""
    number = pl.int_range(len(data))
    pl.DataFrame(data).with_columns(
        a=pl.when(number % 41 == 17).then(float("inf")).otherwise("a"),
        y=pl.when(number % 53 == 5).then(None).otherwise("y"),
    ).write_parquet(path)
    return f"parquet:{path}"


WRITERS = {"csv": write_csv, "jsonl": write_jsonl, "parquet": write_parquet}


def tables(folder: Path, url: str, **changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration that keeps everything a run can keep in `folder`."""
    made: dict[str, Any] = {
        "source": {"url": url, "target": "y"},
        "features": {"one_hot": ["c"]},
        "model": {"hidden": [8]},
        "metrics": {"names": ["Accuracy", "CrossEntropy"], "window": 70},
        "run": {"batch_size": 20, "progress": False},
        "output": {
            "predictions": str(folder / "predictions.jsonl"),
            "rejects": str(folder / "rejects.jsonl"),
        },
        "checkpoint": {"directory": str(folder / "checkpoints"), "every": 1},
    }
    if url.startswith("river:"):
        made["source"]["target"] = "target"
        made["features"] = {}
    for table, values in changes.items():
        made[table] = values if "factory" in values else made.get(table, {}) | values
    return made


def learn(folder: Path, url: str, **changes: Mapping[str, Any]) -> Evaluation:
    """Run such a configuration to its end, in this process."""
    return Learner(parse(tables(folder, url, **changes))).run()


@dataclass
class Kept:
    """All that a run has left behind: comparable, bit for bit."""

    state: str
    arrays: dict[str, tuple[str, tuple[int, ...], bytes]]
    meta: dict[str, Any]
    files: dict[str, bytes]


def kept(folder: Path) -> Kept:
    """Return what is in the newest checkpoint below `folder`, and the files beside it."""
    newest = CheckpointStore(folder / "checkpoints").verify()
    with np.load(newest.path / "arrays.npz", allow_pickle=False) as stored:
        arrays = {name: (str(a.dtype), a.shape, a.tobytes()) for name, a in stored.items()}
    # How long it took is all that may differ, what it calls itself, and where the files are.
    meta = {key: value for key, value in newest.meta.items() if key not in {"seconds", "writer"}}
    meta["outputs"] = {name: mark["position"] for name, mark in meta["outputs"].items()}
    files = {path.name: path.read_bytes() for path in folder.glob("*.jsonl")}
    return Kept((newest.path / "state.json").read_text(), arrays, meta, files)


def assert_same(cut: Kept, whole: Kept) -> None:
    """Assert that nothing of two runs differs, what matters most first."""
    assert cut.arrays == whole.arrays
    assert cut.state == whole.state
    assert cut.meta == whole.meta
    assert cut.files == whole.files


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the records of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def to_toml(tables: Mapping[str, Any]) -> str:
    """Return tables of plain values as TOML, whose values are written as those of JSON."""
    lines = []
    below: dict[str, Any] = {}
    for table, values in tables.items():
        lines.append(f"[{table}]")
        for key, value in values.items():
            if isinstance(value, Mapping):
                below[f"{table}.{key}"] = value
            else:
                lines.append(f"{key} = {json.dumps(value)}")
    return "\n".join(lines) + "\n" + (to_toml(below) if below else "")


class Process:
    """The command line in a process of its own, with files for what it reads and prints.

    It is forked off a server that has imported everything already: a fresh interpreter would
    need seconds for that.

    Parameters
    ----------
    folder
        Where its output goes.
    arguments
        Of the command line.
    stdin
        A file, or a named pipe, to read.
    command
        What to call with the arguments; the command line itself by default.
    """

    _context = multiprocessing.get_context("forkserver")
    _context.set_forkserver_preload(
        [
            "fenchel_connectors.csv",
            "fenchel_connectors.jsonl",
            "fenchel_connectors.jsonl_sink",
            "fenchel_connectors.kafka",
            "fenchel_connectors.monitoring",
            "fenchel_connectors.parquet",
            "fenchel_stream.cli.run",
            "tests.warm",
        ]
    )

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        stdin: Path | None = None,
        command: Callable[[list[str]], int] = main,
    ) -> None:
        self.out, self.err = folder / "stdout", folder / "stderr"
        for path in (self.out, self.err):
            path.write_text("")
        self._process: BaseProcess = self._context.Process(
            target=_enter, args=(command, list(arguments), self.out, self.err, stdin)
        )
        self._process.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.is_alive()

    def signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def catches(self, number: int) -> bool:
        """Return whether it has a handler for a signal at this moment."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
        return bool(int(caught.split()[1], 16) >> (number - 1) & 1)

    def wait(self) -> int:
        """Return the exit code, negative for a signal."""
        self._process.join(PATIENCE)
        assert not self.running, "the process does not end"
        code = self._process.exitcode
        assert code is not None
        return code

    def until(self, done: Callable[[], object]) -> Any:
        """Wait until something is true; the process must not end before."""
        return until(done, lambda: self.running, self.err.read_text)

    def checkpoint_after(self, records: int) -> None:
        """Wait for a checkpoint after at least so many records."""
        self.until(lambda: saved(self.out.parent) >= records)


def start(
    folder: Path,
    url: str,
    *arguments: str,
    stdin: Path | None = None,
    command: Callable[[list[str]], int] = main,
    **changes: Any,
) -> Process:
    """Start a run whose configuration is a file, and whose state goes to `folder`."""
    folder.mkdir(exist_ok=True)
    file = folder / "run.toml"
    file.write_text(to_toml(tables(folder, url, **changes)))
    return Process(folder, "run", str(file), *arguments, stdin=stdin, command=command)


@contextmanager
def pipe(folder: Path) -> Iterator[Path]:
    """Make a named pipe that stays open for as long as this lasts, whoever else writes to it."""
    path = folder / "pipe"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR)
    try:
        yield path
    finally:
        os.close(descriptor)


def saved(folder: Path) -> int:
    """Return how many records the newest checkpoint below `folder` stands for, -1 without one."""
    # While it is read, a checkpoint may be removed.
    infos = CheckpointStore(folder / "checkpoints").list()
    return max((info.meta.get("records", 0) for info in infos), default=-1)


def until(
    done: Callable[[], object],
    alive: Callable[[], bool] = lambda: True,
    why: Callable[[], str] = str,
) -> Any:
    """Wait until `done` returns something true, and return that."""
    end = time.monotonic() + PATIENCE
    while not (value := done()):
        assert alive(), why()
        assert time.monotonic() < end, f"waited in vain; {why()}"
        time.sleep(0.01)
    return value


def _enter(
    command: Callable[[list[str]], int],
    arguments: list[str],
    out: Path,
    err: Path,
    stdin: Path | None,
) -> None:
    for path, descriptor, flags in (
        (stdin or Path(os.devnull), 0, os.O_RDONLY),
        (out, 1, os.O_WRONLY),
        (err, 2, os.O_WRONLY),
    ):
        os.dup2(os.open(path, flags), descriptor)
    sys.stdin = open(0)  # noqa: SIM115 - the server has closed that of the interpreter
    sys.exit(command(arguments))
