"""Reads the lines of a file, plain or gzip, and knows the byte at which each begins.

The sources of CSV and of JSON lines use it.
"""

from __future__ import annotations

import gzip
import io
import logging
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice, repeat
from pathlib import Path
from typing import BinaryIO

from fenchel_stream.errors import CheckpointError, ConfigError, DataError
from fenchel_stream.streams.source import RAW_LIMIT

log = logging.getLogger(__name__)

LINE_LIMIT = 1 << 24
"""A line is cut to this number of bytes, and a record of this number or more is set aside. A file
without line ends must not fill the memory."""

CHUNK = 1 << 17
COUNTED = 1 << 24  # only a file of at most this many bytes is read to count its records
BOM = b"\xef\xbb\xbf"
GZIP_MAGIC = b"\x1f\x8b"


class Lines:
    """Lines of a stream, which can be peeked at before they are taken.

    Parameters
    ----------
    stream
        A binary stream at its first byte.
    name
        Name of the stream in messages.
    is_whole
        Whether a last line without a line end is a whole record. If it is not, the line is left for
        the next run, because a writer may be in the middle of it. None: each line is whole.

    Attributes
    ----------
    offset
        The byte at which the first line not taken begins.
    line
        Number of lines taken.
    leaves
        Whether a last line that may be incomplete is left for the next run.
    unfinished
        Whether there was such a line.
    """

    def __init__(
        self, stream: BinaryIO, name: str, is_whole: Callable[[bytes], bool] | None = None
    ) -> None:
        self.offset = 0
        self.line = 0
        self.name = name
        self.leaves = is_whole is not None
        self.unfinished = False
        self._left = 0
        self._is_whole = is_whole
        self._stream = stream
        self._pieces = iter(partial(stream.readline, LINE_LIMIT), b"")
        self._ahead: list[bytes] = []
        self._sizes: list[int] = []  # an overlong line is kept in part, but counts in full

    def peek(self, count: int) -> list[bytes]:
        """Return at least the next `count` lines, or fewer if the stream ends earlier.

        A line of `LINE_LIMIT` bytes or more is cut to that length.
        """
        while len(self._ahead) < count:
            lines, sizes = self._read(count - len(self._ahead))
            if not lines:
                break
            self._ahead += lines
            self._sizes += sizes
        return self._ahead

    def take(self, count: int) -> None:
        """Take the first `count` lines that `peek` has returned."""
        self.offset += sum(self._sizes[:count])
        self.line += count
        del self._ahead[:count], self._sizes[:count]

    def move_to(self, offset: int, line: int) -> None:
        """Move forward to the line at byte `offset`, which follows `line` lines.

        Raises
        ------
        CheckpointError
            The stream ends before `offset`.
        """
        reached = self.offset + sum(self._sizes)
        before = b"\n"  # the last byte before the position
        if isinstance(self._stream, io.BufferedReader) and _is_regular(self._stream):
            end = os.fstat(self._stream.fileno()).st_size
            self._stream.seek(max(offset - 1, 0))
            before = self._stream.read(min(offset, 1))
            reached = offset if offset <= end else -1
        elif offset > reached:
            reached += self._discard(offset - reached - 1)
            before = self._stream.read(1)
            reached += len(before)
        if reached != offset:
            raise CheckpointError(
                f"{self.name}: the position to resume from (line {line + 1}, byte {offset}) lies "
                f"outside the data; the file is not the one that the checkpoint was made with"
            )
        self._ahead.clear()
        self._sizes.clear()
        if before not in {b"", b"\n"}:
            offset += self._pass_line_end()
        self.offset, self.line = offset, line

    def skip(self, line: int) -> None:
        """Take lines until `line` lines have been taken. Standard input has no other position.

        Raises
        ------
        CheckpointError
            The stream has fewer lines.
        """
        while self.line < line:
            count = len(self.peek(min(line - self.line, 4096))[: line - self.line])
            if not count:
                raise CheckpointError(
                    f"{self.name}: ends after {self.line} lines, but the checkpoint was made after "
                    f"{line}; send the stream again from its beginning"
                )
            self.take(count)

    def leave(self, number: int) -> None:
        """Take note that the lines from this number on are left for the next run."""
        if number != self._left:
            log.warning(
                "%s:%d: the last record, which begins here, may be incomplete, because its line "
                "end or its closing quote is missing; it is left for the next run (where the file "
                "is finished, set source.options.finished = true)",
                self.name,
                number,
            )
        self.unfinished, self._left = True, number

    def _read(self, count: int) -> tuple[list[bytes], list[int]]:
        try:
            lines = list(islice(self._pieces, count))
            sizes = list(map(len, lines))
            ended = all(map(bytes.endswith, lines, repeat(b"\n")))
            if lines and (not ended or max(sizes) >= LINE_LIMIT):
                lines, sizes, ended = self._join(lines)
        except (EOFError, OSError, zlib.error) as error:
            raise DataError(
                f"{self.name}: cannot be read beyond line {self.line + len(self._ahead)}: {error}"
            ) from error
        if lines and self.offset == 0 and not self._ahead:
            lines[0] = lines[0].removeprefix(BOM)
        if not ended and self._is_whole is not None and not self._is_whole(lines[-1]):
            if lines.pop().strip():
                self.leave(self.line + len(self._ahead) + len(lines) + 1)
            self.unfinished = True
            sizes.pop()
        return lines, sizes

    def _join(self, pieces: list[bytes]) -> tuple[list[bytes], list[int], bool]:
        """Join the pieces of each line, and read to the end of the last line.

        A line comes in pieces if it is overlong, or if the end of the stream was in the middle of
        it for a moment.

        Returns
        -------
        lines, sizes
            The lines, the overlong ones cut, and their full sizes.
        ended
            Whether the last line has a line end.
        """
        lines: list[bytes] = []
        sizes: list[int] = []
        ended = True
        while pieces:
            for piece in pieces:
                if ended:
                    lines.append(piece)
                    sizes.append(len(piece))
                else:
                    lines[-1] += piece[: LINE_LIMIT - len(lines[-1])]
                    sizes[-1] += len(piece)
                ended = piece.endswith(b"\n")
            pieces = [] if ended else list(islice(self._pieces, 1))
        return lines, sizes, ended

    def _pass_line_end(self) -> int:
        """Pass over the end of a line that had none when it was taken; return its bytes."""
        ahead = self._stream.peek(2)[:2] if isinstance(self._stream, io.BufferedReader) else b""
        end = next((end for end in (b"\n", b"\r\n") if ahead.startswith(end)), b"")
        return len(self._stream.read(len(end)))

    def _discard(self, count: int) -> int:
        left = count
        while left > 0 and (chunk := self._stream.read(min(left, CHUNK))):
            left -= len(chunk)
        return count - left


