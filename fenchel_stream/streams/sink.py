"""The contract of a sink: it takes records, and goes back to the position of a checkpoint.

Read this module to write a sink of your own. A run that dies after its last checkpoint has written
records that the resumed run writes again. A sink therefore knows its position, the checkpoint keeps
it, and `Sink.truncate` goes back to it, so that each prediction stands in the output once. A topic
cannot go back: its sink skips the records that the topic holds already.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from fenchel_stream.errors import ConfigError
from fenchel_stream.streams.source import Position


class RawRecord(NamedTuple):
    """A record as bytes: the label of its place, its value, and its key if it has one."""

    where: str
    value: bytes
    key: str | None


class Sink(ABC):
    """A place that takes records in order and can drop the last ones.

    Attributes
    ----------
    client_table
        Name of the table of a configuration that the sink takes as its option ``client``, such as
        options of a broker's client. Default None.
    shared
        Several runs may write to the same place, and each record has a key. The sink then takes
        the options ``writer``, which names the run, ``key``, the field that becomes the key of a
        record, and ``transactional``. Default False.
    """

    client_table: ClassVar[str | None] = None
    shared: ClassVar[bool] = False

    @abstractmethod
    def write(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Append the records. A file has them at once, a broker by the next `flush`.

        A sink keeps no record back in memory: at the end it might write the record although
        another run has taken over.
        """

    @abstractmethod
    def flush(self) -> None:
        """Return once everything written so far would outlive a crash of the machine."""

    @property
    @abstractmethod
    def position(self) -> Position:
        """The end of what has been written: JSON values, for the checkpoint."""

    @abstractmethod
    def truncate(self, position: Position | None) -> None:
        """Drop every record after `position`, or all records if it is None.

        A sink that cannot take back what others have read skips those records when they are
        written again.

        Raises
        ------
        CheckpointError
            The sink holds less than it did at `position`.
        """

    @abstractmethod
    def close(self) -> None:
        """Flush, and release files and connections; a second call does no harm."""

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
