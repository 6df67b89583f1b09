"""What a batch descends on."""

from __future__ import annotations

from dataclasses import dataclass

from fenchel_stream.network.arrays import Array
from fenchel_stream.network.solvers import ProximalMetric


@dataclass(slots=True)
class Variables:
    """The variables of one batch, by layer; steps replace arrays and never overwrite them.

    Attributes
    ----------
    weights, inputs, outputs
        ``W_l``, ``A_l = [1, X_l]`` and ``U_l = A_l W_l^T``.
    sources
        ``S_l`` with ``X_l = phi(S_l)``, at ``l``; nothing at 0.
    metrics
        The factorised metrics of the inputs that have not moved since.
    candidates, shares
        Output weights and shares of the candidates where gamma is ``auto``.
    """

    weights: list[Array]
    inputs: list[Array]
    outputs: list[Array]
    sources: list[Array]
    metrics: dict[int, ProximalMetric]
    candidates: Array = None
    shares: Array = None

    def copy(self) -> Variables:
        """Return new lists of the same arrays."""
        lists = list(self.weights), list(self.inputs), list(self.outputs)
        return Variables(*lists, [], {}, self.candidates, self.shares)
