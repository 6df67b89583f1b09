"""Slow reference implementations, written from the definitions alone, that the tests trust.

Everything is float64 NumPy and SciPy, with loops where they read better. Layers are numbered from
0; ``weights[l]`` is outputs x (1 + inputs) with the biases first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from scipy import special
from scipy.optimize import minimize

Matrix: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Function: TypeAlias = Callable[[Matrix], Matrix]


@dataclass(frozen=True)
class Pair:
    """An activation and the antiderivative that defines its Fenchel pair."""

    phi: Function
    slope: Function
    dual: Function
    inverse: Function
    curvature: float = 1.0
    lower: float = -np.inf
    upper: float = np.inf

    def primal(self, v: Matrix) -> Matrix:
        """Legendre's formula, inside the range."""
        u = self.inverse(v)
        return v * u - self.dual(u)

    def divergence(self, v: Matrix, u: Matrix) -> Matrix:
        return self.primal(v) + self.dual(u) - u * v


PAIRS = {
    "identity": Pair(
        phi=lambda u: u,
        slope=np.ones_like,
        dual=lambda u: u**2 / 2,
        inverse=lambda v: v,
    ),
    "relu": Pair(
        phi=lambda u: np.where(u > 0, u, 0.0),
        slope=lambda u: np.where(u > 0, 1.0, 0.0),
        dual=lambda u: np.where(u > 0, u**2 / 2, 0.0),
        inverse=lambda v: v,
        lower=0.0,
    ),
    "leaky_relu": Pair(
        phi=lambda u: np.where(u > 0, u, u / 100),
        slope=lambda u: np.where(u > 0, 1.0, 0.01),
        dual=lambda u: np.where(u > 0, u**2 / 2, u**2 / 200),
        inverse=lambda v: np.where(v > 0, v, v * 100),
    ),
    "tanh": Pair(
        phi=np.tanh,
        slope=lambda u: 1 / np.cosh(u) ** 2,
        dual=lambda u: np.logaddexp(u, -u) - np.log(2),
        inverse=np.arctanh,
        lower=-1.0,
        upper=1.0,
    ),
    "sigmoid": Pair(
        phi=special.expit,
        slope=lambda u: special.expit(u) * special.expit(-u),
        dual=lambda u: np.logaddexp(0, u),
        inverse=special.logit,
        curvature=0.25,
        lower=0.0,
        upper=1.0,
    ),
    "softplus": Pair(
        phi=lambda u: np.logaddexp(0, u),
        slope=special.expit,
        dual=lambda u: -special.spence(1 + np.exp(u)),
        inverse=lambda v: np.log(np.expm1(v)),
        lower=0.0,
    ),
    "elu": Pair(
        phi=lambda u: np.where(u > 0, u, np.exp(np.minimum(u, 0)) - 1),
        slope=lambda u: np.where(u > 0, 1.0, np.exp(np.minimum(u, 0))),
        dual=lambda u: np.where(u > 0, u**2 / 2, np.exp(np.minimum(u, 0)) - 1 - u),
        inverse=lambda v: np.where(v > 0, v, np.log1p(np.minimum(v, 0))),
        lower=-1.0,
    ),
}

LOSS_CURVATURE = {"squared_error": 1.0, "cross_entropy": 0.5}


def loss_value(name: str, y: Matrix, u: Matrix) -> float:
    if name == "squared_error":
        return float(sum(0.5 * np.dot(r, r) for r in u - y))
    return float(-sum(np.dot(y[i], special.log_softmax(u[i])) for i in range(len(y))))


def loss_gradient(name: str, y: Matrix, u: Matrix) -> Matrix:
    return u - y if name == "squared_error" else special.softmax(u, axis=1) - y


@dataclass(frozen=True)
class Above:
    """The function of ``U`` that a layer's pre-activation should make small."""

    value: Callable[[Matrix], float]
    gradient: Function

    @classmethod
    def hidden(cls, pair: Pair, v: Matrix, lam: float) -> Above:
        return cls(
            lambda u: float(lam * pair.divergence(v, u).sum()),
            lambda u: lam * (pair.phi(u) - v),
        )

    @classmethod
    def output(cls, name: str, y: Matrix) -> Above:
        return cls(lambda u: loss_value(name, y, u), lambda u: loss_gradient(name, y, u))


