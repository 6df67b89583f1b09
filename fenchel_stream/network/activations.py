"""Activations as Fenchel pairs (Theorem 1 of the paper).

For an increasing activation ``phi`` there are convex functions ``F`` and ``F*``, conjugate to
each other, with ``F' = phi^-1`` on the range of ``phi`` and ``F*' = phi``, such that

    ``B(v, u) = F(v) + F*(u) - u v >= 0,  with equality exactly if v = phi(u)``.

``B`` is convex in each argument. Its curvature in ``u`` is at most ``curvature = sup phi'``.

To add an activation by its formulas, write one subclass here and list it in `ACTIVATIONS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from math import factorial, inf, log, pi
from typing import Any

import numpy as np

from fenchel_stream.errors import ConfigError
from fenchel_stream.network.arrays import Array, as_array, namespace, positive_part

FAR, HALVINGS = 1e4, 100
"""`NumericalPair` samples ``phi`` from -FAR to FAR, and bisects this interval HALVINGS times."""


class Activation(ABC):
    """An increasing activation with its Fenchel pair; every method works element by element.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.network.activations import ACTIVATIONS
    >>> relu = ACTIVATIONS["relu"]
    >>> u = np.array([-1.0, 2.0])
    >>> relu.phi(u).tolist()
    [0.0, 2.0]
    >>> relu.divergence(relu.phi(u), u).tolist()
    [0.0, 0.0]
    """

    curvature: float = 1.0
    """Least upper bound of ``phi'``."""
    lower: float = -inf
    upper: float = inf
    """Ends of the range of ``phi``."""
    homogeneous: bool = False
    """Whether the variables may be scaled: see `Homogeneous`."""
    code: int = -1
    """Number of the activation in the compiled loops for single rows; -1 if they do not have it."""

    @abstractmethod
    def phi(self, u: Array) -> Array:
        """Return ``phi(u)``, the gradient of `dual`."""

    @abstractmethod
    def inverse(self, v: Array) -> Array:
        """Return a ``u`` with ``phi(u) = v``, for `v` in the range of ``phi``."""

    @abstractmethod
    def dual(self, u: Array) -> Array:
        """Return ``F*(u)``, an antiderivative of ``phi``."""

    @abstractmethod
    def primal(self, v: Array) -> Array:
        """Return ``F(v)``, the conjugate of `dual`, for `v` in the closed range of ``phi``."""

    def divergence(self, v: Array, u: Array) -> Array:
        """Return ``B(v, u) = F(v) + F*(u) - u v``, equation (3): infinite beyond the range."""
        inside = v.clip(self.lower, self.upper)
        finite = self.primal(inside) + self.dual(u) - u * inside
        return namespace(v).where(inside == v, finite, inf)

    @staticmethod
    def from_callable(
        phi: Callable[[Array], Array],
        inverse: Callable[[Array], Array] | None = None,
        curvature: float | None = None,
    ) -> Activation:
        """Return the Fenchel pair of any increasing function: see `NumericalPair`."""
        return NumericalPair(phi, inverse, curvature)


def _xlogx(v: Array) -> Array:
    """Return ``v log v``, continued by 0 at 0."""
    xp = namespace(v)
    return v * xp.log(xp.where(v > 0, v, v + 1.0))


def _softplus(u: Array) -> Array:
    xp = namespace(u)
    return positive_part(u) + xp.log1p(xp.exp(-xp.abs(u)))


class Homogeneous(Activation):
    """``phi(s u) = s phi(u)`` for ``s > 0``: both functions of the pair are quadratic."""

    homogeneous = True

    def dual(self, u: Array) -> Array:
        return 0.5 * u * self.phi(u)

    def primal(self, v: Array) -> Array:
        return 0.5 * v * self.inverse(v)


class Identity(Homogeneous):
    """``phi(u) = u``; ``F(v) = v^2 / 2``."""

    code = 0

    def phi(self, u: Array) -> Array:
        return u

    def inverse(self, v: Array) -> Array:
        return v


class ReLU(Identity):
    """``phi(u) = max(u, 0)``; ``F(v) = v^2 / 2`` on ``v >= 0``, equation (5)."""

    code = 1
    lower = 0.0

    def phi(self, u: Array) -> Array:
        return positive_part(u)


class LeakyReLU(Homogeneous):
    """``phi(u) = max(u, slope u)``."""

    code = 2
    slope = 0.01

    def phi(self, u: Array) -> Array:
        return namespace(u).where(u > 0, u, self.slope * u)

    def inverse(self, v: Array) -> Array:
        return namespace(v).where(v > 0, v, v / self.slope)


