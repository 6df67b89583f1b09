"""Block-coordinate descent on objective (13): its value, and the step of each block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fenchel_stream.network.arrays import Array
from fenchel_stream.network.experts.gamma_mixture import GammaMixture, MixtureTerm
from fenchel_stream.network.problem import Block
from fenchel_stream.network.row_descent import W_ITERATIONS, X_ITERATIONS
from fenchel_stream.network.solvers import (
    HiddenTerm,
    OutputTerm,
    ProximalMetric,
    Term,
    w_update,
    x_update,
)
from fenchel_stream.network.variables import Variables

if TYPE_CHECKING:
    from fenchel_stream.network.lifted_network import LiftedNetwork


@dataclass(slots=True)
class Descent:
    """One batch on its way down.

    Attributes
    ----------
    network
        Whose layers, activation, loss and settings these are; it does not change.
    targets
        What the outputs should be.
    before, now
        Where the batch began, which centres and scales the proximal terms, and where it is.
    """

    network: LiftedNetwork
    targets: Array
    before: Variables
    now: Variables

    def move(self, block: Block) -> None:
        """Descend in one block of variables; the objective does not rise."""
        kind, layer = block
        move = self._move_w if kind == "W" else self._move_x
        move(layer, self._term(layer))

    def objective(self, at: Variables) -> Array:
        """Return objective (13).

        Where gamma is ``auto``, the terms of the output layer are averages over the candidates.
        """
        network, before = self.network, self.before
        last = len(network.lam)
        total = sum(lam * b for lam, b in zip(network.lam, self.divergences(at), strict=True))
        for layer, (w, w0) in enumerate(zip(at.weights, before.weights, strict=True)):
            if layer < last or network.mixture is None:
                total = total + self._penalty(layer, w, w0, None)
        if network.mixture is None:
            return total + network.loss.value(self.targets, at.outputs[-1])
        w, w0 = at.candidates, before.candidates
        outputs = network.layers[-1].forward(at.inputs[-1], w)
        losses = network.loss.rows(self.targets, outputs).reshape(len(w), -1).sum(-1)
        penalties = self._penalty(last, w, w0, network.mixture)
        return total + before.shares @ (losses + penalties)

    def rows(self, at: Variables) -> Array:
        """Return each row's part of the losses and divergences, weighed by lambda."""
        network = self.network
        total = network.loss.rows(self.targets, at.outputs[-1])
        for lam, a, u in zip(network.lam, at.inputs[1:], at.outputs, strict=False):
            total = total + lam * network.activation.divergence(a[..., 1:], u).sum(-1)
        return total

    def divergences(self, at: Variables) -> list[Array]:
        """Return ``B(X_{l+1}, U_l)``, summed over rows and units, of each hidden layer."""
        pairs = zip(at.inputs[1:], at.outputs, strict=False)
        return [self.network.activation.divergence(a[..., 1:], u).sum() for a, u in pairs]

    def _move_w(self, layer: int, term: Term) -> None:
        now, before, network = self.now, self.before, self.network
        a = now.inputs[layer]
        mixture = network.mixture if layer == len(network.lam) else None
        if layer not in now.metrics:
            gamma, rho = self._proximal(layer, mixture)
            now.metrics[layer] = ProximalMetric.of(a, gamma, rho, layer=network.layers[layer])
        iterations = network.w_iterations or (W_ITERATIONS if len(a) == 1 else 3)
        metric = now.metrics[layer]
        if mixture is None:
            w, w0, u = now.weights[layer], before.weights[layer], now.outputs[layer]
            now.weights[layer], now.outputs[layer] = w_update(term, metric, w, w0, u, iterations)
        else:
            w, w0 = now.candidates, before.candidates
            u = metric.layer.forward(metric.a, w)
            now.candidates, u = w_update(term, metric, w, w0, u, iterations)
            now.weights[layer] = mixture.average(now.candidates)
            now.outputs[layer] = mixture.average(u)

    def _move_x(self, layer: int, term: Term) -> None:
        now, network = self.now, self.network
        now.metrics.pop(layer, None)
        w, u, above = now.weights[layer], now.outputs[layer], network.layers[layer]
        mixture = network.mixture if layer == len(network.lam) else None
        if mixture is not None and isinstance(term, OutputTerm):
            roots, w = mixture.side_by_side(now.candidates)
            term = MixtureTerm(network.loss, term.targets, roots)
            u = above.forward(now.inputs[layer], w)
        now.sources[layer], now.inputs[layer], u = x_update(
            term,
            network.activation,
            network.lam[layer - 1],
            now.outputs[layer - 1],
            now.sources[layer],
            now.inputs[layer],
            w,
            u,
            network.x_iterations or (X_ITERATIONS if len(u) == 1 else 5),
            above,
        )
        if mixture is not None:
            u = above.forward(now.inputs[layer], now.weights[layer])
        now.outputs[layer] = u

    def _term(self, layer: int) -> Term:
        network = self.network
        if layer == len(network.lam):
            return OutputTerm(network.loss, self.targets)
        target = self.now.inputs[layer + 1][..., 1:]
        return HiddenTerm(network.activation, target, network.lam[layer])

    def _penalty(self, layer: int, w: Array, w0: Array, mixture: GammaMixture | None) -> Array:
        """Return ``gamma ||W - W0||^2 + rho ||W||^2``, of every candidate where there are some."""
        gamma, rho = self._proximal(layer, mixture)
        if mixture is not None:
            gamma = gamma.reshape(-1)
        moved, size = ((w - w0) ** 2).sum((-2, -1)), (w * w).sum((-2, -1))
        return 0.5 * self._curvature(layer) * (gamma * moved + rho * size)

    def _curvature(self, layer: int) -> float:
        network = self.network
        if layer == len(network.lam):
            return network.loss.curvature
        return network.lam[layer] * network.activation.curvature

    def _proximal(self, layer: int, mixture: GammaMixture | None) -> tuple[Array, float]:
        """Return ``2 gamma / c`` and ``2 rho / c`` of a layer."""
        network, a = self.network, self.before.inputs[layer]
        scale = 2.0 / self._curvature(layer)
        gamma: Array = network.gamma[layer]
        if mixture is not None:
            gamma = mixture.gammas
        if network.gamma_unit == "absolute":
            return scale * gamma, scale * network.rho[layer]
        rows = a.shape[0] if a.ndim == 2 else 1
        length = network.layers[layer].squared_norm(a) / rows
        return gamma * length, scale * network.rho[layer]
