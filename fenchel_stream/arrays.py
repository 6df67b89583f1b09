"""The few array operations that NumPy and torch spell differently.

The mathematics is written once, in the names that ``numpy`` and ``torch`` share: NumPy serves the
CPU, where its calls cost less, and torch the GPU.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import torch

Array: TypeAlias = Any
"""A ``numpy.ndarray`` or a ``torch.Tensor``; one computation never mixes the two."""


def namespace(x: Array) -> ModuleType:
    """Return ``torch`` for a tensor and ``numpy`` for an array."""
    return torch if isinstance(x, torch.Tensor) else np


def as_array(x: Any, like: Array) -> Array:
    """Return `x` in the library and on the device of `like`; floats in its precision too."""
    if isinstance(like, torch.Tensor):
        x = torch.as_tensor(x, device=like.device)
        return x.to(like.dtype) if x.is_floating_point() else x
    x = as_numpy(x)
    return x.astype(like.dtype, copy=False) if x.dtype.kind == "f" else x


def as_numpy(x: Any) -> Array:
    """Return `x` as a NumPy array; a tensor on the CPU shares its memory."""
    return x.numpy(force=True) if isinstance(x, torch.Tensor) else np.asarray(x)


def empty(like: Array, *shape: int) -> Array:
    """Return uninitialised memory of the kind, precision and device of `like`."""
    if isinstance(like, torch.Tensor):
        return like.new_empty(shape)
    return np.empty(shape, like.dtype)


def with_ones(x: Array) -> Array:
    """Put a column of ones in front of `x`, so that biases are the first column of ``W``."""
    a = empty(x, x.shape[0], x.shape[1] + 1)
    a[:, 0] = 1.0
    a[:, 1:] = x
    return a


def inverse_spd(h: Array) -> Array:
    """Invert a symmetric positive definite matrix, or a stack of them.

    On CUDA nothing waits for the result: the factorisation's status is not read.
    """
    if isinstance(h, torch.Tensor):
        return torch.cholesky_inverse(torch.linalg.cholesky_ex(h).L)
    if h.shape[-1] == 1:
        return 1.0 / h
    return np.linalg.inv(h)


def eye(like: Array) -> Array:
    """Return the identity matrix of the size, kind, precision and device of square `like`."""
    if isinstance(like, torch.Tensor):
        return torch.eye(len(like), dtype=like.dtype, device=like.device)
    return np.eye(len(like), dtype=like.dtype)


def plus_outer(w: Array, q: Array, a: Array) -> Array:
    """Return ``w + q^T a``; `w` and `q` may be stacks."""
    if isinstance(w, torch.Tensor) and w.ndim == 2:
        return torch.addmm(w, q.T, a)
    # NumPy multiplies a single row faster than it calls BLAS for it.
    return w + (q.mT * a if len(a) == 1 else q.mT @ a)


def row_max(x: Array) -> Array:
    """Return the largest element of each row (rows x 1)."""
    if isinstance(x, torch.Tensor):
        return x.amax(-1, keepdim=True)
    return np.maximum.reduce(x, axis=-1, keepdims=True)


def row_sum(x: Array) -> Array:
    """Return the sum of each row (rows x 1)."""
    if isinstance(x, torch.Tensor):
        return x.sum(-1, keepdim=True)
    return np.add.reduce(x, axis=-1, keepdims=True)


def positive_part(x: Array) -> Array:
    """Return ``max(x, 0)``."""
    return x.clamp(min=0.0) if isinstance(x, torch.Tensor) else np.maximum(x, 0.0)


def squared_norm_bound(w: Array) -> Array | float:
    """Return an upper bound of ``sigma_max(w)^2`` without iterating.

    For the Gram matrix ``G`` of `w`, ``sigma_max(w)^8 <= trace(G^4) = ||G^2||_F^2``. The bound
    exceeds the true value by at most the fourth root of the rank, and unlike a power iteration it
    never falls below it, on which the monotone steps rely.
    """
    gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    # In double precision, where the eighth power does not overflow.
    if isinstance(gram, torch.Tensor):
        square = (gram.double() @ gram.double()).reshape(-1)
        return ((square @ square) ** 0.25).to(w.dtype)
    gram = gram.astype(np.float64)
    square = (gram @ gram).reshape(-1)
    return float(square @ square) ** 0.25
