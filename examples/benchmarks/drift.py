"""Recovery from drift: Fashion-MNIST whose labels are permuted anew every 10,000 images.

One pass over the 60,000 training images in batches of 100; each batch is predicted, then learnt. A
784-300-10 network is trained by our steps with default parameters, with one network instead of two
and with a fixed gamma, and by Adam and SGD at every rate of a grid and with 1, 3, 5 and 10 steps
per batch. Times are ratios to one Adam step, taken turn by turn in one process.

    python -m examples.benchmarks.drift --data ../shared/data/fashion_mnist.npz

Finished runs are kept in ``results/drift.jsonl`` and not repeated; delete it to start anew.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import pyplot as plt
from tqdm import tqdm

from fenchel_stream.estimators.ensemble import Ensemble
from fenchel_stream.network.arrays import with_ones

RESULTS = Path(__file__).parent / "results"
SIZES = [784, 300, 10]
BATCH, CONCEPT, SEED = 100, 10_000, 1
RATES = {"Adam": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2), "SGD": (0.01, 0.03, 0.1, 0.3, 1.0)}
STEPS = (1, 3, 5, 10)
OURS: dict[str, dict[str, Any]] = {
    "fenchel-stream": {},
    "fenchel-stream, one network": {"order": "top_down"},
    "fenchel-stream, gamma fixed": {"gamma": [0.1, 1]},
}


class Lifted:
    """What our classifier learns by."""

    def __init__(self, **settings: Any) -> None:
        self.ensemble = Ensemble(SIZES, seed=SEED, **settings)

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        """Return the most probable classes."""
        outputs: torch.Tensor = torch.from_numpy(self.ensemble.outputs(with_ones(x.numpy())))
        return outputs.argmax(1)

    def learn(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """Learn one batch."""
        self.ensemble.step(with_ones(x.numpy()), y.numpy())


class Gradient:
    """The same network, trained by so many gradient steps per batch."""

    def __init__(self, name: str, rate: float, steps: int) -> None:
        torch.manual_seed(SEED)
        inputs, hidden, outputs = SIZES
        first, last = torch.nn.Linear(inputs, hidden), torch.nn.Linear(hidden, outputs)
        self.model = torch.nn.Sequential(first, torch.nn.ReLU(), last)
        self.optimizer = getattr(torch.optim, name)(self.model.parameters(), rate)
        self.steps = steps

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        """Return the most probable classes."""
        with torch.no_grad():
            outputs: torch.Tensor = self.model(x)
        return outputs.argmax(1)

    def learn(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """Learn one batch."""
        for _ in range(self.steps):
            self.optimizer.zero_grad()
            torch.autograd.backward(torch.nn.functional.cross_entropy(self.model(x), y))
            self.optimizer.step()


def batches(path: Path) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the stream."""
    data = np.load(path)
    x = torch.tensor(data["x_train"].reshape(-1, 784) / 255.0, dtype=torch.float32)
    y = torch.tensor(data["y_train"].astype(np.int64))
    rng = np.random.default_rng(SEED)
    for start in range(0, len(x), CONCEPT):
        permuted = torch.tensor(rng.permutation(10))
        for i in range(start, start + CONCEPT, BATCH):
            yield x[i : i + BATCH], permuted[y[i : i + BATCH]]


def runs() -> Iterator[tuple[dict[str, Any], Callable[[], Any]]]:
    """Yield the name of every run and what makes its learner."""
    for name, settings in OURS.items():
        yield {"learner": name, "rate": None, "steps": 1}, partial(Lifted, **settings)
    for name, rates in RATES.items():
        for steps in STEPS:
            for rate in rates:
                key = {"learner": name, "rate": rate, "steps": steps}
                yield key, partial(Gradient, name, rate, steps)


