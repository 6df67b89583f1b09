"""Figure 4: CIFAR-10, LeNet-5, cross-entropy, 80 epochs.

    OMP_NUM_THREADS=1 nice python -m examples.paper.figure4 --data ../shared/data

Finished runs are kept and not repeated; a run that is cut goes on after its last epoch.
"""

from __future__ import annotations

import sys

from examples.paper.cli import main
from examples.paper.lenet import entries
from examples.paper.run_log import Figure

FIGURE = Figure(
    number=4,
    title="CIFAR-10, LeNet-5, cross-entropy",
    data="CIFAR-10",
    unit="epoch",
    goal=0.630,
    entries=entries(
        (32, 32, 3),
        80,
        paper={"ours": 0.606, "Adam": 0.625, "SGD": 0.565},
        rivals={
            "Adam": {"name": "Adam", "rate": 0.006},
            "Adam, batches of 25": {"name": "Adam", "rate": 0.001, "batch": 25},
            "SGD": {"name": "SGD", "rate": 0.3},
        },
    ),
)

if __name__ == "__main__":
    sys.exit(main(FIGURE))