class Tanh(Activation):
    """``phi(u) = tanh(u)``; ``F(v) = ((1 + v) log(1 + v) + (1 - v) log(1 - v)) / 2``."""

    code = 3
    lower, upper = -1.0, 1.0

    def phi(self, u: Array) -> Array:
        return namespace(u).tanh(u)

    def inverse(self, v: Array) -> Array:
        return namespace(v).arctanh(v)

    def dual(self, u: Array) -> Array:
        xp = namespace(u)
        a = xp.abs(u)
        return a + xp.log1p(xp.exp(-2.0 * a)) - log(2.0)

    def primal(self, v: Array) -> Array:
        return 0.5 * (_xlogx(1.0 + v) + _xlogx(1.0 - v))


class Sigmoid(Activation):
    """``phi(u) = 1 / (1 + exp(-u))``; ``F(v) = v log v + (1 - v) log(1 - v)``."""

    code = 4
    curvature = 0.25
    lower, upper = 0.0, 1.0

    def phi(self, u: Array) -> Array:
        return 0.5 + 0.5 * namespace(u).tanh(0.5 * u)

    def inverse(self, v: Array) -> Array:
        xp = namespace(v)
        return xp.log(v) - xp.log1p(-v)

    def dual(self, u: Array) -> Array:
        return _softplus(u)

    def primal(self, v: Array) -> Array:
        return _xlogx(v) + _xlogx(1.0 - v)


class Softplus(Activation):
    """``phi(u) = log(1 + exp(u))``; ``F*`` is ``-Li2(-exp(u))``, the dilogarithm."""

    code = 5
    lower = 0.0
    # B_2k / (2k + 1)! for k = 1 ... 8: the next term is below 1e-18 at the largest w, log 2.
    _bernoulli = tuple(
        bernoulli / factorial(2 * k + 1)
        for k, bernoulli in enumerate(
            (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510), start=1
        )
    )

    def phi(self, u: Array) -> Array:
        return _softplus(u)

    def inverse(self, v: Array) -> Array:
        xp = namespace(v)
        return v + xp.log(-xp.expm1(-v))

    def dual(self, u: Array) -> Array:
        # With w = log(1 + exp(u)), -Li2(-exp(u)) = w + w^2/4 + sum_k B_2k w^(2k+1) / (2k+1)!,
        # which converges fast for u <= 0; the inversion formula gives the other half.
        xp = namespace(u)
        w = xp.log1p(xp.exp(-xp.abs(u)))
        square = w * w
        series = 0.0 * w
        for coefficient in reversed(self._bernoulli):
            series = (series + coefficient) * square
        left = w * (1.0 + 0.25 * w + series)
        return xp.where(u > 0, pi * pi / 6 + 0.5 * u * u - left, left)

    def primal(self, v: Array) -> Array:
        xp = namespace(v)
        positive = v > 0
        u = self.inverse(xp.where(positive, v, v + 1.0))
        return xp.where(positive, v * u - self.dual(u), 0.0 * v)


class ELU(Activation):
    """``phi(u) = u`` for ``u > 0`` and ``exp(u) - 1`` otherwise."""

    code = 6
    lower = -1.0

    def phi(self, u: Array) -> Array:
        xp = namespace(u)
        return xp.where(u > 0, u, xp.expm1(u.clip(None, 0.0)))

    def inverse(self, v: Array) -> Array:
        xp = namespace(v)
        return xp.where(v > 0, v, xp.log1p(v.clip(None, 0.0)))

    def dual(self, u: Array) -> Array:
        xp = namespace(u)
        below = u.clip(None, 0.0)
        return xp.where(u > 0, 0.5 * u * u, xp.expm1(below) - below)

    def primal(self, v: Array) -> Array:
        xp = namespace(v)
        below = v.clip(None, 0.0)
        return xp.where(v > 0, 0.5 * v * v, _xlogx(1.0 + below) - below)


