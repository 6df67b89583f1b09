"""Models x streams x seeds, test-then-train, in parallel processes.

    python -m examples.benchmarks.suite --data ../shared/data --part quick

Every model learns after each row; those that can, again in batches. Finished cells are appended to
``results/suite.jsonl`` at once and not repeated, so that a run may be stopped and started again.
The tables and the plots are then written from all there is.

Times are those of the processor, so that other work on the machine hardly changes them.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from examples.benchmarks import report
from examples.benchmarks.cell import Cell, run
from examples.benchmarks.models import MODELS
from examples.benchmarks.streams import STREAMS

RESULTS = Path(__file__).parent / "results" / "suite.jsonl"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
ONE_THREAD = dict.fromkeys(THREADS, "1")

REAL = [name for name, stream in STREAMS.items() if stream.group == "real"]
QUICK = ["fenchel-stream", "linear", "Hoeffding adaptive tree", "Adam", "SGD"]
PARTS: dict[str, dict[str, Any]] = {
    "quick": {"streams": ["electricity", "bikes", "SEA-abrupt"], "models": QUICK, "rows": 2_000},
    "real": {"streams": REAL},
    "all": {},
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what has not run yet, and write the report."""
    options = _options(arguments)
    done = report.read(options.results)
    known = [] if options.again else [{k: result[k] for k in report.KEYS} for result in done]
    todo = [cell for cell in _cells(options) if any(key not in known for key in cell.keys)]
    stamp = {
        "commit": _commit(),
        "machine": f"{os.cpu_count()} {platform.machine()} cores",
        "date": datetime.now(UTC).date().isoformat(),
    }
    options.results.parent.mkdir(parents=True, exist_ok=True)
    for results in _run_all(todo, options.data, options.processes):
        with options.results.open("a") as file:
            file.writelines(json.dumps(result | stamp) + "\n" for result in results)
    report.write(report.read(options.results), options.results.parent)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--data", type=Path, default=Path("../shared/data"), help="folder of data sets")
    add("--part", choices=PARTS, default="all", help="a selection; what follows goes over it")
    names = list(dict.fromkeys(model.name for model in MODELS.values()))
    add("--models", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    add("--streams", nargs="+", choices=STREAMS, metavar="NAME", help=", ".join(STREAMS))
    add("--batches", nargs="+", type=int, help="rows learnt together (default: 1 32 128)")
    add("--seeds", nargs="+", type=int, help="of streams and models (default: 1)")
    add("--rows", type=int, help="of each stream (default: 10,000)")
    add("--half", choices=("first", "second"), default="", help="of each real stream")
    add("--limit", type=float, default=1200.0, help="seconds of processor time for a cell")
    add("--again", action="store_true", help="repeat cells that have finished; the latest counts")
    add("--processes", type=int, default=os.cpu_count(), help="(default: one for each core)")
    add("--results", type=Path, default=RESULTS, help="JSON lines; the report goes beside them")
    options = parser.parse_args(arguments)
    defaults = {
        "models": names,
        "streams": list(STREAMS),
        "batches": [1, 32, 128],
        "seeds": [1],
        "rows": 10_000,
    }
    for name, value in (defaults | PARTS[options.part]).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def _cells(options: argparse.Namespace) -> Iterator[Cell]:
    """Yield all that was asked for, stream by stream."""
    chosen = {key: model for key, model in MODELS.items() if model.name in options.models}
    for batch in options.batches:
        for name in options.streams:
            if options.half and not STREAMS[name].has_halves:
                continue
            for key, model in chosen.items():
                if batch == 1 or model.batches:
                    for seed in options.seeds:
                        rest = batch, seed, options.rows, options.half, options.limit
                        yield Cell(name, key, *rest)


def _run_all(
    cells: list[Cell], folder: Path, processes: int | None
) -> Iterator[list[dict[str, Any]]]:
    """Yield the results of each cell as soon as there are some."""
    # A process of its own for each cell, so that its memory is its own; what it imports was
    # imported before it branched off.
    os.environ.update(ONE_THREAD)  # read when the server of these processes starts
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["examples.benchmarks.cell"])
    pool = ProcessPoolExecutor(
        processes, context, torch.set_num_threads, (1,), max_tasks_per_child=1
    )
    with pool, tqdm(total=len(cells), unit=" cells") as bar:
        futures = {pool.submit(run, cell, folder): cell for cell in cells}
        try:
            for future in as_completed(futures):
                cell = futures[future]
                bar.set_postfix_str(f"{cell.stream}, {cell.model}", refresh=False)
                bar.update()
                yield future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _commit() -> str:
    """Return what is measured, and whether it was changed since."""
    command = ("git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*")
    here = Path(__file__).parent
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
