"""The contract of a sink: it takes records, and goes back to the position of a checkpoint.

Read this module to write a sink of your own.

A run may die after it has written records that no checkpoint covers. The resumed run writes these
records again. To prevent duplicates, each checkpoint keeps the position of the sink, and the
resumed run calls `Sink.truncate` with this position. A topic cannot be truncated: its sink skips
the records that the topic already holds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from fenchel_stream.errors import ConfigError
from fenchel_stream.streams.source import Position


class RawRecord(NamedTuple):
    """A record as bytes: its label, as in `Batch.where`, its value, and its key if it has one."""

    where: str
    value: bytes
    key: str | None


class Sink(ABC):
    """A place that takes records in order and can drop the last ones.

    Attributes
    ----------
    client_table
        Name of the configuration table that becomes the sink's option ``client``, for example the
        options of a broker's client. Default None.
    shared
        Whether several runs may write to the same place. Such a sink gives each record a key, and
        takes the options ``writer``, which names the run, ``key``, which names the field that
        becomes the key, and ``transactional``. Default False.
    """

    client_table: ClassVar[str | None] = None
    shared: ClassVar[bool] = False

    @abstractmethod
    def write(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Append the records. A file holds them on return, a broker after the next `flush`.

        A file's sink must not buffer records in memory. Otherwise it could write them at its end,
        although another run has taken over the file.
        """

    @abstractmethod
    def flush(self) -> None:
        """Make everything written so far survive a crash of the machine."""

    @property
    @abstractmethod
    def position(self) -> Position:
        """Where the written records end, as JSON values for the checkpoint."""

    @abstractmethod
    def truncate(self, position: Position | None) -> None:
        """Drop every record after `position`, or all records if it is None.

        A sink that cannot drop records, such as that of a topic, skips them instead when they are
        written again.

        Raises
        ------
        CheckpointError
            The sink holds less than it did at `position`.
        """

    @abstractmethod
    def close(self) -> None:
        """Flush, and release files and connections; a second call does no harm."""

    def on_outage(self, call: Callable[[float], None]) -> None:  # noqa: B027 - a default
        """Call a function about twice a second while the sink waits for a server that is away.

        Parameters
        ----------
        call
            Takes the seconds of the outage so far. It may raise an exception, which makes the sink
            give up.

        Notes
        -----
        The default does nothing, because a file never waits.
        """

    @classmethod
    def file(cls, address: str) -> Path | None:
        """Return the file that a sink at `address` writes; None by default, as for a topic."""
        return None

    @classmethod
    def resend(cls, address: str, records: Sequence[RawRecord], **options: Any) -> int:
        """Write raw records to `address`, each once, and return how many were new.

        Parameters
        ----------
        address
            As for the constructor.
        records
            Records that were set aside, mended or as they were.
        options
            ``client`` if the sink has a `client_table`.

        Raises
        ------
        ConfigError
            The sink cannot take raw records, which is the default, or `address` cannot be written.
        """
        raise ConfigError(f"{address}: {cls.__name__} cannot take raw records")
