r"""Where the time of one step goes: the profile of learning, stage by stage.

A row at a time, batches of 128 rows, and batches of 100 as wide as images; the default, gamma tuned
by the mixture. The figures are those of the fastest of several passes in one process, on one core;
those of a row hold a microsecond or so of stopwatch in each stage.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m examples.benchmarks.step
"""

from __future__ import annotations

import functools
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import polars as pl

from fenchel_stream import FenchelClassifier
from fenchel_stream.estimators import base
from fenchel_stream.estimators.base import FenchelEstimator
from fenchel_stream.network import step
from fenchel_stream.network.compiled import rows as compiled_rows
from fenchel_stream.network.descent import Descent
from fenchel_stream.network.experts.averages import Averages
from fenchel_stream.network.experts.shares import Experts
from fenchel_stream.network.problem import Problem
from fenchel_stream.preprocessing.scaling import FeatureScaler

RESULTS = Path(__file__).parent / "results"
PASSES = 9
COMMAND = "`OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m examples.benchmarks.step`"

BLOCKS = "by block"
STAGES: dict[str, list[tuple[Any, str]]] = {
    "numbers from rows or frames": [(base, "row_values"), (base, "frame_values")],
    "means and deviations": [(FeatureScaler, "update")],
    "scaled input": [(FenchelEstimator, "_input")],
    "targets": [(FenchelClassifier, "_targets")],
    "feed-forward": [(compiled_rows, "forward"), (Problem, "forward")],
    "shares": [(Experts, "score"), (Experts, "score_row"), (Averages, "score")],
    "averages, their outputs and weights": [
        (Averages, "follow"),
        (Averages, "follow_row"),
        (step, "_outputs_each"),
    ],
    "W- and X-steps": [(compiled_rows, "descend")],
    BLOCKS: [(Descent, "move")],
}
TOTAL = "all of it"


@contextmanager
def stopwatches(spent: Counter[str]) -> Iterator[None]:
    """Add up what each stage takes, in seconds; of two within each other the outer one counts."""
    running: list[str] = []

    def watched(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def run(*arguments: Any, **named: Any) -> Any:
            if running:
                return function(*arguments, **named)
            name = stage
            if stage == BLOCKS:
                kind, layer = arguments[1]
                name = f"{kind}-step of layer {layer}"
            running.append(name)
            begin = time.perf_counter_ns()
            try:
                return function(*arguments, **named)
            finally:
                spent[name] += time.perf_counter_ns() - begin
                running.pop()

        return run

    with ExitStack() as stack:
        for stage, functions in STAGES.items():
            for owner, name in functions:
                function = vars(owner)[name]
                stack.enter_context(mock.patch.object(owner, name, watched(stage, function)))
        yield


def profile(learn: Callable[[], None], steps: int) -> dict[str, float]:
    """Return the microseconds of each stage in one step of `steps` that `learn` takes."""
    passes = []
    learn()
    for _ in range(PASSES):
        spent: Counter[str] = Counter()
        begin = time.perf_counter_ns()
        with stopwatches(spent):
            learn()
        spent[TOTAL] = time.perf_counter_ns() - begin
        passes.append(spent)
    best = min(passes, key=lambda spent: spent[TOTAL])
    return {stage: nanoseconds / steps / 1e3 for stage, nanoseconds in best.items()}


def main() -> None:
    """Measure, and write the table."""
    rng = np.random.default_rng(0)
    columns = {}
    for name, inputs, hidden, classes, batch, steps in (
        ("a row, 8-64-2", 8, 64, 2, 1, 500),
        ("128 rows, 8-64-2", 8, 64, 2, 128, 50),
        ("100 rows, 784-300-10", 784, 300, 10, 100, 10),
    ):
        frame = pl.DataFrame(rng.normal(size=(batch * steps, inputs)).round(6))
        labels = pl.Series(rng.integers(0, classes, len(frame)))
        model = FenchelClassifier(hidden=(hidden,))
        if batch == 1:
            rows = list(zip(frame.to_dicts(), labels.to_list(), strict=True))

            def learn(model: Any = model, rows: Any = rows) -> None:
                for x, y in rows:
                    model.learn_one(x, y)
        else:
            starts = range(0, len(frame), batch)
            parts = [(frame[i : i + batch], labels[i : i + batch]) for i in starts]

            def learn(model: Any = model, rows: Any = parts) -> None:
                for X, y in rows:
                    model.learn_many(X, y)

        columns[name] = profile(learn, steps)
    table = _table(columns)
    (RESULTS / "step.md").write_text(table)
    print(table)


def _table(columns: dict[str, dict[str, float]]) -> str:
    stages = list(dict.fromkeys(s for column in columns.values() for s in column if s != TOTAL))
    lines = [
        f"| one step, µs | {' | '.join(columns)} |",
        "| --- |" + " --- |" * len(columns),
    ]
    for stage in [*stages, "the rest", TOTAL]:
        cells = []
        for column in columns.values():
            rest = column[TOTAL] - sum(t for s, t in column.items() if s != TOTAL)
            value = {"the rest": rest}.get(stage, column.get(stage))
            share = "" if value is None else f" ({value / column[TOTAL]:.0%})"
            cells.append("" if value is None else f"{value:,.4g}" + share * (stage != TOTAL))
        lines.append(f"| {stage} | {' | '.join(cells)} |")
    day = datetime.now(UTC).date().isoformat()
    made = f"{COMMAND}, {day}, one {platform.machine()} core; random rows, seed 0"
    return "\n".join([*lines, "", made, ""])


if __name__ == "__main__":
    main()
