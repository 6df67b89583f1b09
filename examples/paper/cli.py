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
from examples.paper.run_log import RESULTS, Entry, Figure, Store, run_figure
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
    parser.add_argument("--passes", type=count, help=f"fewer {figure.unit}s than the figure has")
    parser.add_argument("--rows", type=count, help="only the first so many training images")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--machine", default=f"{os.cpu_count()} {platform.machine()} cores")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    for learner in chosen.only:
        known(figure, learner, parser)
    try:
        split = LOADERS[figure.data](chosen.data)
    except FenchelStreamError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if chosen.rows:
        if chosen.results.resolve() == RESULTS.resolve():
            parser.error("--rows is for trials: name another folder with --results")
        split = split.first(chosen.rows)
    store = Store(chosen.results / f"figure{figure.number}.jsonl")
    run_figure(figure, split, chosen.seeds, chosen.machine, store, chosen.passes, only=chosen.only)
    command = f"OMP_NUM_THREADS={chosen.threads} python -m {module} --data FOLDER"
    print(write_report(figure, store.read(), chosen.results, command))
    return 0


def count(text: str) -> int:
    """Return a whole number of at least 1, as an argument has it."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number of at least 1, not {text!r}")
    return int(text)


def known(figure: Figure, learner: str, parser: argparse.ArgumentParser) -> Entry:
    """Return the entry of a learner, or end with the names that there are."""
    if learner not in figure.entries:
        names = "\n".join(f'    "{name}"' for name in figure.entries)
        parser.error(f"no such learner: {learner}; there are\n{names}")
    return figure.entries[learner]
