"""Zhang and Brand (2017), "Convergent Block Coordinate Descent for ... Tikhonov Regularized ...".

ReLU is the projection onto ``x >= 0``, which becomes a penalty, a Tikhonov regulariser of the
activations. With a squared error and dense layers this is the objective of `AskariLifted`, which
came later. What differs are the steps: a block ``B`` does not go to its minimiser but by

    ``B* = argmin objective(B) + (1 - theta)^2 ||B - B_old||^2,  B = B_old + theta (B* - B_old)``,

which with ``theta = 1`` is Askari's. The objective never rises. ``theta``, the biases, the weights
of the terms and one pass over the units for the minimiser over ``X`` are our choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from examples.paper.rivals.askari import AskariLifted


class ZhangTikhonov(AskariLifted):
    """Proximal block-coordinate descent, all ``X`` from the output to the input, then all ``W``.

    Parameters
    ----------
    sizes
        Inputs, hidden units of each layer, outputs.
    theta
        The part of its way that a block goes, from 0 to 1.
    settings
        The other parameters of `AskariLifted`.
    """

    def __init__(self, sizes: Sequence[int], theta: float = 0.3, **settings: Any) -> None:
        super().__init__(sizes, **settings)
        self.theta, self.proximal = theta, (1.0 - theta) ** 2

    def _move_units(
        self, layer: int, u: Tensor, wanted: Tensor, weight: float, pull: float
    ) -> None:
        old, both = self.x[layer], pull + self.proximal
        centre = (pull * u + self.proximal * old) / both  # of both quadratic terms
        super()._move_units(layer, centre, wanted, weight, both)
        self.x[layer] = old + self.theta * (self.x[layer] - old)

    def _move_weights(
        self, layer: int, below: Tensor, wanted: Tensor, weight: float, ridge: float
    ) -> None:
        old, both = self.weights[layer], ridge + self.proximal
        centre = self.proximal / both * old
        super()._move_weights(layer, below, wanted - below @ centre.T, weight, both)
        self.weights[layer] = old + self.theta * (self.weights[layer] + centre - old)
