r"""The time of one step on LeNet-5, beside one step of Adam on the same batches of 500 images.

Processor time on one thread, of steps taken turn by turn in one process, so that what else a
machine does counts as little as possible. Images are noise: the time does not depend on them.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m examples.benchmarks.lenet5
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from platform import machine
from statistics import median
from typing import Any

import numpy as np
import torch
from torch.nn import AvgPool2d, Conv2d, CrossEntropyLoss, Flatten, Linear, ReLU, Sequential

from fenchel_stream import LiftedNetwork

RESULTS = Path(__file__).parent / "results"
BATCH, STEPS = 500, 15
ITERATIONS = [(5, 3), (3, 1), (2, 1)]
"""Inner steps for X and W: the default first."""


def adam(memory: torch.memory_format) -> Callable[[Any, Any], None]:
    """Return a step of Adam on a LeNet-5 with the given order of memory."""
    network = Sequential(
        *(Conv2d(1, 6, 5, padding=2), ReLU(), AvgPool2d(2), Conv2d(6, 16, 5), ReLU()),
        *(AvgPool2d(2), Flatten(), Linear(400, 120), ReLU(), Linear(120, 84), ReLU()),
        Linear(84, 10),
    )
    network.to(memory_format=memory)  # type: ignore[call-overload]
    optimizer, loss = torch.optim.Adam(network.parameters()), CrossEntropyLoss()

    def step(x: Any, y: Any) -> None:
        images = torch.from_numpy(x).reshape(-1, 1, 28, 28).contiguous(memory_format=memory)
        optimizer.zero_grad()
        loss(network(images), torch.from_numpy(y)).backward()
        optimizer.step()

    return step


def main() -> None:
    """Measure, and write the table."""
    torch.set_num_threads(1)
    steps: dict[str, Callable[[Any, Any], Any]] = {
        "Adam": adam(torch.contiguous_format),
        "Adam, channels last": adam(torch.channels_last),
    }
    for device in ("cpu", "cpu:0"):
        for x_iterations, w_iterations in ITERATIONS:
            network = LiftedNetwork.lenet5(
                device=device,
                gamma=(0.1, 0.1, 0.1, 0.1, 1.0),
                lam=1.0,
                x_iterations=x_iterations,
                w_iterations=w_iterations,
            )
            name = f"`{device}`, {x_iterations} inner steps for X and {w_iterations} for W"
            steps[name] = network.learn_batch
    rng = np.random.default_rng(0)
    spent: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(STEPS):
        x, y = rng.random((BATCH, 784), "float32"), rng.integers(0, 10, BATCH)
        for name, step in steps.items():
            begin = time.process_time()
            step(x, y)
            spent[name].append(time.process_time() - begin)
    one = median(spent["Adam"])
    lines = ["| step | ms | / one Adam step |", "| --- | --- | --- |"]
    for name, seconds in spent.items():
        lines.append(f"| {name} | {1e3 * median(seconds):.0f} | {median(seconds) / one:.1f} |")
    command = (
        f"`python -m examples.benchmarks.lenet5`, {datetime.now(UTC).date()}, one {machine()} core"
    )
    (RESULTS / "lenet5.md").write_text("\n".join([*lines, "", command, ""]))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
