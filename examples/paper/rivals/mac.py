"""Carreira-Perpiñán and Wang (2014), "Distributed Optimization of Deeply Nested Systems".

MAC, the method of auxiliary coordinates. Rows are samples, activations become variables of their
own, one set per sample, held by a quadratic penalty, and the last layer is linear:

    ``min  ||Y - [1, Z_L] W_L^T||^2 / 2 + sum_l mu/2 ||Z_{l+1} - relu([1, Z_l] W_l^T)||^2``

The W-step is a regression with one layer for each layer, the Z-step one small problem for each
sample, and ``mu`` grows, so that the network in the end makes its own coordinates.

What is ours: the paper's experiments have sigmoids, and Gauss-Newton for both steps. Here ``Z``
stays in the range of ReLU, ``Z >= 0``: an output's loss then has no convex kink, so that a Gram
matrix of all rows majorises it, with a ridge for damping, and the last layer is least squares. The
Z-step is by projected gradients, layer by layer from the output. With ``mu`` at rest the objective
never rises. Its values, which grow evenly in the logarithm over all iterations, and all other
constants are ours, and the last layer is not fitted once more to the network's own features at the
end.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from examples.paper.rivals.split import SplitNetwork, with_ones


class CarreiraMac(SplitNetwork):
    """The quadratic penalty, all ``W``, then all ``Z`` from the output to the input.

    Parameters
    ----------
    sizes
        Inputs, hidden units of each layer, outputs.
    passes
        Iterations that will be made.
    mu, growth
        Weight of the penalty at first, and by how much it has grown in the end.
    w_steps, z_steps
        Steps of each layer in each iteration.
    ridge
        Damping of the W-step.
    scale
        Standard deviation of the initial weights.
    seed
        Of the initial weights.
    """

    blocks: ClassVar[tuple[str, ...]] = ("z",)

    def __init__(
        self,
        sizes: Sequence[int],
        passes: int,
        mu: float = 0.01,
        growth: float = 100.0,
        w_steps: int = 3,
        z_steps: int = 10,
        ridge: float = 100.0,
        scale: float = 0.05,
        seed: int = 0,
    ) -> None:
        super().__init__(sizes, scale, bias=0.0, seed=seed)
        self.passes, self.mu, self.growth = passes, mu, growth
        self.w_steps, self.z_steps, self.ridge = w_steps, z_steps, ridge
        self.z: list[Tensor] = []

    def iterate(self, x: Tensor, y: Tensor, number: int) -> None:
        """See `SplitNetwork`."""
        if not self.z:
            self.z = self.activations(x)
        for layer in range(len(self.weights)):
            below = with_ones(self.z[layer - 1] if layer else x)
            slope = partial(self._slope, layer, y=y)
            self.descend(layer, below, slope, self.w_steps, self.ridge)
        for layer in range(len(self.z) - 1, -1, -1):
            self._move_coordinates(layer, x, y, self.penalty(number))

    def penalty(self, number: int) -> float:
        """Return ``mu`` in an iteration."""
        return self.mu * float(self.growth ** (number / self.passes))

    def _slope(self, layer: int, u: Tensor, y: Tensor) -> Tensor:
        """Return the derivative by ``u`` of half the squared error of a layer with outputs `u`."""
        return u - y if layer == len(self.z) else (u > 0.0) * (u - self.z[layer])

    def _move_coordinates(self, layer: int, x: Tensor, y: Tensor, mu: float) -> None:
        w, z = self.weights[layer + 1], self.z[layer]
        weight = 1.0 if layer + 1 == len(self.z) else mu
        bound = mu + weight * float(torch.linalg.matrix_norm(w[:, 1:], 2)) ** 2
        below = with_ones(self.z[layer - 1] if layer else x)
        made = (below @ self.weights[layer].T).clamp(min=0.0)
        for _ in range(self.z_steps):
            above = self._slope(layer + 1, with_ones(z) @ w.T, y) @ w[:, 1:]
            z = (z - (mu * (z - made) + weight * above) / bound).clamp(min=0.0)
        self.z[layer] = z

    def objective(self, x: Tensor, y: Tensor, number: int = 0) -> float:
        """Return the objective at the current blocks, with the ``mu`` of an iteration."""
        *hidden, outputs = (
            with_ones(a) @ w.T for a, w in zip([x, *self.z], self.weights, strict=True)
        )
        total = 0.5 * ((y - outputs) ** 2).sum()
        for z, u in zip(self.z, hidden, strict=True):
            total = total + 0.5 * self.penalty(number) * ((z - u.clamp(min=0.0)) ** 2).sum()
        return float(total)
