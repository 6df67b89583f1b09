"""Taylor et al. (2016), "Training Neural Networks Without Gradients: A Scalable ADMM Approach".

Rows are samples. Every layer has outputs ``z_l`` and activations ``a_l`` of its own,

    ``min  ||z_L - y||^2 + <z_L, mu> + beta ||z_L - [1, a_{L-1}] W_L^T||^2
       + sum_l gamma ||a_l - relu(z_l)||^2 + beta ||z_l - [1, a_{l-1}] W_l^T||^2,``

and each block is minimised exactly, layer by layer from the input: weights by least squares,
activations by one linear system, outputs element by element. Only the last layer has a Lagrange
multiplier, ``mu``, which rests in the first iterations. Squared error stands for the paper's hinge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from examples.paper.rivals.split import SplitNetwork, solve, split_relu, with_ones


class TaylorAdmm(SplitNetwork):
    """ADMM.

    Parameters
    ----------
    sizes
        Inputs, hidden units of each layer, outputs.
    beta, gamma
        Weights of the two kinds of penalties.
    warm_start
        Iterations in which the multiplier rests.
    seed
        Of the first ``z`` and ``a``, which are Gaussian.
    """

    blocks: ClassVar[tuple[str, ...]] = ("z", "a", "multiplier")

    def __init__(
        self,
        sizes: Sequence[int],
        beta: float = 1.0,
        gamma: float = 10.0,
        warm_start: int = 10,
        seed: int = 0,
    ) -> None:
        super().__init__(sizes, scale=0.0, bias=0.0, seed=seed)
        self.beta, self.gamma, self.warm_start = beta, gamma, warm_start
        self.z: list[Tensor] = []
        self.a: list[Tensor] = []
        self.multiplier: list[Tensor] = []

    def iterate(self, x: Tensor, y: Tensor, number: int) -> None:
        """See `SplitNetwork`."""
        if not self.z:
            self._start(x)
        beta, gamma, last = self.beta, self.gamma, len(self.weights) - 1
        for layer in range(last):
            m = self._move_weights(layer, x)
            above = self.z[layer + 1], self.weights[layer + 1]
            self.a[layer] = solve(*above, self.z[layer].clamp(min=0.0), beta, gamma)
            self.z[layer] = split_relu(self.a[layer], m, gamma, beta)
        m, (mu,) = self._move_weights(last, x), self.multiplier
        self.z[last] = (y + beta * m - 0.5 * mu) / (1.0 + beta)
        if number >= self.warm_start:
            self.multiplier = [mu + beta * (self.z[last] - m)]

    def _move_weights(self, layer: int, x: Tensor) -> Tensor:
        """Fit ``W_l`` to its outputs and return what it makes of its inputs."""
        below = with_ones(self.a[layer - 1] if layer else x)
        w = (self.z[layer].T @ below) @ self.inverse(layer, below, 0.0)
        self.weights[layer] = w
        return below @ w.T

    def _start(self, x: Tensor) -> None:
        def gaussian(w: Tensor) -> Tensor:
            return torch.randn(len(x), len(w), generator=self.generator).to(x.dtype)

        self.z = [gaussian(w) for w in self.weights]
        self.a = [gaussian(w) for w in self.weights[:-1]]
        self.multiplier = [torch.zeros_like(self.z[-1])]
        for layer in range(1, len(self.weights)):  # the first a-step asks for those above it
            self._move_weights(layer, x)

    def lagrangian(self, x: Tensor, y: Tensor) -> float:
        """Return what every block minimises, at the current blocks."""
        last = len(self.weights) - 1
        total = ((self.z[last] - y) ** 2).sum() + (self.z[last] * self.multiplier[0]).sum()
        for layer, (z, w) in enumerate(zip(self.z, self.weights, strict=True)):
            below = with_ones(self.a[layer - 1] if layer else x)
            total = total + self.beta * ((z - below @ w.T) ** 2).sum()
            if layer < last:
                total = total + self.gamma * ((self.a[layer] - z.clamp(min=0.0)) ** 2).sum()
        return float(total)