def check_file(path: str, scheme: str) -> Path:
    """Return `path` if it is a file that can be read.

    Raises
    ------
    ConfigError
        The file does not exist, is a folder, or may not be read.
    """
    file = Path(path)
    if not path:
        raise ConfigError(f"{scheme}: needs a path, as in {scheme}:data.{scheme}")
    if not file.exists():
        raise ConfigError(f"{scheme}: no such file: {path}")
    if file.is_dir():
        raise ConfigError(f"{scheme}: {path} is a folder, not a file")
    if not os.access(file, os.R_OK):
        raise ConfigError(f"{scheme}: {path} may not be read by this user")
    return file


@contextmanager
def open_lines(file: Path, is_whole: Callable[[bytes], bool] | None = None) -> Iterator[Lines]:
    """Open a file, unpacking it if it is gzip; a path ``-`` is standard input.

    `Lines` describes `is_whole`.
    """
    if str(file) == "-":
        yield Lines(sys.stdin.buffer, "stdin", is_whole)
        return
    with io.BufferedReader(io.FileIO(file), CHUNK) as plain:
        if plain.peek(2)[:2] != GZIP_MAGIC:
            yield Lines(plain, file.name, is_whole)
            return
        # GzipFile looks for line ends in Python code, and the buffer in C.
        with gzip.GzipFile(fileobj=plain) as packed:
            unpacked = io.BufferedReader(packed, CHUNK)
            yield Lines(unpacked, file.name, is_whole)


def check_finished(finished: bool, scheme: str) -> bool:
    """Return the option `finished` of a source if it is true or false.

    Raises
    ------
    ConfigError
        It is something else.
    """
    if type(finished) is not bool:
        raise ConfigError(f"{scheme}: finished must be true or false, not {finished!r}")
    return finished


def count_lines(file: Path, unless: bytes | None = None) -> int | None:
    """Return the number of lines that are not blank; None for a large file.

    The result is also None if a line holds the bytes `unless`, because such a line may be only a
    part of a record.
    """
    if not file.is_file() or file.stat().st_size > COUNTED:
        return None
    count = 0
    with open_lines(file) as lines:
        while ahead := lines.peek(4096):
            if unless is not None and any(unless in line for line in ahead):
                return None
            count += sum(1 for line in ahead if line.strip())
            lines.take(len(ahead))
    return count


def readable(raw: bytes) -> str:
    """Return the bytes of a rejected record as text, with escapes for bytes that are not UTF-8."""
    return raw[:RAW_LIMIT].decode("utf-8", "backslashreplace").rstrip("\r\n")[:RAW_LIMIT]


def _is_regular(stream: io.BufferedReader) -> bool:
    return isinstance(stream.raw, io.FileIO) and stream.seekable()
