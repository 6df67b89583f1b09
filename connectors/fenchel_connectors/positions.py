"""Reads a position that a checkpoint has kept."""

from __future__ import annotations

from fenchel_stream.errors import CheckpointError
from fenchel_stream.streams.source import Position


def counts(position: Position, *keys: str) -> list[int]:
    """Return the non-negative integers that `position` holds under `keys`.

    Raises
    ------
    CheckpointError
        One is missing or is not such an integer: another kind of source made the position.

    Examples
    --------
    >>> from fenchel_connectors.positions import counts
    >>> counts({"offset": 120, "line": 4}, "offset", "line")
    [120, 4]
    """
    values = [position.get(key) for key in keys]
    numbers = [value for value in values if type(value) is int and value >= 0]
    if len(numbers) < len(keys):
        raise CheckpointError(
            f"the position {dict(position)} has no usable {' and '.join(map(repr, keys))}: "
            f"it was made by another kind of source; resume with that source or start afresh"
        )
    return numbers
