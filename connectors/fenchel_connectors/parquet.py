"""The source that reads Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from fenchel_connectors.lines import check_file
from fenchel_connectors.positions import counts
from fenchel_stream.errors import CheckpointError, ConfigError, DataError
from fenchel_stream.streams.source import Batch, Position, Source

BLOCK = 1 << 16
"""Rows that are read at a time. It does not depend on the size of the row groups of the file."""


class ParquetSource(Source):
    """Rows of a Parquet file, with the types that the file gives its columns.

    The label of a record is its number (``flights.parquet:17`` is the 17th row).

    Parameters
    ----------
    address
        Path of the file.

    Raises
    ------
    ConfigError
        The file does not exist, cannot be read, or is not Parquet.

    Notes
    -----
    A position is the number of rows before the next one.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import polars as pl
    >>> from fenchel_connectors import ParquetSource
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "small.parquet")
    ...     pl.DataFrame({"delay": [12, None, 7]}).write_parquet(path)
    ...     first, second = ParquetSource(str(path)).batches(2)
    >>> first.rows["delay"].to_list(), second.where, second.position
    ([12, None], ['small.parquet:3'], {'row': 3})
    """

    def __init__(self, address: str) -> None:
        self.file = check_file(address, "parquet")
        try:
            self._rows = pl.scan_parquet(self.file, glob=False)
            self._total = int(self._rows.select(pl.len()).collect().item())
        except pl.exceptions.PolarsError as error:
            raise ConfigError(f"parquet: {address} is not a Parquet file: {error}") from error

    def batches(self, size: int, position: Position | None = None) -> Iterator[Batch]:
        """Yield batches of at most `size` records, from `position` or from the start.

        Raises
        ------
        DataError
            The file is damaged.
        CheckpointError
            `position` is not one of this file.
        """
        (row,) = [0] if position is None else counts(position, "row")
        if row > self._total:
            raise CheckpointError(
                f"{self.file.name}: has {self._total} rows, but the checkpoint was made after "
                f"{row}; the file is not the one that the checkpoint was made with"
            )
        step = max(BLOCK // size, 1) * size
        for start in range(row, self._total, step):
            try:
                block = self._rows.slice(start, step).collect()
            except pl.exceptions.PolarsError as error:
                raise DataError(
                    f"{self.file.name}: cannot be read beyond row {start}: {error}"
                ) from error
            for rows in block.iter_slices(size):
                end = row + rows.height
                where = [f"{self.file.name}:{number + 1}" for number in range(row, end)]
                yield Batch(rows, where, {"row": end}, fixed_columns=True)
                row = end

    @property
    def files(self) -> Sequence[Path]:
        return [self.file]

    @property
    def total(self) -> int:
        """Number of rows."""
        return self._total
