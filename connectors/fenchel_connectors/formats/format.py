"""What a format is: the way from the bytes of a value to a row, or to the reason why there is none.

A new format is a subclass of `Format`; `fenchel_connectors.formats.choice` gives it a name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

Decoded = tuple[dict[str, Any], str, str]
"""A row, and where there is none, the reason in a word and in detail."""

OTHER_FORMAT = "other_format"
"""The reason of a value that is in another format than the configuration says."""

MAGIC = b"\0"
"""The first byte of a value in the wire format of schema registries. The number of its schema
follows in four bytes, the most significant one first."""

HEADER = 5
"""Bytes before the value itself: the magic byte and the number of the schema."""


class Format(ABC):
    """Makes rows of the values of a topic."""

    def begin(self, fresh: bool) -> None:  # noqa: B027 - most formats need nothing
        """Prepare to decode a stream.

        Parameters
        ----------
        fresh
            No run has read the stream before. What does not answer is then an error at once; later
            it is waited for.

        Raises
        ------
        UnavailableError
            The stream is fresh, and a server that the format needs does not answer.
        """

    def ready(self, values: Sequence[bytes | None]) -> bool:
        """Return at once whether the values can be decoded now.

        While it returns False, the format gets what it needs in the background.

        Raises
        ------
        ConfigError
            What the format needs cannot be had.
        """
        return True

    @property
    def outage_seconds(self) -> float:
        """For how long `ready` has waited for a server that is away; 0 while it does not."""
        return 0.0

    @abstractmethod
    def decode_all(self, values: Sequence[bytes]) -> list[dict[str, Any]]:
        """Return the rows if that can be done at once, and an empty list otherwise.

        `decode` is asked for each value then, and says which are at fault.
        """

    @abstractmethod
    def decode(self, value: bytes) -> Decoded:
        """Return the row that a value holds, or why there is none."""

    def close(self) -> None:  # noqa: B027 - most formats hold nothing
        """Let go of what `ready` has begun. The format can be used again afterwards."""