def ones(x: Matrix) -> Matrix:
    return np.column_stack([np.ones(len(x)), x])


def w_objective(above: Above, a: Matrix, w: Matrix, w0: Matrix, gamma: float, rho: float) -> float:
    return above.value(a @ w.T) + gamma * float(((w - w0) ** 2).sum()) + rho * float((w**2).sum())


def solve_w(above: Above, a: Matrix, w0: Matrix, gamma: float, rho: float = 0.0) -> Matrix:
    """The minimiser of the W-sub-problem (17)-(20)."""

    def problem(flat: Matrix) -> tuple[float, Matrix]:
        w = flat.reshape(w0.shape)
        gradient = above.gradient(a @ w.T).T @ a + 2 * gamma * (w - w0) + 2 * rho * w
        return w_objective(above, a, w, w0, gamma, rho), gradient.ravel()

    return _lbfgs(problem, w0)


def x_objective(
    above: Above, pair: Pair, z: Matrix, w: Matrix, u_below: Matrix, mu: float
) -> float:
    return above.value(ones(z) @ w.T) + mu * float((pair.primal(z) - u_below * z).sum())


def solve_x(
    above: Above, pair: Pair, s: Matrix, w: Matrix, u_below: Matrix, mu: float
) -> tuple[Matrix, Matrix]:
    """The minimiser ``Z`` of the X-sub-problem (14)-(16), from ``phi(s)``; and ``F'(Z)``."""

    def gradient(z: Matrix, s: Matrix) -> Matrix:
        return above.gradient(ones(z) @ w.T) @ w[:, 1:] + mu * (s - u_below)

    def in_z(flat: Matrix) -> tuple[float, Matrix]:
        z = flat.reshape(s.shape)
        value = x_objective(above, pair, z, w, u_below, mu)
        return value, gradient(z, pair.inverse(z)).ravel()

    def in_s(flat: Matrix) -> tuple[float, Matrix]:
        at = flat.reshape(s.shape)
        z = pair.phi(at)
        value = above.value(ones(z) @ w.T)
        value += mu * float((z * at - pair.dual(at) - u_below * z).sum())
        return value, (pair.slope(at) * gradient(z, at)).ravel()

    straight = pair in (PAIRS["identity"], PAIRS["relu"], PAIRS["leaky_relu"])
    if straight:  # F has a continuous derivative up to the ends, phi has none
        z = _lbfgs(in_z, pair.phi(s), bounds=[(pair.lower, pair.upper)] * s.size)
        return z, pair.inverse(z)
    s = _lbfgs(in_s, s)
    return pair.phi(s), s


def _lbfgs(
    problem: Callable[[Matrix], tuple[float, Matrix]], start: Matrix, **settings: Any
) -> Matrix:
    options = {"ftol": 0.0, "gtol": 1e-10, "maxiter": 5000, "maxfun": 10000, "maxls": 50}
    found = minimize(
        problem, start.ravel(), jac=True, method="L-BFGS-B", options=options, **settings
    )
    return np.asarray(found.x, float).reshape(start.shape)


