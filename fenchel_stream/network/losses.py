"""Output losses: sums over rows, so that gamma does not depend on the size of a batch.

To add a loss, write one subclass here and list it in `LOSSES`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.network import compiled
from fenchel_stream.network.arrays import Array, as_array, is_tensor, namespace, row_max, row_sum


class Loss(ABC):
    """A convex loss ``L(Y, U)`` of the last pre-activation ``U`` (m x p).

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.network.losses import LOSSES
    >>> loss = LOSSES["cross_entropy"]
    >>> Y = loss.encode(np.array([1]), np.zeros((1, 2)))
    >>> loss.gradient(Y, np.zeros((1, 2))).tolist()
    [[0.5, -0.5]]
    """

    curvature: float
    """Upper bound of the largest eigenvalue of the Hessian in one row of ``U``."""
    code: int = -1
    """Number of the loss in the compiled loops for single rows; -1 if they do not have it."""

    @abstractmethod
    def encode(self, y: Array, like: Array) -> Array:
        """Return targets `y` as a matrix of the shape, kind and precision of `like`."""

    @abstractmethod
    def rows(self, y: Array, u: Array) -> Array:
        """Return the loss of each row; `u` may be a stack of outputs."""

    def value(self, y: Array, u: Array) -> Array:
        """Return the loss summed over rows."""
        return self.rows(y, u).sum()

    @abstractmethod
    def gradient(self, y: Array, u: Array) -> Array:
        """Return the gradient in `u` (m x p)."""


class SquaredError(Loss):
    """``sum (u - y)^2 / 2`` over rows and outputs."""

    curvature = 1.0
    code = 0

    def encode(self, y: Array, like: Array) -> Array:
        return _as_matrix(y, like)

    def rows(self, y: Array, u: Array) -> Array:
        return 0.5 * ((u - y) ** 2).sum(-1)

    def gradient(self, y: Array, u: Array) -> Array:
        return u - y


class CrossEntropy(Loss):
    """Softmax cross-entropy; its curvature is at most 1/2 (Boehning, 1992)."""

    curvature = 0.5
    code = 1

    def encode(self, y: Array, like: Array) -> Array:
        """Return `y`, integer classes (m,) or probabilities (m x p), as probabilities."""
        if y.ndim == 2:
            return _as_matrix(y, like)
        classes = like.shape[1]
        if y.ndim != 1 or "float" in str(y.dtype):
            raise DataError(
                f"classes must be integers (rows,) or probabilities (rows, {classes}); "
                f"found {y.dtype} of shape {tuple(y.shape)}"
            )
        y = y.long() if is_tensor(like) else y.astype(np.int64)
        if len(y) and (y.min() < 0 or y.max() >= classes):
            raise DataError(
                f"classes must lie in 0 ... {classes - 1}, the number of outputs less one; "
                f"found {int(y.min())} ... {int(y.max())}"
            )
        xp = namespace(like)
        encoded = xp.zeros_like(like)
        encoded[xp.arange(len(y)), y] = 1.0
        return encoded

    def rows(self, y: Array, u: Array) -> Array:
        xp = namespace(u)
        shifted = u - row_max(u)
        losses = xp.log(row_sum(xp.exp(shifted))) - row_sum(y * shifted)
        return losses.reshape(u.shape[:-1])

    def gradient(self, y: Array, u: Array) -> Array:
        if type(u) is not np.ndarray:
            return softmax(u) - y
        stacks = [x if x.ndim == 3 else x[None] for x in (y, u)]
        return compiled.kernels.softmax_gradient(*stacks).reshape(u.shape)


def softmax(u: Array) -> Array:
    """Return the softmax of each row of `u`."""
    e = namespace(u).exp(u - row_max(u))
    return e / row_sum(e)


def _as_matrix(y: Array, like: Array) -> Array:
    y = y.reshape(len(y), -1)
    if y.shape != like.shape:
        raise DataError(
            f"targets have shape {tuple(y.shape)}, the network's outputs {tuple(like.shape)}"
        )
    return y if y.dtype == like.dtype else as_array(1.0 * y, like)


LOSSES: dict[str, Loss] = {"squared_error": SquaredError(), "cross_entropy": CrossEntropy()}


def get_loss(name: str) -> Loss:
    """Return the loss called `name`.

    Raises
    ------
    ConfigError
        No loss has this name; the message lists the known ones.
    """
    if name not in LOSSES:
        raise ConfigError(f"loss {name!r} is unknown; known: {', '.join(LOSSES)}")
    return LOSSES[name]
