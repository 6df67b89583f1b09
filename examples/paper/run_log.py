"""Runs of a figure: every learner with every seed, each kept when it ends and never repeated.

A finished run is one line of ``results/figureN.jsonl``; with other settings, or fewer rows, it is
another run. One that is cut goes on after the last pass that it finished, from its state under
``build/paper``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from examples.paper.data import Split
from examples.paper.learners import Learner

RESULTS = Path(__file__).parent / "results"
STATES = Path("build/paper")


@dataclass(frozen=True)
class Entry:
    """A curve of a figure.

    Attributes
    ----------
    build
        Takes ``passes``, ``seed`` and the settings, and returns the learner.
    settings
        What was chosen in the search.
    passes
        How many the learner makes.
    paper
        The accuracy that the paper gives for it, if any.
    """

    build: Callable[..., Learner]
    settings: Mapping[str, Any]
    passes: int
    paper: float | None = None

    @property
    def written(self) -> dict[str, Any]:
        """The settings as a file has them."""
        settings: dict[str, Any] = json.loads(json.dumps(dict(self.settings)))
        return settings


@dataclass(frozen=True)
class Figure:
    """A figure of the paper.

    Attributes
    ----------
    number, title
        As in the paper.
    data
        A key of `examples.paper.data.LOADERS`.
    unit
        What a pass is: ``epoch`` or ``iteration``.
    goal
        The accuracy that our default should reach.
    entries
        By the name of the learner.
    """

    number: int
    title: str
    data: str
    unit: str
    goal: float
    entries: Mapping[str, Entry]


@dataclass(frozen=True)
class Store:
    """Finished runs, one JSON line each.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from examples.paper.run_log import Store
    >>> with TemporaryDirectory() as folder:
    ...     store = Store(Path(folder) / "figure9.jsonl")
    ...     run = {"learner": "Adam", "passes": 2, "settings": {"rate": 0.01}}
    ...     store.add({**run, "accuracy": [0.5, 0.7]})
    ...     store.has(**run), store.has(**{**run, "settings": {"rate": 0.1}})
    (True, False)
    """

    path: Path

    def read(self) -> list[dict[str, Any]]:
        """Return the finished runs."""
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def add(self, run: Mapping[str, Any]) -> None:
        """Append a finished run."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(run) + "\n")

    def has(self, **about: Any) -> bool:
        """Whether a run is there: a learner with its seed, rows, passes and settings."""
        return any(about.items() <= run.items() for run in self.read())


def run_figure(
    figure: Figure,
    split: Split,
    seeds: Sequence[int],
    machine: str,
    store: Store,
    passes: int | None = None,
    only: Sequence[str] = (),
) -> None:
    """Run what is missing.

    Parameters
    ----------
    figure
        What to run.
    split
        The data; accuracy is that on its test part, after every pass.
    seeds
        Of initial weights and of the order of the rows.
    machine
        In words, for the record.
    store
        Where finished runs are kept.
    passes
        Fewer passes than the figure has; the schedules end with them.
    only
        Names of learners; by default all.
    """
    for seed in seeds:
        for name, entry in figure.entries.items():
            count = passes or entry.passes
            about = {"learner": name, "seed": seed, "rows": len(split.y_train), "passes": count}
            about |= {"settings": entry.written}
            if (only and name not in only) or store.has(**about):
                continue
            where = {"results": str(store.path.resolve())}
            state = STATES / f"{store.path.stem}-{digest(about | where)}.npz"
            learner = entry.build(passes=count, seed=seed, **entry.settings)
            curves = _run(learner, split, count, state, f"{name}, seed {seed}")
            store.add({**about, **curves, "machine": machine, "date": _today()})
            state.unlink(missing_ok=True)


def digest(about: Mapping[str, Any]) -> str:
    """Return a name for the state of a run: another one where anything about it differs."""
    return sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


def _run(
    learner: Learner, split: Split, passes: int, path: Path, title: str
) -> dict[str, list[float]]:
    """Return accuracy and seconds of each pass."""
    curves: dict[str, list[float]] = {"accuracy": [], "seconds": []}
    if path.exists():
        with np.load(path, allow_pickle=False) as archive:
            state = dict(archive)
        curves = {name: state.pop(f"curve.{name}").tolist() for name in curves}
        learner.restore(state)
    done = len(curves["accuracy"])
    for number in tqdm(range(done, passes), title, passes, initial=done, unit=" passes"):
        start = time.perf_counter()
        learner.learn(split.x_train, split.y_train, number)
        curves["seconds"].append(round(time.perf_counter() - start, 2))
        found = learner.predict(split.x_test) == split.y_test
        curves["accuracy"].append(float(found.mean()))
        if number + 1 < passes:
            _save(path, learner, curves)
    return curves


def _save(path: Path, learner: Learner, curves: Mapping[str, list[float]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npz")  # renamed when whole: a cut never leaves half a state
    kept: dict[str, Any] = {f"curve.{name}": np.array(v) for name, v in curves.items()}
    np.savez(part, **kept, **learner.state())
    part.replace(path)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
