"""The command line that the figures share."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from pathlib import Path

import torch

from examples.paper.data import LOADERS
from examples.paper.report import write_report
from examples.paper.run_log import RESULTS, Figure, Store, run_figure
from fenchel_stream.errors import FenchelStreamError


def main(figure: Figure, arguments: list[str] | None = None) -> int:
    """Run what is missing of a figure, write its table and its picture, and return an exit code."""
    module = f"examples.paper.figure{figure.number}"
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}", description=f"{figure.title}. Runs that are there are kept."
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of files")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=[], metavar="LEARNER")
    parser.add_argument("--passes", type=int, help=f"fewer {figure.unit}s than the figure has")
    parser.add_argument("--rows", type=int, help="only the first so many training images")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--machine", default=f"{os.cpu_count()} {platform.machine()} cores")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    unknown = sorted(set(chosen.only) - set(figure.entries))
    if unknown:
        parser.error(
            f"no such learner: {', '.join(unknown)}; there are {', '.join(figure.entries)}"
        )
    try:
        split = LOADERS[figure.data](chosen.data)
    except FenchelStreamError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if chosen.rows:
        if chosen.results == RESULTS:
            parser.error("--rows is for trials: name another folder with --results")
        split = split.first(chosen.rows)
    store = Store(chosen.results / f"figure{figure.number}.jsonl")
    run_figure(figure, split, chosen.seeds, chosen.machine, store, chosen.passes, only=chosen.only)
    command = f"OMP_NUM_THREADS={chosen.threads} python -m {module} --data FOLDER"
    print(write_report(figure, store.read(), chosen.results, command))
    return 0
