"""The source that reads JSON lines from a file, plain or gzip, or from standard input."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from fenchel_connectors.decoding import decode, decode_all
from fenchel_connectors.lines import (
    Lines,
    check_file,
    check_finished,
    count_lines,
    open_lines,
    readable,
)
from fenchel_connectors.positions import counts
from fenchel_connectors.records import to_frame
from fenchel_stream.errors import ConfigError
from fenchel_stream.streams.source import Batch, Position, Reject, Source

_INCOMPLETE = {"malformed", "too_deep", "invalid_utf8", "oversized"}
_ARRAY = re.compile(rb"\[\s*(\{.*)?", re.DOTALL)


class JsonlSource(Source):
    r"""Rows of a file with one JSON object a line.

    A batch has the union of the keys of its rows, null where a row lacks a key. Nested objects,
    lists and columns of mixed types stay in the frame as Python objects: a row is not rejected for
    a nested column that is ignored. The label of a record is its physical line
    (``events.jsonl:17``, ``stdin:17``; the first is line 1). A blank line is not a record. A line
    is set aside, without its neighbours, when it is

    - ``malformed``: not JSON,
    - ``invalid_utf8``: not UTF-8,
    - ``too_deep``: nested more than about a thousand times,
    - ``non_finite``: it holds NaN, Infinity or a number too large for a float,
    - ``non_object``: it is JSON, but not an object,
    - ``duplicate_keys``: an object in it has a key twice, so that its value is ambiguous,
    - ``oversized``: longer than 16 MiB.

    Parameters
    ----------
    address
        Path of the file, or ``-`` for standard input. Gzip is recognised by its content.
    finished
        Whether nobody writes the file any more. If False, a last line that is neither a JSON object
        nor ended by a line end is left for the next run, if there can be one, see `Source.growing`.

    Raises
    ------
    ConfigError
        The file does not exist, cannot be read or is a JSON array, or standard input is closed.

    Notes
    -----
    A position is the byte in the unpacked file at which the next line begins, and the number of
    lines before it. A position in standard input is a number of lines only. To resume, send the
    same stream from its beginning: the source skips the lines that the run has learnt. A batch of
    standard input comes when `size` records have arrived or the stream has ended.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from fenchel_connectors import JsonlSource
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "small.jsonl")
    ...     _ = path.write_text('{"a": 1}\n{"a": 2, "b": "x"}\n[3]\n')
    ...     batch = next(JsonlSource(str(path)).batches(10))
    >>> batch.rows.rows(), batch.where
    ([(1, None), (2, 'x')], ['small.jsonl:1', 'small.jsonl:2'])
    >>> batch.rejects[0].where, batch.rejects[0].reason
    ('small.jsonl:3', 'non_object')
    """

    def __init__(self, address: str, *, finished: bool = False) -> None:
        self.finished = check_finished(finished, "jsonl")
        self.waits = address == "-"
        if self.waits and sys.stdin is None:
            raise ConfigError("jsonl: standard input is closed")
        self.file = Path(address) if self.waits else check_file(address, "jsonl")

    def batches(self, size: int, position: Position | None = None) -> Iterator[Batch]:
        """Yield batches of at most `size` records, from `position` or from the start.

        Raises
        ------
        DataError
            The file is damaged.
        CheckpointError
            `position` is not one of this file.
        """
        left = self.growing and not self.finished
        with open_lines(self.file, _is_whole if left else None) as lines:
            if position is not None and self.waits:
                lines.skip(*counts(position, "line"))
            elif position is not None:
                lines.move_to(*counts(position, "offset", "line"))
            else:
                _refuse_array(lines)
            while True:
                first = lines.line + 1
                rows, raw = _take_good(lines, size)
                numbers: list[int] | range = range(first, lines.line + 1)
                rejects: list[Reject] = []
                if not rows:
                    rows, raw, numbers, rejects = _take_each(lines, size)
                    if not rows and not rejects:
                        return
                here = {"line": lines.line}
                yield Batch(
                    to_frame(rows),
                    [f"{lines.name}:{number}" for number in numbers],
                    here if self.waits else {"offset": lines.offset, **here},
                    rejects,
                    originals=raw,
                )

    @property
    def files(self) -> Sequence[Path]:
        return [Path("/dev/stdin") if self.waits else self.file]

    @cached_property
    def total(self) -> int | None:
        """Number of records; None if the file is large or standard input."""
        return None if self.waits else count_lines(self.file)


def _is_whole(line: bytes) -> bool:
    """Return whether nothing can be missing at the end of a line: it is an object or an array."""
    return line.rstrip().endswith((b"}", b"]")) and decode(line)[1] not in _INCOMPLETE


def _refuse_array(lines: Lines) -> None:
    """Raise ConfigError if a stream begins with a JSON array over several lines."""
    first = next((line.strip() for line in lines.peek(1)[:1]), b"")
    if _ARRAY.fullmatch(first) and decode(first)[1] != "non_object":
        raise ConfigError(
            f"{lines.name}: begins with a JSON array; JSON lines have one object a line, into "
            "which jq -c '.[]' turns an array"
        )


def _take_good(lines: Lines, size: int) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Take `size` records if each of the next lines is a good record; else take nothing."""
    raw = lines.peek(size)[:size]
    rows = decode_all(raw)
    lines.take(len(rows))
    return rows, raw


def _take_each(
    lines: Lines, size: int
) -> tuple[list[dict[str, Any]], list[bytes], list[int], list[Reject]]:
    """Take `size` records one by one: good ones, their bytes and lines, and rejects."""
    rows: list[dict[str, Any]] = []
    originals: list[bytes] = []
    numbers: list[int] = []
    rejects: list[Reject] = []
    while len(rows) + len(rejects) < size and (ahead := lines.peek(1)):
        raw = ahead[0]
        lines.take(1)
        if not raw.strip():
            continue
        row, fault, detail = decode(raw)
        if fault:
            where = f"{lines.name}:{lines.line}"
            rejects.append(Reject(where, fault, readable(raw), detail, raw))
        else:
            rows.append(row)
            originals.append(raw)
            numbers.append(lines.line)
    return rows, originals, numbers, rejects
