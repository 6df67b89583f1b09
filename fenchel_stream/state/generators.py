"""Random number generators of River's models, which go on with the next number."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np

from fenchel_stream.errors import CheckpointError
from fenchel_stream.state.kind import Counterpart, Kind, Node, Packing, Restoring

_WORDS = 624


class Generators(Kind):
    """`random.Random` and `numpy.random.RandomState`, both a Mersenne twister."""

    tag = "generator"

    def holds(self, obj: Any, allow: tuple[str, ...]) -> bool:
        return type(obj) in (random.Random, np.random.RandomState)

    def pack(self, obj: Any, path: str, packing: Packing) -> Node:
        if isinstance(obj, random.Random):
            return {"python": obj.getstate()}
        state = obj.get_state(legacy=False)
        return {"numpy": json.loads(json.dumps(state, default=np.ndarray.tolist))}

    def start(self, node: Node, at: Counterpart, restoring: Restoring) -> Any:
        if "python" in node:
            version, key, gauss = node["python"]
            python = restoring.claim(at.fresh, random.Random) or random.Random()  # noqa: S311
            python.setstate((version, tuple(key), gauss))
            return python
        position = node["numpy"]["state"]["pos"]
        if not 0 <= position <= _WORDS:  # NumPy would read past the end of its memory
            raise CheckpointError(f"a generator at position {position!r} of {_WORDS}")
        legacy = restoring.claim(at.fresh, np.random.RandomState) or np.random.RandomState()
        legacy.set_state(node["numpy"])
        return legacy
