"""All kinds of objects. To store another kind, write one more `Kind` and list it here."""

from __future__ import annotations

from fenchel_stream.state.arrays import Arrays
from fenchel_stream.state.callables import Callables
from fenchel_stream.state.generators import (
    BitGenerators,
    Generators,
    OldGenerators,
    TorchGenerators,
)
from fenchel_stream.state.kind import Kind
from fenchel_stream.state.objects import Objects
from fenchel_stream.state.rust import RustObjects, VectorDicts

KINDS: dict[str, Kind] = {
    kind.tag: kind
    for kind in (
        Objects(),
        Arrays(),
        Generators(),
        BitGenerators(),
        OldGenerators(),
        TorchGenerators(),
        VectorDicts(),
        RustObjects(),
        Callables(),
    )
}
"""By the tag that stands in their nodes, in the order in which they are asked."""
