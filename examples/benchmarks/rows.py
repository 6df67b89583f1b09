r"""Rows per second, one row at a time and in batches, on the electricity stream.

Each figure is the best of several passes over the rows, turn by turn in one process, on one core,
beside River's softmax regression and adaptive random forest over the same rows. Seconds are those
that the processor spent, so that what else the machine does counts less.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m examples.benchmarks.rows \
        --data ../shared/data/electricity.csv.gz
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
from river import forest, linear_model, preprocessing

from fenchel_stream import FenchelClassifier

RESULTS = Path(__file__).parent / "results"
PASSES, ROWS, BATCH = 5, 2_000, 128
MODELS: dict[str, Callable[[], Any]] = {
    "FenchelClassifier()": FenchelClassifier,
    "FenchelClassifier(gamma=(0.1, 1.0))": lambda: FenchelClassifier(gamma=(0.1, 1.0)),
    "StandardScaler | SoftmaxRegression": lambda: (
        preprocessing.StandardScaler() | linear_model.SoftmaxRegression()
    ),
    "ARFClassifier (10 trees)": lambda: forest.ARFClassifier(seed=1),
}


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data/electricity.csv.gz"))
    frame = pl.read_csv(parser.parse_args().data, n_rows=PASSES * ROWS)
    labels = frame["label"]
    features = frame.drop("label").cast(pl.Float64)
    rows = list(zip(features.to_dicts(), labels.to_list(), strict=True))
    best: dict[tuple[str, str], float] = {}
    models = {name: make() for name, make in MODELS.items()}
    many = {name: make() for name, make in MODELS.items() if name.startswith("Fenchel")}
    for start in range(0, PASSES * ROWS, ROWS):
        for name, model in models.items():
            begin = time.process_time()
            for x, y in rows[start : start + ROWS]:
                model.predict_one(x)
                model.learn_one(x, y)
            _keep(best, (name, "predict_one + learn_one"), time.process_time() - begin)
        for name, model in many.items():
            # Cut outside: only learning is timed.
            cuts = range(start, start + ROWS - BATCH, BATCH)
            parts = [(features[i : i + BATCH], labels[i : i + BATCH]) for i in cuts]
            begin = time.process_time()
            for X, y in parts:
                model.learn_many(X, y)
            spent = (time.process_time() - begin) * ROWS / (len(parts) * BATCH)
            _keep(best, (name, f"learn_many, batches of {BATCH}"), spent)
    lines = ["| model | calls | rows/s |", "| --- | --- | --- |"]
    for (name, calls), spent in best.items():
        escaped = name.replace("|", r"\|")  # in a table a bar ends the cell, quoted or not
        lines.append(f"| `{escaped}` | {calls} | {ROWS / spent:,.0f} |")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "rows.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def _keep(best: dict[tuple[str, str], float], key: tuple[str, str], seconds: float) -> None:
    best[key] = min(best.get(key, seconds), seconds)


if __name__ == "__main__":
    main()
