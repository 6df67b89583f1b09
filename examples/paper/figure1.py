"""Figure 1: MNIST, 784-300-10, squared error, the whole training set in every iteration.

OMP_NUM_THREADS=1 python -m examples.paper.figure1 --data ../shared/data
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from examples.paper.cli import main
from examples.paper.learners import Gradient, Learner, dense_model, dense_network
from examples.paper.rivals.askari import AskariLifted
from examples.paper.rivals.lau import LauBcd
from examples.paper.rivals.lpom import LiLpom
from examples.paper.rivals.mac import CarreiraMac
from examples.paper.rivals.taylor import TaylorAdmm
from examples.paper.rivals.zhang_brand import ZhangTikhonov
from examples.paper.run_log import Entry, Figure
from examples.paper.sweeps import Sweeps

SIZES = [784, 300, 10]


def lifted(passes: int, seed: int, **settings: Any) -> Learner:
    """Return our network, by Algorithm 1; what `Sweeps` takes, and the rest of `dense_network`."""
    own = {name: settings.pop(name) for name in ("anew", "extrapolation") if name in settings}
    return Sweeps(dense_network(SIZES, seed, loss="squared_error", **settings), **own)


def rival(kind: Callable[..., Learner], passes: int, seed: int, **settings: Any) -> Learner:
    """Return the network of another method, without a schedule."""
    return kind(SIZES, seed=seed, **settings)


def mac(passes: int, seed: int, **settings: Any) -> Learner:
    """Return the method of auxiliary coordinates, whose penalty grows until the last pass."""
    return CarreiraMac(SIZES, passes, seed=seed, **settings)


def gradient(passes: int, seed: int, rate: float, batch: int) -> Learner:
    """Return the plain network, trained by SGD."""
    model = dense_model(SIZES, seed)
    return Gradient(model, "SGD", rate, passes, batch, loss="squared_error", seed=seed)


CHOSEN = {
    "lam": 0.1,
    "rho": (1.0, 0.1),
    "scale": 0.3,
    "x_iterations": 10,
    "w_iterations": 3,
    "extrapolation": (0.8, 0.0),
}
KEPT = {
    "lam": 1.0,
    "rho": (1.0, 0.1),
    "scale": 0.3,
    "x_iterations": 10,
    "w_iterations": 3,
    "order": "paper",
    "anew": False,
}

FIGURE = Figure(
    number=1,
    title="MNIST, 784-300-10, squared error, all rows at once",
    data="MNIST",
    unit="iteration",
    goal=0.965,
    entries={
        "ours, top-down": Entry(lifted, CHOSEN, 60, 0.961),
        "ours, the paper's order": Entry(lifted, {**CHOSEN, "order": "paper"}, 60, 0.961),
        "the paper's Algorithm 1": Entry(lifted, KEPT, 60, 0.961),
        "SGD, batches of 500": Entry(gradient, {"rate": 0.1, "batch": 500}, 60, 0.957),
        "Lau et al.": Entry(partial(rival, LauBcd), {}, 60, 0.914),
        "Askari et al.": Entry(partial(rival, AskariLifted), {}, 60, 0.863),
        "Taylor et al.": Entry(partial(rival, TaylorAdmm), {}, 60, 0.834),
        "MAC": Entry(mac, {"mu": 0.01, "growth": 100.0, "ridge": 100.0}, 60),
        "LPOM": Entry(partial(rival, LiLpom), {"mu": 1.0, "ridge": 100.0}, 60),
        "Zhang & Brand": Entry(partial(rival, ZhangTikhonov), {"theta": 0.3}, 60),
    },
)

if __name__ == "__main__":
    sys.exit(main(FIGURE))
