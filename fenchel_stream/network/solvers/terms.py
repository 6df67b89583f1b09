"""Terms of the objective in a layer's pre-activation ``U``, for hidden layers and for the outputs.

A term is a smooth convex function of ``U``. It is small where ``U`` produces the X-variable of the
next layer, or the targets. The W-step (17)-(20) minimises it as a function of ``W``, the X-step
(14)-(16) as a function of ``X``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fenchel_stream.network.activations import Activation
from fenchel_stream.network.arrays import Array
from fenchel_stream.network.losses import Loss


class Term(Protocol):
    """A convex function of ``U`` (m x q), separable over rows."""

    @property
    def curvature(self) -> float:
        """Upper bound of the Hessian's largest eigenvalue, in one row of ``U``."""
        ...

    def value(self, u: Array) -> Array:
        """Return the function's value."""
        ...

    def gradient(self, u: Array) -> Array:
        """Return the gradient (m x q)."""
        ...


@dataclass(slots=True)
class HiddenTerm:
    """``lam B(V, U)``: the layer should produce the X-variable `target` above it."""

    activation: Activation
    target: Array
    lam: float

    @property
    def curvature(self) -> float:
        """See `Term`."""
        return self.lam * self.activation.curvature

    def value(self, u: Array) -> Array:
        """See `Term`."""
        return self.lam * self.activation.divergence(self.target, u).sum()

    def gradient(self, u: Array) -> Array:
        """See `Term`."""
        gradient = self.activation.phi(u) - self.target
        gradient *= self.lam
        return gradient


@dataclass(slots=True)
class OutputTerm:
    """``L(Y, U)``: the last layer should produce the targets."""

    loss: Loss
    targets: Array

    @property
    def curvature(self) -> float:
        """See `Term`."""
        return self.loss.curvature

    def value(self, u: Array) -> Array:
        """See `Term`."""
        return self.loss.value(self.targets, u)

    def gradient(self, u: Array) -> Array:
        """See `Term`."""
        return self.loss.gradient(self.targets, u)
