"""The step for a batch of one row: from the network's variables to the compiled loops and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fenchel_stream import kernels
from fenchel_stream.arrays import Array
from fenchel_stream.averages import Averages
from fenchel_stream.mixture import GammaMixture
from fenchel_stream.variables import Variables

if TYPE_CHECKING:
    from fenchel_stream.network import LiftedNetwork

W_ITERATIONS, X_ITERATIONS = 1, 2
"""Inner steps for a row: more gained nothing on any stream."""


class RowStep:
    """What the kernels are told of a network besides its weights.

    Parameters
    ----------
    network
        One that it `serves`.
    """

    def __init__(self, network: LiftedNetwork) -> None:
        activation, loss = network.activation, network.loss
        self.kinds = activation.code, loss.code
        self.schedule = network.schedule
        self.in_samples = network.gamma_unit == "sample"
        self.iterations = (
            network.w_iterations or W_ITERATIONS,
            network.x_iterations or X_ITERATIONS,
        )
        # By layer; a lam of 0 stands for the output loss.
        self.lam = (*network.lam, 0.0)
        self.slope = activation.curvature
        self.curvatures = [lam * activation.curvature for lam in network.lam] + [loss.curvature]
        dtype = network.dtype
        self.gammas = [np.array([gamma], dtype) for gamma in network.gamma]
        if network.mixture is not None:
            self.gammas[-1] = np.ravel(network.mixture.gammas)
        self.rho = network.rho
        self.alone = np.ones(1, dtype)

    @staticmethod
    def serves(network: LiftedNetwork) -> bool:
        """Whether all that `network` is made of has a compiled form, and it computes in NumPy."""
        codes = network.activation.code, network.loss.code
        layers = all(layer.compiled for layer in network.layers)
        return min(codes) >= 0 and layers and network.device == "cpu"

    def forward(self, weights: Sequence[Array], a: Array) -> tuple[list[Array], list[Array]]:
        """Return the inputs and the outputs of all layers for the row `a` (1 + inputs,)."""
        inputs, outputs = [a], []
        for w in weights[:-1]:
            u, a = kernels.hidden(self.kinds[0], w, a)
            outputs.append(u)
            inputs.append(a)
        outputs.append(kernels.output(weights[-1], a))
        return inputs, outputs

    def side_by_side(self, averages: Averages, a: Array, outputs: Array) -> Array:
        """Return `outputs`, the network's for the row `a`, with those of its averages behind them.

        They are (1 + averages) x outputs.
        """
        each = a[None]
        for w in averages.weights[:-1]:
            each = kernels.hidden_each(self.kinds[0], w, each)
        return kernels.outputs_each(averages.weights[-1], each, outputs)

    def learn(
        self, weights: list[Array], mixture: GammaMixture | None, a: Array, y: Array
    ) -> tuple[Variables, Variables]:
        """Learn the row `a` (1 + inputs,) with targets `y`; return the variables before and after.

        The shares of `mixture` are moved; the weights are left to the caller.
        """
        inputs, outputs = self.forward(weights, a)
        now = Variables(list(weights), inputs, outputs, [a, *outputs[:-1]], {})
        if mixture is not None:
            mixture.score_row(self.kinds[1], y, mixture.weights @ inputs[-1])
            now.candidates, now.shares = mixture.weights, mixture.shares
        before = now.copy()
        last = len(weights) - 1
        for block, layer in self.schedule:
            mixed = mixture is not None and layer == last
            move = self._move_w if block == "W" else self._move_x
            move(layer, mixed, y if layer == last else now.inputs[layer + 1][1:], now, before)
        return before, now

    def _move_w(
        self, layer: int, mixed: bool, target: Array, now: Variables, before: Variables
    ) -> None:
        w0, w, shares = before.weights[layer][None], now.weights[layer][None], self.alone
        if mixed:
            w0, w, shares = before.candidates, now.candidates, now.shares
        stack, now.weights[layer], now.outputs[layer] = kernels.w_step(
            *self.kinds, self.lam[layer], self.curvatures[layer], self.gammas[layer],
            self.rho[layer], self.in_samples, self.iterations[0], target, before.inputs[layer],
            now.inputs[layer], w0, w, shares,
        )  # fmt: skip
        if mixed:
            now.candidates = stack

    def _move_x(
        self, layer: int, mixed: bool, target: Array, now: Variables, before: Variables
    ) -> None:
        w, shares = now.weights[layer][None], self.alone
        if mixed:
            w, shares = now.candidates, now.shares
        now.sources[layer], now.inputs[layer], now.outputs[layer] = kernels.x_step(
            *self.kinds, self.lam[layer], self.slope * self.curvatures[layer], self.lam[layer - 1],
            self.iterations[1], target, now.outputs[layer - 1], now.sources[layer],
            now.inputs[layer], w, shares, now.weights[layer],
        )  # fmt: skip
