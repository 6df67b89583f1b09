"""The source that reads comma-separated files, plain or gzip."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import polars as pl

from fenchel_connectors.lines import (
    LINE_LIMIT,
    Lines,
    check_file,
    check_finished,
    count_lines,
    open_lines,
    readable,
)
from fenchel_connectors.positions import counts
from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.streams.source import Batch, Position, Reject, Source

OPEN_LINES = 20
"""Lines at the end of a growing file that may belong to one record, whose quote is still open."""


class CsvSource(Source):
    r"""Rows of a CSV file with a header line, every column as text.

    The check of the rows decides later which texts are numbers. An empty field is a missing value.
    The label of a record is the physical line on which it begins (``flights.csv.gz:17``; the header
    is line 1). A blank line is not a record. A record is set aside, without its neighbours, when it
    is

    - ``ragged``: it has more or fewer fields than the header,
    - ``invalid_utf8``: it holds bytes that are not UTF-8,
    - ``nul``: it holds a NUL byte,
    - ``oversized``: a field is longer than the limit of Python's csv module (128 KiB), or the line
      longer than 16 MiB,
    - ``malformed``: a quote does not close within the same limits, or a character other than a
      delimiter follows a closing quote. Then only the line on which the record begins is set
      aside, and reading continues with the next line.

    Parameters
    ----------
    address
        Path of the file. Gzip is recognised by its content.
    delimiter
        One character.
    finished
        Whether nobody writes the file any more. If False, a last line without a line end or with an
        open quote is left for the next run, if there can be one, see `Source.growing`: half a class
        would be a class for ever.

    Raises
    ------
    ConfigError
        The file does not exist or cannot be read, or the delimiter is not one character.

    Notes
    -----
    A position is the byte in the unpacked file at which the next record begins, and the number of
    lines before it.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from fenchel_connectors import CsvSource
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "small.csv")
    ...     _ = path.write_text("delay,carrier\n12,UA\n,DL\n7\n")
    ...     batch = next(CsvSource(str(path)).batches(10))
    >>> batch.rows.rows(), batch.where
    ([('12', 'UA'), (None, 'DL')], ['small.csv:2', 'small.csv:3'])
    >>> batch.rejects[0].where, batch.rejects[0].reason, batch.rejects[0].raw
    ('small.csv:4', 'ragged', '7')
    """

    def __init__(self, address: str, *, delimiter: str = ",", finished: bool = False) -> None:
        self.file = check_file(address, "csv")
        self.finished = check_finished(finished, "csv")
        if type(delimiter) is not str or len(delimiter) != 1 or delimiter in '"\r\n\0':
            raise ConfigError(
                f"csv: the delimiter must be one character other than a quote, a line end and NUL, "
                f"not {delimiter!r}"
            )
        self.delimiter = delimiter

    def batches(self, size: int, position: Position | None = None) -> Iterator[Batch]:
        """Yield batches of at most `size` records, from `position` or from the start.

        Raises
        ------
        DataError
            The header cannot be used, or the file is damaged.
        CheckpointError
            `position` is not one of this file.
        """
        left = self.growing and not self.finished
        with open_lines(self.file, (lambda line: False) if left else None) as lines:
            columns = self._header(lines)
            if position is not None:
                lines.move_to(*counts(position, "offset", "line"))
            while True:
                first = lines.line + 1
                rows = self._take_good(lines, size, len(columns))
                starts: list[int] | range = range(first, lines.line + 1)
                rejects: list[Reject] = []
                if not rows:
                    rows, starts, rejects = self._take_each(lines, size, len(columns))
                    if not rows and not rejects:
                        return
                yield Batch(
                    _frame(columns, rows),
                    [f"{lines.name}:{line}" for line in starts],
                    {"offset": lines.offset, "line": lines.line},
                    rejects,
                    fixed_columns=True,
                )

    @property
    def files(self) -> Sequence[Path]:
        return [self.file]

    @cached_property
    def total(self) -> int | None:
        """Number of records; None if the file is large or has quotes."""
        count = count_lines(self.file, unless=b'"')
        return None if count is None else max(count - 1, 0)

    def _header(self, lines: Lines) -> list[str]:
        while (record := self._record(lines)) is not None:
            if record.fields or record.fault:
                break
        else:
            state = "the first line has no line end yet" if lines.unfinished else "is empty"
            raise DataError(f"{lines.name}: {state}; the first line must name the columns")
        columns = record.fields
        if record.fault:
            raise DataError(
                f"{lines.name}: the header cannot be read ({record.fault} {record.detail}): "
                f"{readable(record.raw)[:80]!r}"
            )
        repeated = sorted({name for name in columns if columns.count(name) > 1})
        if repeated:
            names = ", ".join(map(repr, repeated))
            raise DataError(f"{lines.name}: the header names {names} twice")
        return columns

    def _take_good(self, lines: Lines, size: int, width: int) -> list[list[str]]:
        """Take `size` records if each of the next lines is one good record; else take nothing."""
        raw = lines.peek(size)[:size]
        if not raw or max(map(len, raw)) >= LINE_LIMIT:
            return []
        joined = b"".join(raw)
        if b"\0" in joined:
            return []
        try:
            text = joined.removesuffix(b"\n").decode().split("\n")
            rows = list(csv.reader(text, delimiter=self.delimiter, strict=True))
        except (UnicodeDecodeError, csv.Error):
            return []
        # If a record spanned lines, there would be fewer records than lines. A quote that is open
        # at the end raises csv.Error.
        if len(rows) != len(raw) or set(map(len, rows)) != {width}:
            return []
        lines.take(len(raw))
        return rows

    def _take_each(
        self, lines: Lines, size: int, width: int
    ) -> tuple[list[list[str]], list[int], list[Reject]]:
        """Take `size` records one by one: good ones, the lines where they begin, and rejects."""
        rows: list[list[str]] = []
        starts: list[int] = []
        rejects: list[Reject] = []
        while len(rows) + len(rejects) < size:
            line, record = lines.line + 1, self._record(lines)
            if record is None:
                break
            fields, fault, detail, raw = record
            if not fault and fields and len(fields) != width:
                fault, detail = "ragged", f"{len(fields)} fields where the header has {width}"
            if fault:
                rejects.append(Reject(f"{lines.name}:{line}", fault, readable(raw), detail))
            elif fields:
                rows.append(fields)
                starts.append(line)
        return rows, starts, rejects

    def _record(self, lines: Lines) -> _Record | None:
        """Take the next record, which may be good, blank or faulty; None at the end."""
        taken = length = 0

        def feed() -> Iterator[str]:
            nonlocal taken, length
            while len(ahead := lines.peek(taken + 1)) > taken:
                line = ahead[taken]
                taken += 1
                length += len(line)
                if length >= LINE_LIMIT:
                    raise csv.Error(f"record larger than the limit ({LINE_LIMIT} bytes)")
                yield line.decode("utf-8", "surrogateescape")

        fields: list[str] = []
        fault = detail = ""
        try:
            fields = next(csv.reader(feed(), delimiter=self.delimiter, strict=True))
        except StopIteration:
            return None
        except csv.Error as error:
            # The rest of the record may be being written. Beyond `OPEN_LINES`, the quote counts as
            # a stray one.
            most = OPEN_LINES if lines.unfinished else 1
            if lines.leaves and "end of data" in str(error) and taken <= most:
                lines.leave(lines.line + 1)
                return None
            # After a stray quote the parser takes all lines up to the next quote, perhaps up to the
            # end of the file. So only the first line is set aside. The others are read again.
            fault = "oversized" if taken == 1 and "limit" in str(error) else "malformed"
            detail = str(error)
            taken = 1
        raw = b"".join(lines.peek(taken)[:taken])
        lines.take(taken)
        if not fault and b"\0" in raw:
            fault = "nul"
        if not fault:
            try:
                raw.decode()
            except UnicodeDecodeError as error:
                fault, detail = "invalid_utf8", f"byte {error.start} of the record: {error.reason}"
        return _Record(fields, fault, detail, raw)


class _Record(NamedTuple):
    fields: list[str]
    fault: str
    detail: str
    raw: bytes


def _frame(columns: list[str], rows: list[list[str]]) -> pl.DataFrame:
    values = [[text or None for text in row] if "" in row else row for row in rows]
    return pl.DataFrame(values, dict.fromkeys(columns, pl.String), orient="row")
