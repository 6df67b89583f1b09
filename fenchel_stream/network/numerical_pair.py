"""The Fenchel pair of any increasing function, by numerical integration and bisection."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import inf
from typing import Any

import numpy as np

from fenchel_stream.errors import ConfigError
from fenchel_stream.network.activations import Activation
from fenchel_stream.network.arrays import Array, as_array, namespace

FAR = 1e4
"""The function is looked at on both sides of 0 up to here."""

HALVINGS = 100
"""Of the interval in which bisection looks for ``phi^-1(v)``."""


class NumericalPair(Activation):
    """An activation of which only ``phi`` is known, or ``phi`` and its inverse.

    ``F*(u)`` is the integral of ``phi`` from 0 to ``u``, and ``F(v) = u v - F*(u)`` at
    ``u = phi^-1(v)``, which is where the supremum of ``u v - F*(u)`` is attained. Both are needed
    to tell the objective, not to descend on it: learning is as fast as ``phi``.

    Parameters
    ----------
    phi
        Increasing, finite and continuous; for arrays of NumPy, and tensors if it is to be used
        with them, element by element.
    inverse
        ``phi^-1``, by default by bisection between -1e4 and 1e4.
    curvature
        The largest slope of ``phi``, by default the largest that was seen, and a hundredth more.

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
        self._phi = phi
        self._inverse = inverse
        near = np.linspace(0.0, 30.0, 9001)
        half = np.union1d(near, np.geomspace(30.0, FAR, 500))
        u = np.concatenate([-half[:0:-1], half])
        try:
            with np.errstate(all="ignore"):
                v = np.asarray(phi(u), float)
        except TypeError as error:
            raise ConfigError(f"phi must be a function of NumPy arrays: {error}") from error
        if v.shape != u.shape:
            raise ConfigError(
                f"phi must give a number for each of an array: of {u.shape} it made {v.shape}"
            )
        odd = np.flatnonzero(~np.isfinite(v))
        if len(odd):
            i = odd[np.abs(u[odd]).argmin()]
            raise ConfigError(f"phi must be finite up to {FAR:g}, but at {u[i]:.6g} it is {v[i]}")
        rises = np.diff(v)
        # From the middle outwards: what is far away may be rounding.
        falls = np.flatnonzero(rises < -1e-12 * np.maximum(1.0, np.abs(v[1:])))
        if len(falls):
            i = falls[np.abs(u[falls]).argmin()]
            raise ConfigError(
                f"phi is not increasing: it falls from {v[i]:.6g} at {u[i]:.6g} "
                f"to {v[i + 1]:.6g} at {u[i + 1]:.6g}"
            )
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
        # Where phi is flat, any preimage will do.
        back = np.asarray(self.phi(self.inverse(self.phi(inner))), float)
        wrong = ~(np.abs(back - self.phi(inner)) <= 1e-6 * (1.0 + np.abs(self.phi(inner))))
        if wrong.any():
            at = float(self.phi(inner)[wrong][0])
            raise ConfigError(f"inverse does not undo phi: phi(inverse({at:.6g})) is not {at:.6g}")

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
        # Gauss-Legendre on pieces that halve towards 0, near which activations bend.
        total: Any = 0.0
        for left, right in pairwise(_EDGES):
            for node, weight in zip(_NODES, _WEIGHTS, strict=True):
                at = left + (right - left) * node
                total = total + (weight * (right - left)) * self.phi(at * u)
        return as_array(total * u, like=u)

    def primal(self, v: Array) -> Array:
        # At an end of the range the inverse is infinite, and F what it is just before.
        xp = namespace(v)
        u = xp.nan_to_num(self.inverse(v), nan=0.0, posinf=FAR, neginf=-FAR).clip(-FAR, FAR)
        return self.phi(u) * u - self.dual(u)


_EDGES = (0.0, *(2.0**-power for power in range(12, -1, -1)))
_points, _masses = np.polynomial.legendre.leggauss(12)
_NODES, _WEIGHTS = (0.5 + 0.5 * _points).tolist(), (0.5 * _masses).tolist()
