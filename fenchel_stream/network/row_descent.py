"""The step for a batch of one row: from the network's variables to the compiled loops and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fenchel_stream.network.arrays import Array
from fenchel_stream.network.compiled import rows as row_kernels
from fenchel_stream.network.experts.averages import Averages
from fenchel_stream.network.experts.gamma_mixture import GammaMixture
from fenchel_stream.network.variables import Variables

if TYPE_CHECKING:
    from fenchel_stream.network.lifted_network import LiftedNetwork

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
        activation, loss, dtype = network.activation, network.loss, network.dtype
        self.kinds = activation.code, loss.code
        self.blocks = np.array([(block == "W", layer) for block, layer in network.schedule])
        # By layer; a lam of 0 stands for the output loss.
        self.lam = np.array([*network.lam, 0.0])
        self.slope = activation.curvature
        curvatures = [lam * activation.curvature for lam in network.lam]
        self.curvatures = np.array([*curvatures, loss.curvature])
        gammas = [np.array([gamma], dtype) for gamma in network.gamma]
        self.none = np.empty((0, 0, 0), dtype), np.empty(0, dtype)
        if network.mixture is not None:
            gammas[-1] = np.ravel(network.mixture.gammas)
        self.gammas = tuple(gammas)
        self.rho = np.array(network.rho)
        self.in_samples = network.gamma_unit == "sample"
        self.iterations = (
            network.w_iterations or W_ITERATIONS,
            network.x_iterations or X_ITERATIONS,
        )

    @staticmethod
    def serves(network: LiftedNetwork) -> bool:
        """Whether all that `network` is made of has a compiled form, and it computes in NumPy."""
        codes = network.activation.code, network.loss.code
        layers = all(layer.compiled for layer in network.layers)
        return min(codes) >= 0 and layers and network.device == "cpu"

    def outputs(self, weights: Sequence[Array], averages: Averages | None, a: Array) -> Array:
        """Return the outputs for the row `a` (1 + inputs,), with those of `averages` if any."""
        if averages is None:
            return row_kernels.outputs(self.kinds[0], tuple(weights), a)
        return row_kernels.averaged_outputs(
            self.kinds[0], tuple(weights), tuple(averages.weights), averages.shares, a
        )

    def learn(
        self, weights: list[Array], mixture: GammaMixture | None, a: Array, y: Array
    ) -> tuple[Variables, Variables]:
        """Learn the row `a` (1 + inputs,) with targets `y`; return the variables before and after.

        The shares of `mixture` are moved; the weights are left to the caller.
        """
        old = tuple(weights)
        inputs = (a, *[np.empty(1 + len(w), a.dtype) for w in old[:-1]])
        outputs = tuple([np.empty(len(w), a.dtype) for w in old])
        row_kernels.forward(self.kinds[0], old, inputs, outputs)
        before = Variables(weights, list(inputs), list(outputs), [], {})
        candidates, shares = self.none
        if mixture is not None:
            candidates = mixture.weights
            mixture.score_row(self.kinds[1], y, candidates @ inputs[-1])
            shares = mixture.shares
            before.candidates, before.shares = candidates, shares
        new, moved = tuple([w.copy() for w in old]), (a, *[x.copy() for x in inputs[1:]])
        us, stack = tuple([u.copy() for u in outputs]), candidates.copy()
        sources = (a, *[np.empty_like(u) for u in outputs[:-1]])
        row_kernels.descend(
            self.kinds, self.blocks, self.lam, self.curvatures, self.slope, self.gammas, self.rho,
            self.in_samples, self.iterations, y, old, inputs, candidates, shares,
            new, moved, us, sources, stack,
        )  # fmt: skip
        now = Variables(list(new), list(moved), list(us), list(sources), {})
        if mixture is not None:
            now.candidates, now.shares = stack, shares
        return before, now
