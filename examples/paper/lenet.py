"""LeNet-5 for figures 3 and 4: ours, and the same network in torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from examples.paper.learners import Gradient, Learner, Lifted
from examples.paper.run_log import Entry
from fenchel_stream import LiftedNetwork
from fenchel_stream.network.problem import per_layer

Shape = tuple[int, int, int]
CHOSEN = {
    # The convolutions are led on far, and their old weights count little: see the README.
    "gamma": (0.01, 0.01, 1.0, 1.0, 3.0),
    "extrapolation": (0.99, 0.99, 0.9, 0.9, 0.0),
    "rho": (0.0, 0.0, 1e-5, 1e-5, 0.02),
    "averaged": 600,
    "lam": 0.01,
    "scale": 1.0,
    "x_iterations": 3,
    "w_iterations": 1,
    "batch": 25,
}


class LeNet5(nn.Module):
    """LeNet-5 with average pooling and ReLU; images come flat, channels last.

    Parameters
    ----------
    inputs
        Height, width and channels of an image; smaller ones are padded to 32 x 32.
    """

    def __init__(self, inputs: Shape) -> None:
        super().__init__()
        self.inputs = inputs
        self.layers = nn.Sequential(
            nn.Conv2d(inputs[2], 6, 5, padding=(32 - inputs[0]) // 2),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(400, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, 10),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        images = x.reshape(-1, *self.inputs).permute(0, 3, 1, 2)
        outputs: Tensor = self.layers(images)
        return outputs


def lifted(
    passes: int,
    seed: int,
    inputs: Shape,
    scale: float | Sequence[float],
    x_iterations: int,
    w_iterations: int,
    batch: int,
    **settings: Any,
) -> Learner:
    """Return our network, its initial weights `scale` times Xavier's, by layer."""
    network = LiftedNetwork.lenet5(
        inputs,
        seed=seed,
        device="cpu:0",
        x_iterations=x_iterations,
        w_iterations=w_iterations,
    )
    scales = per_layer("scale", scale, len(network.weights))
    network.replace([s * w for s, w in zip(scales, network.weights, strict=True)])
    return Lifted(network, passes, batch, seed=seed, **settings)


def gradient(
    passes: int, seed: int, inputs: Shape, name: str, rate: float, batch: int = 500
) -> Learner:
    """Return the same network, trained by gradients."""
    torch.manual_seed(seed)
    return Gradient(LeNet5(inputs), name, rate, passes, batch, seed=seed)


def entries(
    inputs: Shape,
    passes: int,
    paper: Mapping[str, float],
    rivals: Mapping[str, Mapping[str, Any]],
) -> dict[str, Entry]:
    """Return the curves of a figure.

    Parameters
    ----------
    inputs
        Shape of an image.
    passes
        Epochs.
    paper
        The paper's accuracies: ``ours``, ``Adam``, ``SGD``.
    rivals
        What `gradient` takes, by the name of the learner.
    """
    own, rival = partial(lifted, inputs=inputs), partial(gradient, inputs=inputs)
    found = {
        "ours, top-down": Entry(own, CHOSEN, passes, paper["ours"]),
        "ours, the paper's order": Entry(own, {**CHOSEN, "order": "paper"}, passes, paper["ours"]),
    }
    for name, settings in rivals.items():
        found[name] = Entry(rival, settings, passes, paper.get(name))
    return found
