"""Figure 2: MNIST, 784-300-10, cross-entropy, 10 epochs in batches of 500.

OMP_NUM_THREADS=1 python -m examples.paper.figure2 --data ../shared/data
"""

from __future__ import annotations

import sys
from typing import Any

from examples.paper.cli import main
from examples.paper.learners import Gradient, Learner, Lifted, dense_model, dense_network
from examples.paper.run_log import Entry, Figure

SIZES = [784, 300, 10]
PASSES, BATCH = 10, 500


def lifted(
    passes: int, seed: int, scale: Any, x_iterations: int, w_iterations: int, **settings: Any
) -> Learner:
    """Return our network, its initial weights `scale` times Xavier's."""
    iterations = {"x_iterations": x_iterations, "w_iterations": w_iterations}
    network = dense_network(SIZES, seed, scale, **iterations)
    return Lifted(network, passes, BATCH, seed=seed, **settings)


def gradient(passes: int, seed: int, name: str, rate: float) -> Learner:
    """Return the same network, trained by gradients."""
    return Gradient(dense_model(SIZES, seed), name, rate, passes, BATCH, seed=seed)


CHOSEN = {
    "gamma": (2.0, 1.0),
    "extrapolation": (0.9, 0.0),
    "lam": 0.01,
    "scale": (0.3, 3.0),
    "x_iterations": 50,
    "w_iterations": 3,
}

FIGURE = Figure(
    number=2,
    title="MNIST, 784-300-10, cross-entropy, batches of 500",
    data="MNIST",
    unit="epoch",
    goal=0.980,
    entries={
        "ours, top-down": Entry(lifted, CHOSEN, PASSES, 0.976),
        "ours, the paper's order": Entry(lifted, {**CHOSEN, "order": "paper"}, PASSES, 0.976),
        "Adam": Entry(gradient, {"name": "Adam", "rate": 0.01}, PASSES, 0.976),
        "SGD": Entry(gradient, {"name": "SGD", "rate": 1.0}, PASSES, 0.943),
    },
)

if __name__ == "__main__":
    sys.exit(main(FIGURE))
