"""What default settings reach on streams that are always at hand must not get worse unnoticed.

The figures are those of the commit that last set them; after a change for the better, set them
anew. Speed is printed as a ratio to River's linear model in the same process, and never judged.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from examples.benchmarks.cell import Table, prequential
from examples.benchmarks.learners import Task
from examples.benchmarks.models import MODELS
from examples.benchmarks.streams import STREAMS, Data

FIGURES = {"Phishing": 0.900, "RandomRBF-moving": 0.643, "flights": 0.661}
"""Accuracy when each row is learnt after it was predicted, defaults, first `ROWS` rows, seed 1."""

MARGIN = 0.01
ROWS = 2_000
CATEGORIES = {"flights": ("weekday", "carrier", "origin", "dest")}


def rows_of(stream: str, root: Path) -> Data:
    if stream in STREAMS and stream != "flights":
        return STREAMS[stream].load(root, ROWS, seed=1)
    frame = pl.read_csv(root / "examples/data/flights.csv.gz", n_rows=ROWS)
    return Data(frame.drop("late"), frame["late"].to_list())


@pytest.mark.parametrize("stream", FIGURES)
def test_accuracy_does_not_fall(
    stream: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, categories = rows_of(stream, root), CATEGORIES.get(stream, ())
    table = Table(data, categories)
    classes = tuple(sorted(set(data.targets)))
    task = Task(True, categories, table.matrix.shape[1], classes, seed=1)
    ours = prequential(MODELS["fenchel-stream"].make(task, 1), table)
    reference = prequential(MODELS["linear 0.01"].make(task, 1), table)
    accuracy = 1.0 - np.nanmean(ours.losses[0])
    ratio = ours.rows_per_s / reference.rows_per_s
    with capsys.disabled():
        sys.stdout.write(f" {stream}: {accuracy:.4f}, {ratio:.2f} of the linear rows/s ")
    assert accuracy > FIGURES[stream] - MARGIN
