"""Activations as Fenchel pairs (Theorem 1 of the paper).

For an increasing activation ``phi`` there are convex functions ``F`` and ``F*``, conjugate to
each other, with ``F' = phi^-1`` on the range of ``phi`` and ``F*' = phi``, such that

    ``B(v, u) = F(v) + F*(u) - u v >= 0,  with equality exactly if v = phi(u)``.

``B`` is convex in each argument. Its curvature in ``u`` is at most ``curvature = sup phi'``.

To add an activation, write one subclass here and list it in `ACTIVATIONS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from math import factorial, inf, log, pi

from fenchel_stream.errors import ConfigError
from fenchel_stream.network.arrays import Array, namespace, positive_part


class Activation(ABC):
    """A monotone activation with its Fenchel pair; every method works element by element.

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
    """Whether ``phi(s u) = s phi(u)`` for ``s > 0``."""
    code: int = -1
    """Its number in `kernels`, where single rows are learnt by compiled loops; -1 without."""

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
        xp = namespace(v)
        inside = v.clip(self.lower, self.upper)
        finite = self.primal(inside) + self.dual(u) - u * inside
        return xp.where(inside == v, finite, inf)

    @staticmethod
    def from_callable(
        phi: Callable[[Array], Array],
        inverse: Callable[[Array], Array] | None = None,
        curvature: float | None = None,
    ) -> Activation:
        """Return the Fenchel pair of any increasing function: see `NumericalPair`."""
        from fenchel_stream.network.numerical_pair import NumericalPair  # noqa: PLC0415 - a subclass

        return NumericalPair(phi, inverse, curvature)


def _xlogx(v: Array) -> Array:
    """Return ``v log v``, continued by 0 at 0."""
    xp = namespace(v)
    return v * xp.log(xp.where(v > 0, v, v + 1.0))


def _softplus(u: Array) -> Array:
    xp = namespace(u)
    return positive_part(u) + xp.log1p(xp.exp(-xp.abs(u)))


class Identity(Activation):
    """``phi(u) = u``; ``F(v) = v^2 / 2``."""

    homogeneous = True

    code = 0

    def phi(self, u: Array) -> Array:
        return u

    def inverse(self, v: Array) -> Array:
        return v

    def dual(self, u: Array) -> Array:
        return 0.5 * u * u

    def primal(self, v: Array) -> Array:
        return 0.5 * v * v


class ReLU(Activation):
    """``phi(u) = max(u, 0)``; ``F(v) = v^2 / 2`` on ``v >= 0``, equation (5)."""

    homogeneous = True
    code = 1
    lower = 0.0

    def phi(self, u: Array) -> Array:
        return positive_part(u)

    def inverse(self, v: Array) -> Array:
        return v

    def dual(self, u: Array) -> Array:
        return 0.5 * u * positive_part(u)

    def primal(self, v: Array) -> Array:
        return 0.5 * v * v


class LeakyReLU(Activation):
    """``phi(u) = max(u, slope u)``."""

    homogeneous = True
    code = 2
    slope = 0.01

    def phi(self, u: Array) -> Array:
        return namespace(u).where(u > 0, u, self.slope * u)

    def inverse(self, v: Array) -> Array:
        return namespace(v).where(v > 0, v, v / self.slope)

    def dual(self, u: Array) -> Array:
        return 0.5 * u * self.phi(u)

    def primal(self, v: Array) -> Array:
        return 0.5 * v * self.inverse(v)


class Tanh(Activation):
    """``phi(u) = tanh(u)``; ``F`` is the entropy of a coin with mean ``v``."""

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
    # B_2k / (2k + 1)! for k = 1 ... 8: the next term is below 1e-18 at the series' end, w = log 2.
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
    """Return the activation called `name`, or itself.

    Raises
    ------
    ConfigError
        There is no activation of this name; the message lists those that exist.
    """
    if isinstance(name, Activation):
        return name
    if name not in ACTIVATIONS:
        raise ConfigError(f"activation {name!r} is unknown; known: {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]
