"""Li, Fang and Lin (2019), "Lifted Proximal Operator Machines" (LPOM).

Rows are samples. The activation is the proximal operator of an ``f``, and a ``g`` makes the penalty
``f(x) + g(u) + (x - u)^2 / 2`` vanish where ``x`` is the activation of ``u``. For ReLU ``f`` is 0
over ``x >= 0`` and ``g(u) = -min(u, 0)^2 / 2``, so that the penalty is ``F(x) + F*(u) - x u`` with
``F(x) = x^2 / 2`` and ``F*(u) = max(u, 0)^2 / 2``: the divergence of the Fenchel network. Every
layer has an ``X`` of its own, that of the output layer, which is linear here, too. Where
``U_l = [1, X_l] W_l^T``, the problem is

    ``min  ||X_{L+1} - Y||^2 / 2 + sum_l mu (F(X_{l+1}) + F*(U_l) - <X_{l+1}, U_l>)``

with ``F = F* = squares / 2`` for the output layer. From the Fenchel network it differs in the
output layer and in how blocks move. ``X``, from the output to the input, is the fixed point of

    ``X_{l+1} = relu(U_l - (relu(U_{l+1}) - X_{l+2}) W_{l+1})``,

which contracts if the norm of ``W_{l+1}`` is below 1; ``X_{L+1}`` has a closed form. Weights go by
``W_l - (relu(U_l) - X_{l+1})^T (X_l^T)^+``, which minimises a bound, with Nesterov's acceleration.

What is ours: the order, and steps for ``X`` shortened by the squared norm where it is above 1, so
that they always descend. ``mu``, the same everywhere: of its way to ``Y`` the output goes the part
``1 / (1 + mu)``, so that a large one, for many small batches, is slow with all rows at once. A
ridge in the pseudo-inverse, the numbers of steps, the initial weights, and that ``X`` begins at the
feed-forward point each time, as if all rows were one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from examples.paper.rivals.split import SplitNetwork, with_ones


class LiLpom(SplitNetwork):
    """Block-coordinate descent, all ``X`` from the output to the input, then all ``W``.

    Parameters
    ----------
    sizes
        Inputs, hidden units of each layer, outputs.
    mu
        Weight of the penalties.
    anew
        Whether ``X`` begins every iteration at the feed-forward point, or where it was.
    x_steps, w_steps
        Steps of each layer in each iteration.
    ridge
        Added to the Gram matrix of a layer's inputs.
    scale
        Standard deviation of the initial weights.
    seed
        Of the initial weights.
    """

    blocks: ClassVar[tuple[str, ...]] = ("x",)

    def __init__(
        self,
        sizes: Sequence[int],
        mu: float = 1.0,
        anew: bool = True,
        x_steps: int = 10,
        w_steps: int = 3,
        ridge: float = 100.0,
        scale: float = 0.05,
        seed: int = 0,
    ) -> None:
        super().__init__(sizes, scale, bias=0.0, seed=seed)
        self.mu, self.anew, self.ridge = mu, anew, ridge
        self.x_steps, self.w_steps = x_steps, w_steps
        self.x: list[Tensor] = []

    def iterate(self, x: Tensor, y: Tensor, number: int) -> None:
        """See `SplitNetwork`."""
        if self.anew or not self.x:
            self.x = [*self.activations(x), y]
        for layer in range(len(self.weights) - 1, -1, -1):
            u = with_ones(self.x[layer - 1] if layer else x) @ self.weights[layer].T
            if layer == len(self.weights) - 1:
                self.x[layer] = (y + self.mu * u) / (1.0 + self.mu)
                continue
            w = self.weights[layer + 1]
            part = 1.0 / max(1.0, float(torch.linalg.matrix_norm(w[:, 1:], 2)) ** 2)
            for _ in range(self.x_steps):
                slope = self._slope(layer + 1, with_ones(self.x[layer]) @ w.T)
                way = u - slope @ w[:, 1:] - self.x[layer]
                self.x[layer] = (self.x[layer] + part * way).clamp(min=0.0)
        for layer in range(len(self.weights)):
            below = with_ones(self.x[layer - 1] if layer else x)
            down = partial(self._slope, layer)
            self.descend(layer, below, down, self.w_steps, self.ridge, accelerated=True)

    def _slope(self, layer: int, u: Tensor) -> Tensor:
        """Return the derivative of a layer's penalty by its outputs `u`."""
        return (u if layer == len(self.weights) - 1 else u.clamp(min=0.0)) - self.x[layer]

    def objective(self, x: Tensor, y: Tensor) -> float:
        """Return the objective at the current blocks."""
        total = 0.5 * ((self.x[-1] - y) ** 2).sum()
        for layer, (w, above) in enumerate(zip(self.weights, self.x, strict=True)):
            u = with_ones(self.x[layer - 1] if layer else x) @ w.T
            g = (u if layer == len(self.weights) - 1 else u.clamp(min=0.0)) ** 2
            total = total + self.mu * (0.5 * (above**2 + g) - above * u).sum()
        return float(total)
