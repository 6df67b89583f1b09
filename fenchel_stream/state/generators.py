"""Random number generators, which go on with the next number of their sequence."""

from __future__ import annotations

import json
import random
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fenchel_stream.state.kind import Kind, Node

if TYPE_CHECKING:
    from fenchel_stream.state.packer import Packer
    from fenchel_stream.state.restorer import Restorer

_BIT_GENERATORS: dict[str, Any] = {
    cls.__name__: cls
    for cls in (
        np.random.MT19937,
        np.random.PCG64,
        np.random.PCG64DXSM,
        np.random.Philox,
        np.random.SFC64,
    )
}


class Generators(Kind):
    """`numpy.random.Generator`: several may draw from one bit generator."""

    tag = "generator"

    def holds(self, obj: Any, allow: tuple[str, ...]) -> bool:
        return type(obj) is np.random.Generator

    def pack(self, obj: Any, path: str, packer: Packer) -> Node:
        return {"bits": packer.link(obj.bit_generator, f"{path}.bit_generator")}

    def children(self, node: Node, fresh: Any, restorer: Restorer) -> Iterator[tuple[Any, Any]]:
        yield node["bits"], getattr(fresh, "bit_generator", None)

    def build(self, node: Node, number: int, restorer: Restorer) -> Any:
        bits = restorer.value(node["bits"])
        fresh = restorer.claim(number, np.random.Generator)
        return fresh if getattr(fresh, "bit_generator", None) is bits else np.random.Generator(bits)


class BitGenerators(Kind):
    """NumPy's bit generators, with the seed sequence from which they spawn others."""

    tag = "bit generator"

    def holds(self, obj: Any, allow: tuple[str, ...]) -> bool:
        return type(obj) in _BIT_GENERATORS.values()

    def pack(self, obj: Any, path: str, packer: Packer) -> Node:
        return {"state": _plain(obj.state), "seed": _plain(getattr(obj.seed_seq, "state", None))}

    def start(self, node: Node, number: int, restorer: Restorer) -> Any:
        cls = _BIT_GENERATORS[node["state"]["bit_generator"]]
        bits, seed = restorer.claim(number, cls), node["seed"]
        if bits is None or _plain(getattr(bits.seed_seq, "state", None)) != seed:
            bits = cls(np.random.SeedSequence(**seed) if seed else None)
        bits.state = node["state"]
        return bits


class OldGenerators(Kind):
    """`random.Random` and `numpy.random.RandomState`, both a Mersenne twister."""

    tag = "old generator"

    def holds(self, obj: Any, allow: tuple[str, ...]) -> bool:
        return type(obj) in (random.Random, np.random.RandomState)

    def pack(self, obj: Any, path: str, packer: Packer) -> Node:
        if isinstance(obj, random.Random):
            return {"python": _plain(obj.getstate())}
        return {"numpy": _plain(obj.get_state(legacy=False))}

    def start(self, node: Node, number: int, restorer: Restorer) -> Any:
        if "python" in node:
            version, key, gauss = node["python"]
            python = restorer.claim(number, random.Random) or random.Random()  # noqa: S311
            python.setstate((version, tuple(key), gauss))
            return python
        legacy = restorer.claim(number, np.random.RandomState) or np.random.RandomState()
        legacy.set_state(node["numpy"])
        return legacy


class TorchGenerators(Kind):
    """`torch.Generator`, on the device of the fresh object."""

    tag = "torch generator"

    def holds(self, obj: Any, allow: tuple[str, ...]) -> bool:
        return type(obj) is torch.Generator

    def pack(self, obj: Any, path: str, packer: Packer) -> Node:
        state = obj.get_state().numpy().tobytes()
        return {"device": str(obj.device), "state": b64encode(state).decode()}

    def start(self, node: Node, number: int, restorer: Restorer) -> Any:
        generator = restorer.claim(number, torch.Generator) or torch.Generator(node["device"])
        generator.set_state(
            torch.frombuffer(bytearray(b64decode(node["state"])), dtype=torch.uint8)
        )
        return generator


def _plain(state: Any) -> Any:
    return json.loads(json.dumps(state, default=np.ndarray.tolist))
