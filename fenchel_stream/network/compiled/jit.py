"""The decorator that compiles a loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile `function` at its first call, and keep the result on disk if a folder allows it."""
    # Sums may be reordered, because otherwise loops cannot use vector instructions. NaN and
    # infinity keep their meaning.
    options: dict[str, Any] = {"fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy"}
    jit: Callable[..., F]
    try:
        jit = numba.njit(cache=True, **options)
        return jit(function)
    except RuntimeError:  # No folder is writable, as in a read-only container.
        jit = numba.njit(**options)
        return jit(function)
