"""NumPy arrays and torch's tensors, bit by bit. torch is not imported unless a state needs it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds
from numpy.typing import NDArray

from fenchel_stream.errors import CheckpointError
from fenchel_stream.pytorch import import_torch, is_tensor
from fenchel_stream.state.kind import Counterpart, Kind, Node, Packing, Restoring


class Arrays(Kind):
    """NumPy arrays of numbers, times and text, and dense tensors that hold no gradient.

    The order of the axes in memory stays: a matrix product may round differently in another. Each
    array gets memory of its own, without gaps.
    """

    tag = "array"

    def holds(self, obj: Any, allow: tuple[str, ...]) -> bool:
        if type(obj) is np.ndarray:
            return is_plain(obj.dtype) or obj.dtype.kind in "SU"
        return (
            is_tensor(obj)
            and type(obj) is loaded_torch().Tensor
            and obj.layout is loaded_torch().strided
            and not (obj.requires_grad or obj.is_conj() or obj.is_neg() or obj.is_quantized)
        )

    def pack(self, obj: Any, path: str, packing: Packing) -> Node:
        numpy = isinstance(obj, np.ndarray)
        library, dtype = ("numpy", obj.dtype.str) if numpy else ("torch", torch_name(obj.dtype))
        node = {library: dtype, "shape": list(obj.shape), "data": packing.add_array(obj, path)}
        strides = obj.strides if numpy else obj.stride()
        axes = sorted(range(obj.ndim), key=lambda axis: -abs(strides[axis]))
        return node if axes == list(range(obj.ndim)) else {**node, "axes": axes}

    def start(self, node: Node, at: Counterpart, restoring: Restoring) -> Any:
        data = restoring.arrays[node["data"]]
        fits = list(data.shape) == node["shape"]
        if "numpy" in node:
            _check(node, fits and data.dtype.str == node["numpy"] and self.holds(data, ()))
            return _laid_out(data, node)
        torch, dtype = loaded_torch(), torch_dtype(node["torch"])
        _check(node, fits and data.dtype == data_of(torch.empty(0, dtype=dtype)).dtype)
        device = at.fresh.device if isinstance(at.fresh, torch.Tensor) else at.device or "cpu"
        return torch.from_numpy(_laid_out(data, node)).view(dtype).to(device)


def data_of(array: Any) -> NDArray[Any]:
    """Return an array or a tensor as NumPy's; types that NumPy lacks as integers of the same bits.

    Examples
    --------
    >>> data_of(np.arange(2))
    array([0, 1])
    """
    if isinstance(array, np.ndarray):
        return array
    torch, host = loaded_torch(), array.cpu()
    try:
        return np.asarray(host.numpy())
    except TypeError:
        bits = {1: torch.uint8, 2: torch.int16}[host.element_size()]
        return np.asarray(host.view(bits).numpy())


def refuse_shared(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Make sure that no two arrays use the same memory: what is restored would not.

    Arrays that are read-only may: nobody can see the difference.

    Raises
    ------
    CheckpointError
        Two of them do; the message names them.
    """
    end, holder = 0, ""
    spans = [(*byte_bounds(a), name) for name, a in arrays.items() if a.size and a.flags.writeable]
    for low, high, name in sorted(spans):
        if low < end:
            raise CheckpointError(
                f"{name} shares memory with {holder}, and would not when it is restored: make one "
                "of them a copy"
            )
        end, holder = high, name


def array_name(path: str) -> str:
    """Return `path` as the name of a file.

    Examples
    --------
    >>> array_name("model.scale['a b']")
    "model.scale['a_b']"
    """
    return re.sub(r"[^\w.\[\]'-]+", "_", path)[:100] or "array"


def is_array(obj: object) -> bool:
    """Say whether `obj` is an array or a tensor, of any kind."""
    return isinstance(obj, np.ndarray) or is_tensor(obj)


def is_plain(dtype: np.dtype[Any]) -> bool:
    """Say whether values of a NumPy type are their bytes."""
    return dtype.kind in "biufcmM"


def loaded_torch() -> Any:
    """Return the module ``torch``.

    Raises
    ------
    CheckpointError
        It is not installed.
    """
    return import_torch("a tensor of the state", CheckpointError)


def is_device(value: Any) -> bool:
    """Say whether a value names a device: a text, or one of torch's own."""
    cls = type(value)
    return cls is str or (cls.__module__, cls.__name__) == ("torch", "device")


def torch_name(value: Any) -> str:
    """Return the name of a torch device or type of numbers."""
    return str(value).removeprefix("torch.")


def torch_dtype(name: str) -> Any:
    """Return the torch type of numbers that `torch_name` named.

    Raises
    ------
    CheckpointError
        There is none of that name, or no torch.
    """
    torch = loaded_torch()
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise CheckpointError(f"{name!r} is no type of tensors")
    return dtype


def _laid_out(data: NDArray[Any], node: Node) -> NDArray[Any]:
    """Return a copy of `data` with its axes in the order in memory that they had."""
    axes = node.get("axes", range(data.ndim))
    return data.transpose(axes).copy("C").transpose(np.argsort(axes))


def _check(node: Node, fits: bool) -> None:
    if not fits:
        raise CheckpointError(f"the array {node['data']!r} is not what its description says")