def times(path: Path) -> dict[tuple[str, int], float]:
    """Return the time of a batch for each learner, relative to one Adam step."""
    learners = {(key["learner"], key["steps"]): make for key, make in runs()}
    made = {key: make() for key, make in learners.items()}
    spent: dict[tuple[str, int], list[float]] = {key: [] for key in made}
    for number, (x, y) in zip(range(120), batches(path), strict=False):
        for key, learner in made.items():
            start = time.perf_counter()
            learner.learn(x, y)
            if number >= 20:
                spent[key].append(time.perf_counter() - start)
    # The median: other processes of the machine disturb some batches.
    unit = statistics.median(spent["Adam", 1])
    return {key: statistics.median(values) / unit for key, values in spent.items()}


def main() -> None:
    """Run what has not run yet, and write the table and the plot."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data/fashion_mnist.npz"))
    path = parser.parse_args().data
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / "drift.jsonl"
    done = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    known = [result["run"] for result in done]
    todo = [(key, make) for key, make in runs() if key not in known]
    for key, make in tqdm(todo, unit=" runs"):
        learner, correct = make(), []
        for x, y in batches(path):
            correct.append(int((learner.predict(x) == y).sum()))
            learner.learn(x, y)
        done.append({"run": key, "correct": correct})
        with kept.open("a") as file:
            file.write(json.dumps(done[-1]) + "\n")
    best = _best(done)
    relative = times(path)
    _write_table(best, relative)
    _draw(best)


def _best(done: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep the best rate of each learner and number of steps."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for result in done:
        key = result["run"]["learner"], result["run"]["steps"]
        if key not in found or sum(result["correct"]) > sum(found[key]["correct"]):
            found[key] = result
    return list(found.values())


def _curves(result: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Return the accuracy of each batch, one row per concept."""
    return np.array(result["correct"]).reshape(-1, CONCEPT // BATCH) / BATCH


def _write_table(best: list[dict[str, Any]], relative: dict[tuple[str, int], float]) -> None:
    lines = [
        (
            "| learner | steps per batch | best rate | accuracy | first 1,000 after a change "
            "| second 1,000 | time / one Adam step |"
        ),
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for result in best:
        run, curves = result["run"], _curves(result)
        changed = curves[1:]
        figures = curves.mean(), changed[:, :10].mean(), changed[:, 10:20].mean()
        lines.append(
            f"| {run['learner']} | {run['steps']} | {run['rate'] or 'none'} | "
            + " | ".join(f"{figure:.3f}" for figure in figures)
            + f" | {relative[run['learner'], run['steps']]:.2f} |"
        )
    (RESULTS / "drift.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def _draw(best: list[dict[str, Any]]) -> None:
    shown = {
        ("fenchel-stream", 1): "C3",
        ("Adam", 10): "C0",
        ("Adam", 1): "C0",
        ("SGD", 10): "C2",
        ("SGD", 1): "C2",
    }
    figure, ax = plt.subplots(figsize=(7.0, 4.2), layout="constrained")
    for result in best:
        run = result["run"]
        color = shown.get((run["learner"], run["steps"]))
        if color is None:
            continue
        curve = _curves(result)[1:].mean(axis=0)
        gradient = run["rate"] is not None
        label = run["learner"]
        if gradient:
            label += f", {run['steps']} step{'s' * (run['steps'] > 1)} per batch, best rate"
        style = "--" if gradient and run["steps"] == 1 else "-"
        ax.plot((np.arange(len(curve)) + 1) * BATCH, curve, style, color=color, label=label)
    ax.set_xlim(0, 5000)
    ax.set_ylim(0, 0.9)
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.set_title("Mean of the five changes", fontsize=10)
    ax.set_xlabel("images since the labels changed their meaning")
    ax.set_ylabel("accuracy on the last 100 images")
    ax.grid(alpha=0.3)
    ax.legend(loc="lower right", fontsize=9)
    figure.savefig(RESULTS / "drift.png", dpi=150)


if __name__ == "__main__":
    main()