@dataclass(frozen=True)
class Network:
    """A lifted network as the paper writes it, one number per layer for each parameter.

    `gamma` is in samples unless `absolute`: ``2 gamma / c`` is then a multiple of the mean
    squared length of the layer's inputs, biases included.
    """

    weights: Sequence[Matrix]
    activation: str
    loss: str
    lam: Sequence[float]
    gamma: Sequence[float]
    rho: Sequence[float]
    absolute: bool = False

    @property
    def pair(self) -> Pair:
        return PAIRS[self.activation]

    def forward(self, x: Matrix) -> list[Matrix]:
        """The X-variables ``X_0 ... X_L`` and, at the end, ``U_L``."""
        xs = [x]
        for w in self.weights[:-1]:
            xs.append(self.pair.phi(ones(xs[-1]) @ w.T))
        return [*xs, ones(xs[-1]) @ self.weights[-1].T]

    def gammas(self, x: Matrix) -> list[float]:
        if self.absolute:
            return list(self.gamma)
        found = []
        for layer, inputs in enumerate(self.forward(x)[:-1]):
            length = np.mean([1 + np.dot(row, row) for row in inputs])
            found.append(0.5 * self.curvature(layer) * self.gamma[layer] * float(length))
        return found

    def curvature(self, layer: int) -> float:
        if layer == len(self.weights) - 1:
            return LOSS_CURVATURE[self.loss]
        return self.lam[layer] * self.pair.curvature

    def objective(
        self, y: Matrix, xs: Sequence[Matrix], weights: Sequence[Matrix], gammas: Sequence[float]
    ) -> float:
        """Objective (13), with this network's weights as ``W^0``."""
        last = len(weights) - 1
        total = loss_value(self.loss, y, ones(xs[last]) @ weights[last].T)
        for layer in range(last):
            u = ones(xs[layer]) @ weights[layer].T
            for i in range(len(u)):
                for j in range(u.shape[1]):
                    total += self.lam[layer] * float(
                        self.pair.divergence(xs[layer + 1][i, j], u[i, j])
                    )
        for layer, w in enumerate(weights):
            total += gammas[layer] * float(((w - self.weights[layer]) ** 2).sum())
            total += self.rho[layer] * float((w**2).sum())
        return total

    def step(self, x: Matrix, y: Matrix, order: str, alternations: int) -> list[Matrix]:
        """One batch with every sub-problem solved: the new weights."""
        gammas = self.gammas(x)
        xs = self.forward(x)[:-1]
        sources = [x, *(ones(xs[layer]) @ w.T for layer, w in enumerate(self.weights[:-1]))]
        now = list(self.weights)
        last = len(now) - 1

        def above(layer: int) -> Above:
            if layer == last:
                return Above.output(self.loss, y)
            return Above.hidden(self.pair, xs[layer + 1], self.lam[layer])

        def move_w(layer: int) -> None:
            w0 = self.weights[layer]
            now[layer] = solve_w(above(layer), ones(xs[layer]), w0, gammas[layer], self.rho[layer])

        def move_x(layer: int) -> None:
            below = ones(xs[layer - 1]) @ now[layer - 1].T
            xs[layer], sources[layer] = solve_x(
                above(layer), self.pair, sources[layer], now[layer], below, self.lam[layer - 1]
            )

        for _ in range(alternations):
            if order == "paper":
                for layer in range(last, 0, -1):
                    move_x(layer)
                for layer in range(last, -1, -1):
                    move_w(layer)
            else:
                for layer in range(last, 0, -1):
                    move_w(layer)
                    move_x(layer)
                move_w(0)
        return now

    def learnt(self, x: Matrix, y: Matrix, order: str, alternations: int) -> Network:
        """The network after one batch."""
        return replace(self, weights=self.step(x, y, order, alternations))


def weighted_history(column: Matrix, horizon: float, bound: float) -> tuple[float, float, float]:
    """Return sum of weights, mean and deviation of `Moments`, with a weight for each value kept."""
    seen, weights, distances = np.zeros(0), np.zeros(0), np.zeros(0)
    mean = 0.0
    for found in column[~np.isnan(column)]:
        value = found
        if len(seen):
            mean = np.average(seen, weights=weights)
            deviation = math.sqrt(np.average((seen - mean) ** 2, weights=weights))
            if deviation > 1e-12 * abs(mean):
                reach = bound * max(deviation, math.sqrt(distances.mean()))
                value = min(max(value, mean - reach), mean + reach)
            if weights.sum() > horizon - 1.0:
                weights = weights * (horizon - 1.0) / weights.sum()
        new = np.average(np.append(seen, value), weights=np.append(weights, 1.0))
        distances = np.append(distances, (value - new) * (value - mean) if len(seen) else 0.0)
        seen, weights = np.append(seen, value), np.append(weights, 1.0)
    if not len(seen):
        return 0.0, 0.0, 0.0
    mean = np.average(seen, weights=weights)
    return weights.sum(), mean, math.sqrt(np.average((seen - mean) ** 2, weights=weights))
