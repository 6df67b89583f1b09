"""Settings of a network, checked: one number per layer, and the order of the blocks."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any, Literal

import numpy as np

from fenchel_stream.errors import ConfigError

Block = tuple[Literal["X", "W"], int]
"""A block of variables: its kind and its layer."""


def block_order(order: str, depth: int) -> tuple[Block, ...]:
    """Return the blocks of one alternation, in the order in which they move."""
    down = range(depth - 1, -1, -1)
    if order == "top_down":
        moves: list[Block] = [(block, layer) for layer in down for block in ("W", "X")]
        return tuple(moves[:-1])
    if order == "paper":
        return tuple([("X", layer) for layer in down[:-1]] + [("W", layer) for layer in down])
    raise ConfigError(f"order is 'top_down' or 'paper', not {order!r}")


def per_layer(
    name: str, value: float | Sequence[float], count: int, *, zero: bool = False
) -> tuple[float, ...]:
    """Return `value`, one number or a sequence, as `count` positive numbers."""
    values: list[Any] = np.ravel(value).tolist() if np.ndim(value) else [value] * count
    if len(values) != count:
        raise ConfigError(f"{name} needs one number or {count}, one per layer; got {value!r}")
    if not all(isfinite(v) and (v > 0 or (zero and v == 0)) for v in values):
        raise ConfigError(f"{name} must be {'at least 0' if zero else 'positive'}; got {value!r}")
    return tuple(map(float, values))
