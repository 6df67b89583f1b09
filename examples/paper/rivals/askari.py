"""Askari, Negiar, Sambharya and El Ghaoui (2018), "Lifted Neural Networks".

Rows are samples. ``relu(u)`` is the ``x >= 0`` nearest to ``u``, so that activations become
variables held near what the layer below makes, and the last layer is linear:

    ``min  ||Y - [1, X_L] W_L^T||^2 + sum_l lam ||X_{l+1} - [1, X_l] W_l^T||^2 + rho ||W_l||^2``

over ``X >= 0``. The first blocks are non-negative least squares, moved unit by unit, which is exact
in each unit; weights are ridge regressions, biases included. The objective never rises. Unlike the
divergence of the Fenchel network, the penalty is not 0 where a unit is off and its output negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from examples.paper.rivals.split import SplitNetwork, with_ones


class AskariLifted(SplitNetwork):
    """Block-coordinate descent, all ``X`` from the output to the input, then all ``W``.

    Parameters
    ----------
    sizes
        Inputs, hidden units of each layer, outputs.
    lam, rho
        Weights of the penalties and of the squared norm of the weights.
    sweeps
        Passes over the units of a layer in each iteration.
    scale
        Standard deviation of the initial weights.
    seed
        Of the initial weights.
    """

    blocks: ClassVar[tuple[str, ...]] = ("x",)

    def __init__(
        self,
        sizes: Sequence[int],
        lam: float = 1.0,
        rho: float = 1.0,
        sweeps: int = 1,
        scale: float = 0.05,
        seed: int = 0,
    ) -> None:
        super().__init__(sizes, scale, bias=0.0, seed=seed)
        self.lam, self.rho, self.sweeps = lam, rho, sweeps
        self.x: list[Tensor] = []

    def iterate(self, x: Tensor, y: Tensor, number: int) -> None:
        """See `SplitNetwork`."""
        if not self.x:
            self.x = self.activations(x)
        for layer in range(len(self.x) - 1, -1, -1):
            u = with_ones(self.x[layer - 1] if layer else x) @ self.weights[layer].T
            self._move_units(layer, u, *self._above(layer, y), self.lam)
        for layer in range(len(self.weights)):
            below = with_ones(self.x[layer - 1] if layer else x)
            self._move_weights(layer, below, *self._above(layer - 1, y), self.rho)

    def _above(self, layer: int, y: Tensor) -> tuple[Tensor, float]:
        """Return what the weights above ``X`` are fitted to, and the weight of that."""
        last = layer == len(self.x) - 1
        return (y, 1.0) if last else (self.x[layer + 1], self.lam)

    def _move_units(
        self, layer: int, u: Tensor, wanted: Tensor, weight: float, pull: float
    ) -> None:
        """Move the units of ``X`` one by one, each to its minimiser over ``x >= 0``.

        What is minimised is ``weight ||wanted - [1, X] W^T||^2 + pull ||X - u||^2``.
        """
        above = self.weights[layer + 1]
        x, u = self.x[layer].T.contiguous(), u.T.contiguous()  # a unit is contiguous now
        residual = (wanted - above[:, 0]).T - above[:, 1:] @ x
        for _ in range(self.sweeps):
            for unit, w in enumerate(above[:, 1:].T):
                slope = weight * (w @ residual) + pull * (u[unit] - x[unit])
                moved = (x[unit] + slope / (weight * w.dot(w) + pull)).clamp(min=0.0)
                residual -= w[:, None] * (moved - x[unit])
                x[unit] = moved
        self.x[layer] = x.T.contiguous()

    def _move_weights(
        self, layer: int, below: Tensor, wanted: Tensor, weight: float, ridge: float
    ) -> None:
        """Move weights to the minimiser of ``weight ||wanted - below W^T||^2 + ridge ||W||^2``."""
        matrix = self.inverse(layer, below, ridge / weight)
        self.weights[layer] = (wanted.T @ below) @ matrix

    def objective(self, x: Tensor, y: Tensor) -> float:
        """Return the objective at the current blocks."""
        total = sum(self.rho * (w**2).sum() for w in self.weights)
        for layer, w in enumerate(self.weights):
            below = with_ones(self.x[layer - 1] if layer else x)
            wanted, weight = self._above(layer - 1, y)
            total = total + weight * ((wanted - below @ w.T) ** 2).sum()
        return float(total)
