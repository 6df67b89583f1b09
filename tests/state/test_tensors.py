"""Tensors in a state, and states where torch is not installed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from fenchel_stream.errors import CheckpointError
from fenchel_stream.state import pack, restore
from tests.tensors import needs_torch

ALLOW = ("river", "fenchel_stream", __name__)
DTYPES = [
    "float32",
    "float64",
    "float16",
    "bfloat16",
    "float8_e4m3fn",
    "int64",
    "uint8",
    "bool",
    "complex64",
]


class Holder:
    """An object with attributes."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


def through_json(obj: Any, fresh: Any = None) -> Any:
    """Pack `obj`, write its tree as JSON, and restore it from copies of its arrays."""
    tree, arrays = pack(obj, allow=ALLOW)
    copies = {name: array.copy() for name, array in arrays.items()}
    return restore(fresh, json.loads(json.dumps(tree)), copies, allow=ALLOW)


@needs_torch
class TestTensors:
    @pytest.mark.parametrize("name", DTYPES)
    def test_keep_every_bit_and_the_order_of_the_axes(self, name: str) -> None:
        import torch

        dtype = getattr(torch, name)
        whole = torch.arange(24).reshape(2, 3, 4).to(dtype)
        gaps = whole[:, :, 1:3]
        for kept in (whole, whole.transpose(0, 2), gaps, whole[0, 0, 0], whole[:0]):
            (back,) = through_json([kept])
            assert (back.dtype, back.shape) == (dtype, kept.shape)
            if kept.numel() and kept is not gaps:
                assert back.stride() == kept.stride()
            bits, kept_bits = (t.reshape(-1).contiguous().view(torch.uint8) for t in (back, kept))
            assert bits.equal(kept_bits)

    def test_types_and_devices(self) -> None:
        import torch

        value = [torch.float64, torch.device("cpu")]
        assert through_json(value) == value

    def test_values_repeated_by_stride_are_stored_as_they_look(self) -> None:
        import torch

        (tensor,) = through_json([torch.ones(3).expand(2, 3)])
        tensor[0, 0] = 5
        assert tensor.tolist() == [[5, 1, 1], [1, 1, 1]]

    def test_memory_shared_with_an_array_is_refused(self) -> None:
        import torch

        tensor = torch.arange(4.0)
        with pytest.raises(CheckpointError, match=r"\[1\] shares memory with \[0\]"):
            pack([tensor, tensor.numpy()[1:]])

    def test_go_where_the_fresh_object_computes(self) -> None:
        import torch

        stored = Holder(device="cpu", net=Holder(device=torch.device("cpu"), w=torch.ones(2)))
        back = through_json(stored, Holder(device="meta", net=None))
        assert back.net.w.device.type == "meta"
        assert (back.device, back.net.device) == ("meta", torch.device("meta"))

    def test_go_where_the_fresh_tensor_is(self) -> None:
        import torch

        fresh = Holder(w=torch.zeros(2, device="meta"))
        assert through_json(Holder(w=torch.ones(2)), fresh).w.device.type == "meta"

    def test_go_to_and_from_a_gpu(self) -> None:
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a GPU")
        w = torch.arange(6.0, device="cuda").reshape(2, 3)
        stored = Holder(device="cuda", w=w)
        back = through_json(stored, Holder(device="cuda"))
        assert back.w.device.type == "cuda"
        assert back.w.tolist() == w.tolist()
        assert through_json(stored, Holder(device="cpu")).w.device.type == "cpu"

    @pytest.mark.parametrize("what", ["gradient", "sparse", "generator"])
    def test_others_are_refused(self, what: str) -> None:
        import torch

        other = {
            "gradient": torch.ones(1, requires_grad=True),
            "sparse": torch.ones(1).to_sparse(),
            "generator": torch.Generator(),
        }[what]
        with pytest.raises(CheckpointError, match=r"^x\[0\] is a torch.*allow_pickle = true"):
            pack({"x": [other]})

    def test_a_name_that_is_no_type_is_refused(self) -> None:
        node = {"kind": "array", "torch": "load", "shape": [1], "data": "a"}
        for root, nodes in (({"torch dtype": "load"}, []), ([0], [node])):
            with pytest.raises(CheckpointError, match="'load' is no type of tensors"):
                restore(None, {"root": root, "nodes": nodes}, {"a": np.zeros(1)})


def run(program: str) -> str:
    """Return what a new process prints."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_nothing_imports_torch_where_it_is_not_needed() -> None:
    program = """
import sys, tempfile
from river import stats
from fenchel_stream.checkpoint import CheckpointStore
with tempfile.TemporaryDirectory() as folder, CheckpointStore(folder) as store:
    store.save({"mean": stats.Mean(), "part": {}}, {})
    store.load({"mean": stats.Mean()})
print("torch" in sys.modules)
"""
    assert run(program) == "False\n"


def test_a_tensor_without_torch_says_what_to_install() -> None:
    tree = {
        "root": [0],
        "nodes": [{"kind": "array", "torch": "float32", "shape": [1], "data": "a"}],
    }
    program = f"""
import sys
import numpy as np
from fenchel_stream.errors import CheckpointError
from fenchel_stream.state import restore
sys.modules["torch"] = None  # as where it is not installed
try:
    restore(None, {tree!r}, {{"a": np.zeros(1, np.float32)}})
except CheckpointError as error:
    print(error)
"""
    assert run(program).startswith(
        "a tensor of the state needs PyTorch: pip install 'fenchel-stream[torch]' ("
    )
