r"""The search for the settings of a figure, which never sees the test set.

Each candidate learns the first rows of the training set and is judged on its last 10,000. What was
tried is kept in ``results/search.jsonl``, one line per candidate.

    python -m examples.paper.search 2 SGD '{"name": "SGD", "rate": 0.3}' --rows 25000 --passes 6
"""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

import torch
from tqdm import tqdm

from examples.paper.data import LOADERS
from examples.paper.run_log import RESULTS, Figure, Store

HELD_OUT = 10_000


def main(arguments: list[str] | None = None) -> None:
    """Try candidates, print what each reaches, and keep it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("figure", type=int)
    parser.add_argument("learner", help="a name in the figure")
    parser.add_argument("settings", nargs="+", type=json.loads, help="JSON, one per candidate")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--passes", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    figure: Figure = importlib.import_module(f"examples.paper.figure{chosen.figure}").FIGURE
    split = LOADERS[figure.data](chosen.data).held_out(HELD_OUT).first(chosen.rows)
    store = Store(chosen.results / "search.jsonl")
    for settings in chosen.settings:
        build = figure.entries[chosen.learner].build
        learner = build(passes=chosen.passes, seed=chosen.seed, **settings)
        accuracy = []
        for number in tqdm(range(chosen.passes), json.dumps(settings), unit=" passes"):
            learner.learn(split.x_train, split.y_train, number)
            accuracy.append(float((learner.predict(split.x_test) == split.y_test).mean()))
        seen = learner.predict(split.x_train[:HELD_OUT]) == split.y_train[:HELD_OUT]
        run = {
            "figure": chosen.figure,
            "learner": chosen.learner,
            "settings": settings,
            "rows": len(split.y_train),
            "passes": chosen.passes,
            "seed": chosen.seed,
            "accuracy": accuracy,
            "training_accuracy": float(seen.mean()),
        }
        store.add(run)
        print(json.dumps(run))


if __name__ == "__main__":
    main()
