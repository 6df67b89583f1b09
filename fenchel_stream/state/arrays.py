"""Arrays and tensors, bit by bit, in the memory layout they had and sharing what they shared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fenchel_stream.errors import CheckpointError
from fenchel_stream.state.atoms import PLAIN_DTYPES
from fenchel_stream.state.kind import LATER, Kind, Node
from fenchel_stream.state.memory import byte_tensor, data_of

if TYPE_CHECKING:
    from fenchel_stream.state.packer import Packer
    from fenchel_stream.state.restorer import Restorer


class Arrays(Kind):
    """NumPy arrays of numbers, times and text, and dense tensors that hold no gradient.

    Strides are part of the state: a matrix product may round differently in another layout.
    """

    tag = "array"

    def holds(self, obj: Any, allow: tuple[str, ...]) -> bool:
        if type(obj) is np.ndarray:
            return obj.dtype.kind in f"{PLAIN_DTYPES}SU"
        return (
            type(obj) is torch.Tensor
            and obj.layout is torch.strided
            and not (obj.requires_grad or obj.is_conj() or obj.is_neg() or obj.is_quantized)
        )

    def pack(self, obj: Any, path: str, packer: Packer) -> Node:
        if isinstance(obj, np.ndarray):
            return {"numpy": obj.dtype.str, "shape": obj.shape, "strides": obj.strides}
        dtype = str(obj.dtype).removeprefix("torch.")
        return {"torch": dtype, "shape": tuple(obj.shape), "strides": obj.stride()}

    def children(self, node: Node, fresh: Any, restorer: Restorer) -> Iterator[tuple[Any, Any]]:
        yield node.get("owner"), None

    def start(self, node: Node, number: int, restorer: Restorer) -> Any:
        if "owner" in node:
            return LATER
        shape, strides = tuple(node["shape"]), tuple(node["strides"])
        data = restorer.arrays[node["data"]]
        if "numpy" in node:
            dtype = _numpy_dtype(node)
            _check(node, data.dtype == dtype and data.shape == shape)
            array = _empty_strided(shape, dtype, strides)
            array[...] = data
            return array
        torch_dtype = _torch_dtype(node)
        stand_in = data_of(torch.empty(0, dtype=torch_dtype))
        _check(node, data.dtype == stand_in.dtype and data.shape == shape)
        device = _device(node, number, restorer)
        tensor = torch.empty_strided(shape, strides, dtype=torch_dtype, device=device)
        return tensor.copy_(torch.tensor(data).view(torch_dtype))

    def build(self, node: Node, number: int, restorer: Restorer) -> Any:
        shape, strides, offset = tuple(node["shape"]), tuple(node["strides"]), node["offset"]
        memory = byte_tensor(restorer.value(node["owner"]))
        if "numpy" in node:
            buffer: Any = memory.numpy()
            return np.ndarray(shape, _numpy_dtype(node), buffer, offset, strides)
        view = torch.empty(0, dtype=_torch_dtype(node), device=memory.device)
        storage: Any = memory.untyped_storage()
        return view.set_(storage, offset // view.element_size(), shape, strides)


def _empty_strided(shape: tuple[int, ...], dtype: Any, strides: tuple[int, ...]) -> Any:
    """Return a new array whose memory is laid out as `strides` say, gaps included."""
    plain = np.empty(shape, dtype)
    if plain.strides == strides or not plain.size:
        return plain
    reach = [(n - 1) * s for n, s in zip(shape, strides, strict=True)]
    start = -sum(r for r in reach if r < 0)
    size = start + sum(r for r in reach if r > 0) + plain.itemsize
    return np.ndarray(shape, dtype, np.empty(size, np.uint8).data, start, strides)


def _device(node: Node, number: int, restorer: Restorer) -> str:
    fresh = restorer.fresh[number]
    if "host" in node:
        return "cpu"
    if isinstance(fresh, torch.Tensor):
        return str(fresh.device)
    return restorer.devices[number] or "cpu"


def _numpy_dtype(node: Node) -> np.dtype[Any]:
    dtype = np.dtype(node["numpy"])
    _check(node, dtype.kind in f"{PLAIN_DTYPES}SU")
    return dtype


def _torch_dtype(node: Node) -> torch.dtype:
    found = getattr(torch, node["torch"], None)
    if not isinstance(found, torch.dtype):
        raise CheckpointError(f"{node['torch']!r} is no type of tensors")
    return found


def _check(node: Node, fits: bool) -> None:
    if not fits:
        raise CheckpointError(f"the array {node.get('data')!r} is not what its description says")
