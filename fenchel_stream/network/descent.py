"""Block-coordinate descent on objective (13): the objective, and the step of each block."""

from __future__ import annotations

from dataclasses import dataclass

from fenchel_stream.network.arrays import Array
from fenchel_stream.network.experts.gamma_mixture import (
    MixtureTerm,
    candidate_gammas,
    side_by_side,
)
from fenchel_stream.network.experts.shares import average
from fenchel_stream.network.problem import Block, Problem, Variables
from fenchel_stream.network.solvers import (
    HiddenTerm,
    OutputTerm,
    ProximalMetric,
    Term,
    w_update,
    x_update,
)


@dataclass(slots=True)
class Descent:
    """The descent of one batch.

    Attributes
    ----------
    problem
        Layers, activation, loss and settings.
    targets
        Targets of the outputs.
    before, now
        `before` holds the variables at the start of the batch: they centre and scale the proximal
        terms. `now` holds the variables that the steps move. Where gamma is ``auto``, both have
        candidates.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.network.descent import Descent
    >>> from fenchel_stream.network.layers import Dense
    >>> from fenchel_stream.network.problem import Problem
    >>> problem = Problem.of([Dense(1)], loss="squared_error", gamma=1.0)
    >>> now = problem.forward([np.zeros((1, 2))], np.array([[1.0, 1.0]]))
    >>> descent = Descent(problem, np.array([[2.0]]), now.copy(), now)
    >>> descent.move(("W", 0))
    >>> now.outputs[0].round(6).tolist()
    [[1.0]]
    """

    problem: Problem
    targets: Array
    before: Variables
    now: Variables

    def move(self, block: Block) -> None:
        """Take the step of one block of variables, which never raises the objective."""
        kind, layer = block
        step = self._move_w if kind == "W" else self._move_x
        step(layer, self._term(layer))

    def objective(self, at: Variables) -> Array:
        """Return objective (13).

        Where gamma is ``auto``, the terms of the output layer are averages over the candidates.
        """
        problem, before = self.problem, self.before
        total = sum(lam * b for lam, b in zip(problem.lam, self.divergences(at), strict=True))
        for layer, (w, w0) in enumerate(zip(at.weights, before.weights, strict=True)):
            if not self._mixed(layer):
                total = total + self._penalty(layer, w, w0)
        if not self._mixed(problem.last):
            return total + problem.loss.value(self.targets, at.outputs[-1])
        w, w0 = at.candidates, before.candidates
        outputs = problem.layers[-1].forward(at.inputs[-1], w)
        losses = problem.loss.rows(self.targets, outputs).reshape(len(w), -1).sum(-1)
        penalties = self._penalty(problem.last, w, w0)
        return total + before.expert_weights @ (losses + penalties)

    def rows(self, at: Variables) -> Array:
        """Return the loss of each row plus its divergences, weighted by lambda."""
        problem = self.problem
        total = problem.loss.rows(self.targets, at.outputs[-1])
        for lam, a, u in zip(problem.lam, at.inputs[1:], at.outputs, strict=False):
            total = total + lam * problem.activation.divergence(a[..., 1:], u).sum(-1)
        return total

    def divergences(self, at: Variables) -> list[Array]:
        """Return ``B(X_{l+1}, U_l)``, summed over rows and units, of each hidden layer."""
        pairs = zip(at.inputs[1:], at.outputs, strict=False)
        return [self.problem.activation.divergence(a[..., 1:], u).sum() for a, u in pairs]

    def _mixed(self, layer: int) -> bool:
        """Return whether a layer has candidates: the output layer, where gamma is ``auto``."""
        return layer == self.problem.last and self.before.candidates is not None

    def _move_w(self, layer: int, term: Term) -> None:
        now, before, problem = self.now, self.before, self.problem
        a = now.inputs[layer]
        if layer not in now.metrics:
            gamma, rho = self._proximal(layer)
            now.metrics[layer] = ProximalMetric.of(a, gamma, rho, layer=problem.layers[layer])
        iterations = problem.iterations("W", len(a))
        metric = now.metrics[layer]
        if not self._mixed(layer):
            w, w0, u = now.weights[layer], before.weights[layer], now.outputs[layer]
            now.weights[layer], now.outputs[layer] = w_update(term, metric, w, w0, u, iterations)
        else:
            w, w0 = now.candidates, before.candidates
            u = metric.layer.forward(metric.a, w)
            now.candidates, u = w_update(term, metric, w, w0, u, iterations)
            now.weights[layer] = average(now.expert_weights, now.candidates)
            now.outputs[layer] = average(now.expert_weights, u)

    def _move_x(self, layer: int, term: Term) -> None:
        now, problem = self.now, self.problem
        now.metrics.pop(layer, None)
        w, u, above = now.weights[layer], now.outputs[layer], problem.layers[layer]
        mixed = self._mixed(layer)
        if mixed:
            roots, w = side_by_side(now.expert_weights, now.candidates)
            term = MixtureTerm(problem.loss, self.targets, roots)
            u = above.forward(now.inputs[layer], w)
        now.sources[layer], now.inputs[layer], u = x_update(
            term,
            problem.activation,
            problem.lam[layer - 1],
            now.outputs[layer - 1],
            now.sources[layer],
            now.inputs[layer],
            w,
            u,
            problem.iterations("X", len(u)),
            above,
        )
        if mixed:
            u = above.forward(now.inputs[layer], now.weights[layer])
        now.outputs[layer] = u

    def _term(self, layer: int) -> Term:
        problem = self.problem
        if layer == problem.last:
            return OutputTerm(problem.loss, self.targets)
        target = self.now.inputs[layer + 1][..., 1:]
        return HiddenTerm(problem.activation, target, problem.lam[layer])

    def _penalty(self, layer: int, w: Array, w0: Array) -> Array:
        """Return ``gamma ||W - W0||^2 + rho ||W||^2``; one number per candidate if mixed."""
        gamma, rho = self._proximal(layer)
        if self._mixed(layer):
            gamma = gamma.reshape(-1)
        moved, size = ((w - w0) ** 2).sum((-2, -1)), (w * w).sum((-2, -1))
        return 0.5 * self.problem.curvature(layer) * (gamma * moved + rho * size)

    def _proximal(self, layer: int) -> tuple[Array, float]:
        """Return ``2 gamma / c``, for each candidate if mixed, and ``2 rho / c`` of a layer."""
        problem, a = self.problem, self.before.inputs[layer]
        scale = 2.0 / problem.curvature(layer)
        gamma: Array = problem.gamma[layer]
        if self._mixed(layer):
            gamma = candidate_gammas(like=self.before.weights[layer]).reshape(-1, 1, 1)
        if problem.gamma_unit == "absolute":
            return scale * gamma, scale * problem.rho[layer]
        rows = a.shape[0] if a.ndim == 2 else 1
        length = problem.layers[layer].squared_norm(a) / rows
        return gamma * length, scale * problem.rho[layer]
