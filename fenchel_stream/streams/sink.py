"""What the learner asks of a place to write to: records in, and a way back to a checkpoint.

A run that dies after its last checkpoint has written records that the resumed run will write
again. A sink therefore knows its position, the checkpoint keeps it, and `Sink.truncate` goes back
to it, so that each prediction stands in the output once. A topic cannot go back: its sink skips
what is there already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from fenchel_stream.streams.source import Position, open_url

GROUP = "fenchel_stream.sinks"


@runtime_checkable
class Sink(Protocol):
    """A place that takes records in order and can drop the last ones."""

    def write(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Append the records. A file has them at once, a broker by the next `flush`.

        What is held back would be written at the end, perhaps by a run that has lost its right to.
        """
        ...

    def flush(self) -> None:
        """Return once everything written so far would outlive a crash of the machine."""
        ...

    @property
    def position(self) -> Position:
        """The end of what has been written: JSON values, for the checkpoint."""
        ...

    def truncate(self, position: Position | None) -> None:
        """Drop every record after `position`, or all of them where it is None.

        A sink that cannot take back what others have read does not write it again instead.

        Raises
        ------
        CheckpointError
            The sink holds less than it did at `position`.
        """
        ...

    def close(self) -> None:
        """Flush and release what is held; closing twice does no harm."""
        ...


def open_sink(url: str, **options: Any) -> Sink:
    r"""Return the sink that `url` names among the entry points ``fenchel_stream.sinks``.

    Parameters
    ----------
    url
        ``scheme:rest``; a path without a scheme is a file of JSON lines.
    options
        Passed to the sink as they are.

    Raises
    ------
    ConfigError
        No installed package provides the scheme, or the sink refuses its address.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from fenchel_stream.streams.sink import open_sink
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "predictions.jsonl")
    ...     sink = open_sink(f"jsonl:{path}")
    ...     sink.write([{"where": "flights.csv:2", "prediction": True}])
    ...     sink.close()
    ...     path.read_text()
    '{"where":"flights.csv:2","prediction":true}\n'
    """
    sink: Sink = open_url(url if ":" in url else f"jsonl:{url}", GROUP, **options)
    return sink
