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
from typing import Any

import torch
from tqdm import tqdm

from examples.paper.cli import count, known
from examples.paper.data import LOADERS
from examples.paper.run_log import RESULTS, Figure, Store

HELD_OUT = 10_000


def main(arguments: list[str] | None = None) -> None:
    """Try candidates, print what each reaches, and keep it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("figure", type=int, choices=range(1, 5))
    parser.add_argument("learner", help="a name in the figure")
    parser.add_argument(
        "settings", nargs="+", type=settings_of, help="all settings as JSON, one per candidate"
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of files")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of search.jsonl")
    parser.add_argument("--rows", type=count, default=50_000, help="training images to learn")
    parser.add_argument("--passes", type=count, required=True, help="epochs or iterations")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    figure: Figure = importlib.import_module(f"examples.paper.figure{chosen.figure}").FIGURE
    entry = known(figure, chosen.learner, parser)
    try:
        learners = [
            entry.build(passes=chosen.passes, seed=chosen.seed, **settings)
            for settings in chosen.settings
        ]
    except TypeError as error:  # of a call: a setting is missing, or there is no such
        parser.error(f"{error}; in the figure it has {json.dumps(entry.written)}")
    split = LOADERS[figure.data](chosen.data).held_out(HELD_OUT).first(chosen.rows)
    store = Store(chosen.results / "search.jsonl")
    for settings, learner in zip(chosen.settings, learners, strict=True):
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


def settings_of(text: str) -> dict[str, Any]:
    """Return the settings of a candidate, as an argument has them."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"no JSON: {error}") from error
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError(f"settings are a JSON object, not {text}")
    return found


if __name__ == "__main__":
    main()