class NumericalPair(Activation):
    """An activation of which only ``phi`` is known, or ``phi`` and its inverse.

    ``F*(u)`` is the integral of ``phi`` from 0 to ``u``, and ``F(v) = u v - F*(u)`` at
    ``u = phi^-1(v)``, where the supremum of ``u v - F*(u)`` is attained. Only the value of the
    objective needs these two functions. A step needs ``phi`` alone: learning is as fast as ``phi``.

    Parameters
    ----------
    phi
        Increasing, finite and continuous; works element by element on arrays of NumPy, and on
        tensors if the network computes in PyTorch.
    inverse
        ``phi^-1``; by default computed by bisection between -1e4 and 1e4.
    curvature
        The largest slope of ``phi``; by default 1.01 times the largest difference quotient.

    Raises
    ------
    ConfigError
        ``phi`` falls somewhere, is not finite or is constant, or ``inverse`` does not undo it; the
        message says where.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.network.activations import Activation
    >>> arctan = Activation.from_callable(np.arctan, inverse=np.tan)
    >>> u = np.array([1.0])
    >>> bool(abs(arctan.divergence(arctan.phi(u), u)[0]) < 1e-12)
    True
    >>> Activation.from_callable(np.cos)
    Traceback (most recent call last):
    ...
    fenchel_stream.errors.ConfigError: phi is not increasing: it falls from 1 at 0 to 0.99999...
    """

    def __init__(
        self,
        phi: Callable[[Array], Array],
        inverse: Callable[[Array], Array] | None = None,
        curvature: float | None = None,
    ) -> None:
        self._phi, self._inverse = phi, inverse
        half = np.union1d(np.linspace(0.0, 30.0, 9001), np.geomspace(30.0, FAR, 500))
        u = np.concatenate([-half[:0:-1], half])
        try:
            with np.errstate(all="ignore"):
                v = np.asarray(phi(u), float)
        except TypeError as error:
            raise ConfigError(f"phi must be a function of NumPy arrays: {error}") from error
        if v.shape != u.shape:
            raise ConfigError(f"phi must keep the shape of an array, {u.shape}; it gave {v.shape}")
        infinite = np.flatnonzero(~np.isfinite(v))
        if len(infinite):
            i = infinite[np.abs(u[infinite]).argmin()]
            raise ConfigError(f"phi must be finite up to {FAR:g}, but at {u[i]:.6g} it is {v[i]}")
        rises = np.diff(v)
        # The fall that is nearest to 0 is reported: far away from 0 a fall may be rounding.
        falls = np.flatnonzero(rises < -1e-12 * np.maximum(1.0, np.abs(v[1:])))
        if len(falls):
            i = falls[np.abs(u[falls]).argmin()]
            left, right = (f"{v[j]:.6g} at {u[j]:.6g}" for j in (i, i + 1))
            raise ConfigError(f"phi is not increasing: it falls from {left} to {right}")
        if v[0] == v[-1]:
            raise ConfigError(f"phi is not increasing: it is {v[0]:.6g} everywhere")
        slope = float((rises / np.diff(u)).max())
        self.curvature = 1.01 * slope if curvature is None else float(curvature)
        if not self.curvature >= slope * (1 - 1e-6):
            raise ConfigError(f"phi has a slope of {slope:.6g}, more than curvature={curvature!r}")
        with np.errstate(all="ignore"):
            low, high = np.asarray(phi(np.array([-1e30, 1e30])), float).tolist()
        self.lower = low if abs(low) < FAR else -inf
        self.upper = high if abs(high) < FAR else inf
        inner = u[(np.abs(u) <= 5.0)][::50]
        # Values of phi are compared, not arguments: where phi is flat, any preimage is right.
        values = np.asarray(self.phi(inner), float)
        back = np.asarray(self.phi(self.inverse(self.phi(inner))), float)
        wrong = values[~(np.abs(back - values) <= 1e-6 * (1.0 + np.abs(values)))]
        if len(wrong):
            v0 = f"{wrong[0]:.6g}"
            raise ConfigError(f"inverse does not undo phi: phi(inverse({v0})) is not {v0}")

    def phi(self, u: Array) -> Array:
        return self._phi(u)

    def inverse(self, v: Array) -> Array:
        if self._inverse is not None:
            return self._inverse(v)
        xp = namespace(v)
        low, high = xp.zeros_like(v) - FAR, xp.zeros_like(v) + FAR
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            below = self.phi(middle) < v
            low, high = xp.where(below, middle, low), xp.where(below, high, middle)
        return high

    def dual(self, u: Array) -> Array:
        mean: Any = sum(weight * self.phi(node * u) for node, weight in _quadrature())
        return as_array(mean * u, like=u)

    def primal(self, v: Array) -> Array:
        # At an end of the range the inverse is infinite; F is its limit from inside the range.
        xp = namespace(v)
        u = xp.nan_to_num(self.inverse(v), nan=0.0, posinf=FAR, neginf=-FAR).clip(-FAR, FAR)
        return self.phi(u) * u - self.dual(u)


@cache
def _quadrature() -> list[tuple[float, float]]:
    """Return points and weights of Gauss-Legendre quadrature on [0, 1].

    The interval is divided into pieces that halve towards 0, because activations bend near 0.
    """
    rule = np.polynomial.legendre.leggauss(12)
    nodes, weights = 0.5 + 0.5 * rule[0], 0.5 * rule[1]
    pieces = pairwise((0.0, *(2.0**-power for power in range(12, -1, -1))))
    return [
        (left + (right - left) * node, weight * (right - left))
        for left, right in pieces
        for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True)
    ]


ACTIVATIONS: dict[str, Activation] = {
    "identity": Identity(),
    "relu": ReLU(),
    "leaky_relu": LeakyReLU(),
    "tanh": Tanh(),
    "sigmoid": Sigmoid(),
    "softplus": Softplus(),
    "elu": ELU(),
}


def get_activation(name: str | Activation) -> Activation:
    """Return the activation called `name`; an `Activation` is returned unchanged.

    Raises
    ------
    ConfigError
        No activation has this name; the message lists the known ones.
    """
    if isinstance(name, Activation):
        return name
    if name not in ACTIVATIONS:
        raise ConfigError(f"activation {name!r} is unknown; known: {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]
