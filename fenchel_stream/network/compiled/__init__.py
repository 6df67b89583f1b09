"""Loops for single rows, compiled by Numba.

`kernels` holds the steps of one block of variables, `rows` those of a whole row. Both modules are
imported when they are first used, because importing Numba takes half a second.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fenchel_stream.network.compiled import kernels, rows

__all__ = ["kernels", "rows"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")
