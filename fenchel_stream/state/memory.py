"""What arrays and tensors occupy in memory, so that each stretch of it is stored once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fenchel_stream.errors import CheckpointError
from fenchel_stream.state.kind import Node

Array = Any
"""A NumPy array or a tensor."""


@dataclass(frozen=True)
class Span:
    """An array at its place in memory, ``low <= address < high``."""

    array: Array
    number: int
    path: str
    place: str
    address: int
    low: int
    high: int

    @classmethod
    def of(cls, array: Array, number: int, path: str) -> Span:
        """Return where `array` is, which is node `number`."""
        size, strides = array.itemsize, array.strides if _is_numpy(array) else array.stride()
        place = "cpu" if _is_numpy(array) else str(array.device)
        address = array.ctypes.data if _is_numpy(array) else array.data_ptr()
        unit = 1 if _is_numpy(array) else size
        low = high = address
        if 0 not in array.shape:
            reach = [(n - 1) * s * unit for n, s in zip(array.shape, strides, strict=True)]
            low += sum(r for r in reach if r < 0)
            high += sum(r for r in reach if r > 0) + size
        return cls(array, number, path, place, address, low, high)

    def covers(self, others: list[Span]) -> bool:
        """Say whether this array is one gapless stretch that contains all `others`."""
        gapless = self.low == self.address and self.high - self.low == self.array.nbytes
        return gapless and all(self.low <= o.low and o.high <= self.high for o in others)


def store(spans: list[Span], nodes: list[Node]) -> dict[str, NDArray[Any]]:
    """Return named data for all arrays and say in their nodes where to find it.

    A node is appended for memory that arrays share without any of them having all of it.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for group in _overlapping(spans):
        owner = group[0] if len(group) == 1 else _owner(group, nodes)
        node = nodes[owner.number]
        name = re.sub(r"[^\w.\[\]'-]+", "_", owner.path)[:100] or "array"
        node["data"] = f"{name}~{len(arrays)}" if name in arrays else name
        arrays[node["data"]] = data_of(owner.array)
        views = [span for span in group if span is not owner]
        for view in views:
            nodes[view.number]["owner"] = [owner.number]
            nodes[view.number]["offset"] = view.address - owner.low
        if not _is_numpy(owner.array) and any(_is_numpy(view.array) for view in views):
            node["host"] = True
        if 0 in node["strides"] and owner.array.nbytes != owner.high - owner.low:
            # Values repeated by a stride of 0: only a plain array can be filled again.
            node["strides"] = _plain_strides(owner.array)
    return arrays


def data_of(array: Array) -> NDArray[Any]:
    """Return `array` as NumPy's; types that NumPy lacks as integers of the same bits."""
    if _is_numpy(array):
        return np.asarray(array)
    host = array.cpu()
    try:
        return np.asarray(host.numpy())
    except TypeError:
        bits = {1: torch.uint8, 2: torch.int16}[host.element_size()]
        return np.asarray(host.view(bits).numpy())


def byte_tensor(array: Array) -> torch.Tensor:
    """Return the memory of a gapless array that owns it, as bytes."""
    if _is_numpy(array):
        return torch.from_numpy(_flat(array).view(np.uint8))
    return _storage(array)


def _is_numpy(array: Array) -> bool:
    return isinstance(array, np.ndarray)


def _plain_strides(array: Array) -> tuple[int, ...]:
    if _is_numpy(array):
        return np.empty(array.shape, array.dtype).strides
    return torch.empty(array.shape, dtype=array.dtype).stride()


def _overlapping(spans: list[Span]) -> Iterator[list[Span]]:
    """Yield groups of arrays whose stretches of memory touch."""
    group: list[Span] = []
    end = 0
    for span in sorted(spans, key=lambda span: (span.place, span.low, -span.high)):
        if group and span.place == group[0].place and span.low < end:
            group.append(span)
            end = max(end, span.high)
        else:
            if group:
                yield group
            group, end = [span], span.high
    if group:
        yield group


def _owner(group: list[Span], nodes: list[Node]) -> Span:
    """Return the array that has all the memory of `group`, a tensor if one does."""
    for span in sorted(group, key=lambda span: _is_numpy(span.array)):
        if span.covers(group):
            return span
    for member in group:
        whole = Span.of(_whole(member.array), len(nodes), f"{member.path}.base")
        if whole.covers(group):
            library, dtype = ("numpy", "|u1") if _is_numpy(whole.array) else ("torch", "uint8")
            shape = (whole.array.nbytes,)
            nodes.append({"kind": "array", library: dtype, "shape": shape, "strides": (1,)})
            return whole
    raise CheckpointError(
        f"{group[0].path} shares memory with {group[1].path} in a way that cannot be stored: "
        "let both be views of one array"
    )


def _whole(array: Array) -> Array:
    """Return all the memory that an array is a view of, as bytes."""
    while isinstance(getattr(array, "base", None), np.ndarray):
        array = array.base
    if not _is_numpy(array):
        return _storage(array)
    if isinstance(array.base, torch.Tensor):
        return _storage(array.base)
    return _flat(array).view(np.uint8)


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    """Return a gapless array as one dimension, in the order of its memory."""
    order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    return array.transpose(order).reshape(-1)


def _storage(tensor: torch.Tensor) -> torch.Tensor:
    empty = torch.empty(0, dtype=torch.uint8, device=tensor.device)
    return empty.set_(tensor.untyped_storage())
