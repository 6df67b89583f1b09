"""The contracts of sources and sinks, and the functions that open one by its URL."""

from fenchel_stream.streams.registry import as_source, open_sink, open_source
from fenchel_stream.streams.sink import Sink
from fenchel_stream.streams.source import Batch, Position, Reject, Source

__all__ = [
    "Batch",
    "Position",
    "Reject",
    "Sink",
    "Source",
    "as_source",
    "open_sink",
    "open_source",
]
