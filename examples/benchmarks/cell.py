"""One cell of the suite: a model learns a stream, test-then-train, and is measured."""

from __future__ import annotations

import math
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from examples.benchmarks.learners import Learner, Part, Task, matrix
from examples.benchmarks.models import MODELS
from examples.benchmarks.streams import STREAMS, Data

POINTS = 50
"""Of a curve."""

TIMED = 1_000
"""Rows that the speed of one setting is measured on where several learn side by side."""


@dataclass(frozen=True)
class Cell:
    """What is run: all settings of a model on a stream, both by name.

    Attributes
    ----------
    batch
        Rows that are predicted, then learnt together.
    limit
        Seconds of processor time after which a cell ends, with the rows that it managed.
    """

    stream: str
    model: str
    batch: int = 1
    seed: int = 1
    rows: int = 10_000
    half: str = ""
    limit: float = math.inf

    @property
    def keys(self) -> list[dict[str, Any]]:
        """What tells the results apart, one for each setting."""
        model = MODELS[self.model]
        return [
            {
                "stream": self.stream,
                "model": model.name,
                "setting": setting,
                "batch": self.batch,
                "seed": self.seed,
                "rows": self.rows,
                "half": self.half,
            }
            for setting in model.settings
        ]


class Table:
    """The rows of a stream, to be cut into parts."""

    def __init__(self, data: Data, categories: tuple[str, ...]) -> None:
        self.features = data.features
        self.rows = data.features.to_dicts()
        self.matrix = matrix(data.features, categories)
        self.targets = data.targets

    def part(self, rows: slice) -> Part:
        """Return some of the rows."""
        single = rows.stop - rows.start == 1
        features = self.features if single else self.features[rows]  # a cut takes its time
        return Part(features, self.rows[rows], self.matrix[rows], self.targets[rows])


@dataclass(frozen=True)
class Scores:
    """What came out of one pass.

    Attributes
    ----------
    losses
        Of each row (settings x rows): 1 for a wrong class or the absolute error; NaN where the
        model had nothing to say yet.
    seconds
        Of processor time, for predicting and learning alone.
    """

    losses: NDArray[np.float64]
    seconds: float

    @property
    def rows_per_s(self) -> float:
        """Rows predicted and learnt per second."""
        return len(self.losses[0]) / self.seconds


def run(cell: Cell, folder: Path) -> list[dict[str, Any]]:
    """Return one result for each setting of a cell."""
    stream, model = STREAMS[cell.stream], MODELS[cell.model]
    classifies = stream.kind == "classification"
    data = stream.load(folder, cell.rows, half=cell.half, seed=cell.seed)
    table = Table(data, stream.categories)
    classes = tuple(sorted(set(data.targets))) if classifies else ()
    task = Task(classifies, stream.categories, table.matrix.shape[1], classes, cell.seed)
    try:
        # Another one first, for what is compiled or imported at the first call.
        prequential(model.make(task, cell.batch), table, cell.batch, rows=2 * cell.batch)
        before = _resident()
        scores = prequential(model.make(task, cell.batch), table, cell.batch, cell.limit)
        peak, alone = _peak() - before, scores
        if model.alone:
            alone = prequential(model.alone(task, cell.batch), table, cell.batch, rows=TIMED)
    except (ArithmeticError, ImportError, ValueError) as error:
        failed = {"error": f"{type(error).__name__}: {error}"}
        return [key | failed for key in cell.keys]
    measured = {
        "learnt": scores.losses.shape[1],
        "of": data.count,
        "rows_per_s": round(alone.rows_per_s, 1),
        "peak_mb": round(max(0, peak) / 2**20, 1),
    }
    return [
        key | _summary(losses, classifies=classifies) | measured
        for key, losses in zip(cell.keys, scores.losses, strict=True)
    ]


def prequential(
    learner: Learner, table: Table, batch: int = 1, limit: float = math.inf, rows: int | None = None
) -> Scores:
    """Test `learner` on each batch before it learns it, for `limit` seconds at most."""
    losses, spent, start = [], 0.0, 0
    count = min(len(table.targets), rows or len(table.targets))
    # A model that diverges is a result.
    with np.errstate(all="ignore"):
        while start < count and spent < limit:
            part = table.part(slice(start, min(start + batch, count)))
            begin = time.process_time()
            said = learner.predict(part)
            learner.learn(part)
            spent += time.process_time() - begin
            losses.append([list(map(_loss, part.targets, labels)) for labels in said])
            start += batch
    return Scores(np.concatenate(losses, axis=1), spent)


def _loss(truth: Any, label: Any) -> float:
    if label is None:
        return math.nan
    if not isinstance(truth, float):
        return float(label != truth)
    error = abs(float(label) - truth)
    return error if math.isfinite(error) else math.inf


def _summary(losses: NDArray[np.float64], *, classifies: bool) -> dict[str, Any]:
    """Return accuracy or mean absolute error, of all rows and of each part of the stream."""
    parts = [losses, *np.array_split(losses, min(POINTS, len(losses)))]
    said = [part[~np.isnan(part)] for part in parts]
    means = [float(part.mean()) if len(part) else math.nan for part in said]
    figures = [1.0 - mean if classifies else mean for mean in means]
    score, *curve = [float(f"{f:.5g}") if math.isfinite(f) else None for f in figures]
    return {"score": score, "curve": curve} | ({"error": "diverged"} if score is None else {})


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
