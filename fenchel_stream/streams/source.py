"""The contract of a source: batches of rows, each with a position from which reading can resume.

Read this module to write a source of your own. `fenchel_stream.streams.registry` finds the class
of a source by the scheme of a URL.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import polars as pl

Position = Mapping[str, Any]
"""Where a source resumes after a batch: JSON values only. Only the source knows their meaning."""

RAW_LIMIT = 65_536
"""Largest number of characters of `Reject.raw`: a broken file can be one huge line."""


@dataclass(frozen=True)
class Reject:
    """A record that is set aside: where it stood, why it cannot be learnt, and its content.

    Attributes
    ----------
    where
        How a person finds the record, as in `Batch.where`.
    reason
        One word for the fault, by which rejects are counted.
    raw
        The record as text for people. It may be cut, and unreadable bytes may be replaced.
    detail
        The exact fault.
    original
        The bytes of the record; None if the source does not know them.
    key
        The key of the record in its topic; None if it has none.
    """

    where: str
    reason: str
    raw: str
    detail: str = ""
    original: bytes | None = None
    key: bytes | None = None


@dataclass(frozen=True)
class Batch:
    """Some consecutive records of a stream.

    Attributes
    ----------
    rows
        The records that could be decoded, one row each, target columns included.
    where
        One label for each row of `rows` (``"flights.csv:17"``), by which a person finds the record.
    position
        Where the source resumes after this batch.
    rejects
        The records of this batch that could not be decoded.
    fixed_columns
        Whether every batch of the stream has the same columns, as after the header of a CSV file.
        A column that is missing here is then missing everywhere.
    keys
        The key that each record has beside its value, as text; null for a record without a key.
        None if the source has no keys.
    times
        The time that each record has beside its value, in seconds since 1970 (Float64); null for a
        record without a time. None if the source has no times.
    originals
        The bytes from which each row was decoded. A row that is set aside later needs them. None if
        the source does not know them.
    """

    rows: pl.DataFrame
    where: list[str]
    position: Position
    rejects: list[Reject] = field(default_factory=list)
    fixed_columns: bool = False
    keys: pl.Series | None = None
    times: pl.Series | None = None
    originals: Sequence[bytes] | None = None

    @property
    def records(self) -> int:
        """Number of records, those that could not be decoded included."""
        return len(self.where) + len(self.rejects)


class Source(ABC):
    """A stream of records that can be read again from any position that it has given.

    A subclass defines `batches`; everything else has a default that suits a file.

    Attributes
    ----------
    live
        Whether the source has no end, such as a topic of a broker. While no record arrives, its
        `batches` yields a batch without records about twice a second and never blocks for longer.
        The first batch has no records. Its position says where reading begins, which may depend on
        the moment. Default False.
    waits
        Whether `batches` may block for ever and the source cannot be read a second time, such as
        standard input. Default False.
    deterministic
        Whether the batches depend on the records alone, never on the moment at which they arrive.
        A reader of two streams then waits for the next batch of this source before it goes on with
        the other. Default False.
    growing
        Whether a later run goes on where this one ends, so that a source can leave a last record to
        it that may still be being written. The runner sets it for a run with checkpoints. Default
        False.
    client_table
        Name of the configuration table that becomes the source's option ``client``, for example
        the options of a broker's client. Default None.

    Examples
    --------
    >>> import polars as pl
    >>> from fenchel_stream.streams import Batch, Source
    >>> class Squares(Source):
    ...     def batches(self, size, position=None):
    ...         for n in range(position["next"] if position else 0, 3):
    ...             rows = pl.DataFrame({"square": [n * n]})
    ...             yield Batch(rows, [f"squares:{n}"], {"next": n + 1})
    >>> with Squares().reading(1, {"next": 1}) as batches:
    ...     [batch.rows["square"][0] for batch in batches]
    [1, 4]
    """

    client_table: ClassVar[str | None] = None
    live: bool = False
    waits: bool = False
    deterministic: bool = False
    growing: bool = False

    @abstractmethod
    def batches(self, size: int, position: Position | None = None) -> Iterator[Batch]:
        """Yield batches of at most `size` records, from `position` or from the start.

        Decoded and undecodable records count together towards `size`. The batches then depend on
        the stream alone, and a resumed run gets the same batches as an uninterrupted run.
        """

    @property
    def total(self) -> int | None:
        """Number of records for the progress bar; None if it is unknown or costly to know."""
        return None

    @property
    def files(self) -> Sequence[Path]:
        """Files that the source reads, none by default. A run must not write to them."""
        return ()

    @property
    def outage_seconds(self) -> float:
        """Seconds for which the source has waited for a server that is away; 0 by default."""
        return 0.0

    def saved(self, position: Position) -> None:  # noqa: B027 - most sources have nothing to do
        """Take note that a checkpoint holds everything before `position`.

        The default does nothing. An implementation logs its failures: they must not end a run.
        """

    def partitions(self) -> Mapping[str, Mapping[str, Any]]:
        """Return partitions of the stream that separate models can learn.

        Returns
        -------
        partitions
            For each partition its name and the options of a source of that partition alone. The
            default is empty: the stream has no partitions.
        """
        return {}

    @contextmanager
    def reading(self, size: int, position: Position | None = None) -> Iterator[Iterator[Batch]]:
        """Yield the iterator of `batches`, and close it at the end of the ``with`` block.

        A generator that is closed releases its file, or tells its broker that it leaves. Without
        this block, only the garbage collector would close it, at some later time.
        """
        batches = iter(self.batches(size, position))
        try:
            yield batches
        finally:
            if isinstance(batches, Generator):
                batches.close()
