"""Lau et al. (2018), "A Proximal Block Coordinate Descent Algorithm for Deep Neural Network ...".

In the three-splitting form, for which members of the same group give every step (Zeng, Lau, Lin and
Yao, 2019, "Global Convergence of Block Coordinate Descent in Deep Learning"). Rows are samples,
each layer has outputs ``U_l`` and activations ``V_l`` of its own, and the last layer is linear:

    ``min  ||V_L - Y||^2 / 2
       + sum_l gamma/2 ||V_l - relu(U_l)||^2 + rho/2 ||U_l - [1, V_{l-1}] W_l^T||^2``

Blocks are minimised exactly, from the output to the input, in the order V, U, W; some with a
proximal term ``alpha/2 ||. - old||^2``. The objective never rises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from examples.paper.rivals.split import SplitNetwork, solve, split_relu, with_ones


class LauBcd(SplitNetwork):
    """Proximal block-coordinate descent.

    Parameters
    ----------
    sizes
        Inputs, hidden units of each layer, outputs.
    gamma, rho, alpha
        Weights of the penalties and of the proximal terms.
    scale
        Standard deviation of the initial weights; initial biases are 0.1.
    seed
        Of the initial weights.
    """

    blocks: ClassVar[tuple[str, ...]] = ("u", "v")

    def __init__(
        self,
        sizes: Sequence[int],
        gamma: float = 1.0,
        rho: float = 1.0,
        alpha: float = 5.0,
        scale: float = 0.01,
        seed: int = 0,
    ) -> None:
        super().__init__(sizes, scale, bias=0.1, seed=seed)
        self.gamma, self.rho, self.alpha = gamma, rho, alpha
        self.u: list[Tensor] = []
        self.v: list[Tensor] = []

    def iterate(self, x: Tensor, y: Tensor, number: int) -> None:
        """See `SplitNetwork`."""
        gamma, rho, alpha = self.gamma, self.rho, self.alpha
        if not self.u:
            self.u = self.outputs(x)
            self.v = [*(u.clamp(min=0.0) for u in self.u[:-1]), self.u[-1]]
        last = len(self.weights) - 1
        for layer in range(last, -1, -1):
            below, w, u = with_ones(self.v[layer - 1] if layer else x), self.weights[layer], self.u
            if layer == last:
                v = (y + gamma * u[layer] + alpha * self.v[layer]) / (1.0 + gamma + alpha)
                u[layer] = (gamma * v + rho * below @ w.T) / (gamma + rho)
            else:
                above = u[layer + 1], self.weights[layer + 1]
                v = solve(*above, u[layer].clamp(min=0.0), rho, gamma)
                centre = (rho * below @ w.T + alpha * u[layer]) / (rho + alpha)
                u[layer] = split_relu(v, centre, gamma, rho + alpha)
            self.v[layer] = v
            pull = alpha / rho
            self.weights[layer] = (u[layer].T @ below + pull * w) @ self.inverse(layer, below, pull)

    def objective(self, x: Tensor, y: Tensor) -> float:
        """Return the objective at the current blocks."""
        last = len(self.weights) - 1
        total = 0.5 * ((self.v[last] - y) ** 2).sum()
        for layer, (u, v, w) in enumerate(zip(self.u, self.v, self.weights, strict=True)):
            below = with_ones(self.v[layer - 1] if layer else x)
            relu = u if layer == last else u.clamp(min=0.0)
            total = total + 0.5 * self.gamma * ((v - relu) ** 2).sum()
            total = total + 0.5 * self.rho * ((u - below @ w.T) ** 2).sum()
        return float(total)
