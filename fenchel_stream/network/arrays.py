"""The few array operations that NumPy and torch spell differently.

The mathematics is written once, in the names that ``numpy`` and ``torch`` share: NumPy serves the
CPU, where its calls cost less, and torch the GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import isnan
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import torch

from fenchel_stream.errors import DataError

Array: TypeAlias = Any
"""A ``numpy.ndarray`` or a ``torch.Tensor``; one computation never mixes the two."""


def namespace(x: Array) -> ModuleType:
    """Return ``torch`` for a tensor and ``numpy`` for an array."""
    # Asking for the array's type takes a sixth of the time of asking for torch's.
    return np if type(x) is np.ndarray else torch


def as_array(x: Any, like: Array) -> Array:
    """Return `x` in the library and on the device of `like`; floats in its precision, if any."""
    if type(x) is np.ndarray is type(like) and x.dtype == like.dtype:
        return x
    if isinstance(like, torch.Tensor):
        x = torch.as_tensor(x, device=like.device).detach()
        both = x.is_floating_point() and like.is_floating_point()
        return x.to(like.dtype) if both else x
    x = as_numpy(x)
    return x.astype(like.dtype, copy=False) if x.dtype.kind == like.dtype.kind == "f" else x


def as_numbers(x: Any, name: str) -> Array:
    """Return `x`, an array, a tensor or a sequence, as an array or a tensor.

    Raises
    ------
    DataError
        It holds something else than numbers; the message begins with `name`.
    """
    if isinstance(x, torch.Tensor):
        return x
    try:
        found = np.asarray(x)
    except ValueError as error:
        raise DataError(f"{name} is no array: {error}") from error
    if found.dtype.kind not in "biuf":
        what = "text" if found.dtype.kind in "SU" else found.dtype.name
        raise DataError(f"{name} holds {what}, not numbers; classes are 0, 1, 2, ...")
    return found


def as_numpy(x: Any) -> Array:
    """Return `x` as a NumPy array; a tensor on the CPU shares its memory."""
    return x.numpy(force=True) if isinstance(x, torch.Tensor) else np.asarray(x)


def append(x: Array, block: Any, axis: int) -> Array:
    """Return `x` with `block` behind it along `axis`."""
    appended = namespace(x).concatenate([x, as_array(block, like=x)], axis)
    # Compiled loops want one layout, and NumPy takes that of its operands.
    return appended if namespace(x) is torch else np.ascontiguousarray(appended)


def stacked(arrays: Sequence[Array]) -> Array:
    """Return `arrays` of one shape as one, with a first axis that counts them."""
    # For a few small ones `np.stack` takes thrice as long.
    return np.array(arrays) if namespace(arrays[0]) is np else torch.stack(list(arrays))


def append_to_each(stack: Array, block: Array, axis: int) -> Array:
    """Return `stack` with `block` behind each of its matrices along `axis`, -1 or -2."""
    return append(stack, np.stack([block] * len(stack)), axis)


def empty(like: Array, *shape: int) -> Array:
    """Return uninitialised memory of the kind, precision and device of `like`."""
    return np.empty(shape, like.dtype) if namespace(like) is np else like.new_empty(shape)


def with_ones(x: Array) -> Array:
    """Put a column of ones in front of `x`, so that biases are the first column of ``W``."""
    a = empty(x, *x.shape[:-1], x.shape[-1] + 1)
    a[..., 0] = 1.0
    a[..., 1:] = x
    return a


def eye(like: Array) -> Array:
    """Return the identity matrix of the size, kind, precision and device of square `like`."""
    if namespace(like) is np:
        return np.eye(len(like), dtype=like.dtype)
    return torch.eye(len(like), dtype=like.dtype, device=like.device)


def row_max(x: Array) -> Array:
    """Return the largest element of each row (rows x 1)."""
    return x.max(-1, keepdims=True) if namespace(x) is np else x.amax(-1, keepdim=True)


def row_sum(x: Array) -> Array:
    """Return the sum of each row (rows x 1)."""
    if namespace(x) is np:
        # NumPy's reductions take several times as long as a product for a few elements.
        return (x @ _ones(x.shape[-1], x.dtype))[..., None]
    return x.sum(-1, keepdim=True)


@lru_cache(maxsize=64)
def _ones(count: int, dtype: np.dtype[Any]) -> Array:
    return np.ones(count, dtype)


def holds_nan(x: Array) -> bool:
    """Whether a NumPy array of moderate numbers holds NaN."""
    flat = x.reshape(-1)
    return isnan(flat.dot(flat))


def positive_part(x: Array) -> Array:
    """Return ``max(x, 0)``."""
    return np.maximum(x, 0.0) if namespace(x) is np else x.clamp(min=0.0)


def squared_norm_bound(w: Array) -> Array | float:
    """Return an upper bound of ``sigma_max(w)^2`` without iterating.

    For the Gram matrix ``G`` of `w`, ``sigma_max(w)^8 <= trace(G^4) = ||G^2||_F^2``. The bound
    exceeds the true value by at most the fourth root of the rank, and unlike a power iteration it
    never falls below it, on which the monotone steps rely.
    """
    gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    # In double precision, where the eighth power does not overflow.
    if namespace(gram) is np:
        gram = gram.astype(np.float64)
        square = (gram @ gram).reshape(-1)
        return float(square.dot(square)) ** 0.25
    square = (gram.double() @ gram.double()).reshape(-1)
    return ((square @ square) ** 0.25).to(w.dtype)
