"""Figure 3: MNIST, LeNet-5, cross-entropy, 20 epochs.

    OMP_NUM_THREADS=1 nice python -m examples.paper.figure3 --data ../shared/data

Finished runs are kept and not repeated; a run that is cut goes on after its last epoch.
"""

from __future__ import annotations

import sys

from examples.paper.cli import main
from examples.paper.lenet import entries
from examples.paper.run_log import Figure

FIGURE = Figure(
    number=3,
    title="MNIST, LeNet-5, cross-entropy",
    data="MNIST",
    unit="epoch",
    goal=0.991,
    entries=entries(
        (28, 28, 1),
        20,
        paper={"ours": 0.990, "Adam": 0.989, "SGD": 0.986},
        rivals={
            "Adam": {"name": "Adam", "rate": 0.01},
            "Adam, batches of 25": {"name": "Adam", "rate": 0.001, "batch": 25},
            "SGD": {"name": "SGD", "rate": 0.3},
        },
    ),
)

if __name__ == "__main__":
    sys.exit(main(FIGURE))
