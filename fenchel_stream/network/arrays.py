"""The array operations that NumPy and PyTorch spell differently.

The mathematics of the network is written once, in the names that ``numpy`` and ``torch`` share.
NumPy serves the CPU, where its calls cost less; PyTorch serves the GPU and the convolutions.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import lru_cache
from math import isnan
from typing import Any, TypeAlias

import numpy as np

from fenchel_stream import pytorch
from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.pytorch import import_torch

Array: TypeAlias = Any
"""A ``numpy.ndarray`` or a ``torch.Tensor``; one computation never mixes the two."""

LARGEST = 1e15
"""Inputs must not be larger, so that their squares stay finite in single precision."""


def check_device(device: str) -> None:
    """Check that arrays can be computed on `device`.

    Raises
    ------
    ConfigError
        PyTorch is not installed, knows no such device, or cannot use it on this machine.
    """
    if device == "cpu":
        return
    refused = f"device {device!r} cannot be used"
    torch = import_torch(f"{refused}: it")
    try:
        torch.zeros(1, device=device).item()
    # Which error PyTorch raises depends on the device and on how PyTorch was built.
    except (AssertionError, ImportError, NotImplementedError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"{refused}: {reason}") from error


def is_tensor(x: Any) -> bool:
    """Return whether `x` is a tensor of PyTorch, without importing PyTorch."""
    if type(x) is np.ndarray:  # The common case, in a sixth of the time of the check below.
        return False
    return pytorch.is_tensor(x)


def namespace(x: Array) -> Any:
    """Return the module ``torch`` for a tensor and ``numpy`` for an array."""
    return np if type(x) is np.ndarray else sys.modules["torch"]


def as_array(x: Any, like: Array) -> Array:
    """Return `x` in the library and on the device of `like`.

    Floating-point numbers get the precision of `like` if that has floating-point numbers too.
    """
    if type(x) is np.ndarray is type(like) and x.dtype == like.dtype:
        return x
    if is_tensor(like):
        x = namespace(like).as_tensor(x, device=like.device).detach()
        both_float = x.is_floating_point() and like.is_floating_point()
        return x.to(like.dtype) if both_float else x
    x = as_numpy(x)
    return x.astype(like.dtype, copy=False) if x.dtype.kind == like.dtype.kind == "f" else x


def placed(x: Array, device: str, dtype: str) -> Array:
    """Return `x` as a network on `device` computes with it: an array on ``cpu``, else a tensor."""
    if device == "cpu":
        array = x if type(x) is np.ndarray else as_numpy(x)
        return array.astype(dtype, copy=False)
    torch = import_torch(f"device {device!r}")
    return torch.as_tensor(x, dtype=getattr(torch, dtype), device=device).detach()


def as_numbers(x: Any, name: str) -> Array:
    """Return `x`, an array, a tensor or a sequence, as an array or a tensor.

    Raises
    ------
    DataError
        `x` holds something other than numbers; the message begins with `name`.
    """
    if is_tensor(x):
        return x
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise DataError(f"{name} is no array: {error}") from error
    if array.dtype.kind not in "biuf":
        content = "text" if array.dtype.kind in "SU" else array.dtype.name
        raise DataError(f"{name} holds {content}, not numbers; classes are 0, 1, 2, ...")
    return array


def as_numpy(x: Any) -> Array:
    """Return `x` as a NumPy array; a tensor on the CPU shares its memory."""
    return x.numpy(force=True) if is_tensor(x) else np.asarray(x)


def copied(x: Array) -> Array:
    """Return a copy of `x` in memory of its own."""
    return x.clone() if is_tensor(x) else np.array(x)


def append(x: Array, block: Any, axis: int) -> Array:
    """Return `x` with `block` appended along `axis`."""
    appended = namespace(x).concatenate([x, as_array(block, like=x)], axis)
    # The compiled loops need C order; NumPy keeps the order of its operands.
    return np.ascontiguousarray(appended) if type(appended) is np.ndarray else appended


def stacked(arrays: Sequence[Array]) -> Array:
    """Return `arrays` of equal shape, stacked along a new first axis."""
    # For a few small arrays `np.stack` takes three times as long as `np.array`.
    first = arrays[0]
    return np.array(arrays) if type(first) is np.ndarray else namespace(first).stack(list(arrays))


def append_to_each(stack: Array, block: Array, axis: int) -> Array:
    """Return `stack` with `block` appended to each of its matrices along `axis`, -1 or -2."""
    return append(stack, np.stack([block] * len(stack)), axis)


def empty(like: Array, *shape: int) -> Array:
    """Return uninitialised memory of the kind, precision and device of `like`."""
    return np.empty(shape, like.dtype) if type(like) is np.ndarray else like.new_empty(shape)


def with_ones(x: Array) -> Array:
    """Return ``[1, x]``: the biases are the first column of ``W``."""
    a = empty(x, *x.shape[:-1], x.shape[-1] + 1)
    a[..., 0] = 1.0
    a[..., 1:] = x
    return a


def eye(like: Array) -> Array:
    """Return the identity matrix of the size, kind, precision and device of square `like`."""
    if type(like) is np.ndarray:
        return np.eye(len(like), dtype=like.dtype)
    return namespace(like).eye(len(like), dtype=like.dtype, device=like.device)


def row_max(x: Array) -> Array:
    """Return the largest element of each row (rows x 1)."""
    return x.max(-1, keepdims=True) if type(x) is np.ndarray else x.amax(-1, keepdim=True)


def row_sum(x: Array) -> Array:
    """Return the sum of each row (rows x 1)."""
    if type(x) is np.ndarray:
        # For a few elements NumPy's sum takes several times as long as a product.
        return (x @ _ones(x.shape[-1], x.dtype))[..., None]
    return x.sum(-1, keepdim=True)


@lru_cache(maxsize=64)
def _ones(count: int, dtype: np.dtype[Any]) -> Array:
    return np.ones(count, dtype)


def constants(values: tuple[float, ...], like: Array) -> Array:
    """Return `values` as an array of the kind, precision and device of `like`; do not write to it.

    The array is made once: a copy to a GPU waits for the GPU.
    """
    return _constants(values, like.dtype, like.device)


@lru_cache(maxsize=64)
def _constants(values: tuple[float, ...], dtype: Any, device: Any) -> Array:
    if isinstance(dtype, np.dtype):
        return np.array(values, dtype)
    return sys.modules["torch"].tensor(values, dtype=dtype, device=device)


def holds_nan(x: Array) -> bool:
    """Return whether a NumPy array of moderate numbers holds NaN."""
    flat = x.reshape(-1)
    return isnan(flat.dot(flat))


def positive_part(x: Array) -> Array:
    """Return ``max(x, 0)``."""
    return np.maximum(x, 0.0) if type(x) is np.ndarray else x.clamp(min=0.0)


def squared_norm_bound(w: Array) -> Array | float:
    """Return an upper bound of ``sigma_max(w)^2`` without iterating.

    For the Gram matrix ``G`` of `w`, ``sigma_max(w)^8 <= trace(G^4) = ||G^2||_F^2``. The bound
    exceeds the true value by at most the factor ``rank^(1/4)``. Unlike the result of a power
    iteration, it is never below the true value. Therefore no step can raise the objective.
    """
    gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    # Double precision, because the eighth power overflows in single precision.
    if type(gram) is np.ndarray:
        gram = gram.astype(np.float64)
        square = (gram @ gram).reshape(-1)
        return float(square.dot(square)) ** 0.25
    square = (gram.double() @ gram.double()).reshape(-1)
    return ((square @ square) ** 0.25).to(w.dtype)
