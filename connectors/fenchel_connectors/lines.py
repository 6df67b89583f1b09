"""Reads the lines of a file, plain or gzip, and knows the byte at which each begins.

The sources of CSV and of JSON lines use it.
"""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from fenchel_stream.errors import CheckpointError, ConfigError, DataError
from fenchel_stream.streams.source import RAW_LIMIT

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

    Attributes
    ----------
    offset
        The byte at which the first line not taken begins.
    line
        Number of lines taken.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.offset = 0
        self.line = 0
        self.name = name
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
        if isinstance(self._stream, io.BufferedReader) and _is_regular(self._stream):
            end = os.fstat(self._stream.fileno()).st_size
            self._stream.seek(offset)
            reached = offset if offset <= end else -1
        else:
            reached += self._discard(offset - reached)
        if reached != offset:
            raise CheckpointError(
                f"{self.name}: the position to resume from (line {line + 1}, byte {offset}) lies "
                f"outside the data; the file is not the one that the checkpoint was made with"
            )
        self._ahead.clear()
        self._sizes.clear()
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

    def _read(self, count: int) -> tuple[list[bytes], list[int]]:
        try:
            lines = list(islice(self._pieces, count))
            sizes = list(map(len, lines))
            if lines and max(sizes) >= LINE_LIMIT:
                lines, sizes = self._join(lines)
        except (EOFError, OSError, zlib.error) as error:
            raise DataError(
                f"{self.name}: cannot be read beyond line {self.line + len(self._ahead)}: {error}"
            ) from error
        if lines and self.offset == 0 and not self._ahead:
            lines[0] = lines[0].removeprefix(BOM)
        return lines, sizes

    def _join(self, pieces: list[bytes]) -> tuple[list[bytes], list[int]]:
        """Keep the first piece of each line, and read to the end of the last line."""
        lines: list[bytes] = []
        sizes: list[int] = []
        whole = True
        for piece in pieces:
            if whole:
                lines.append(piece)
                sizes.append(len(piece))
            else:
                sizes[-1] += len(piece)
            whole = piece.endswith(b"\n")
        while not whole and (piece := next(self._pieces, b"")):
            sizes[-1] += len(piece)
            whole = piece.endswith(b"\n")
        return lines, sizes

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
def open_lines(file: Path) -> Iterator[Lines]:
    """Open a file, unpacking it if it is gzip; a path ``-`` is standard input."""
    if str(file) == "-":
        yield Lines(sys.stdin.buffer, "stdin")
        return
    with io.BufferedReader(io.FileIO(file), CHUNK) as plain:
        if plain.peek(2)[:2] != GZIP_MAGIC:
            yield Lines(plain, file.name)
            return
        # GzipFile looks for line ends in Python code, and the buffer in C.
        with gzip.GzipFile(fileobj=plain) as packed:
            unpacked = io.BufferedReader(packed, CHUNK)
            yield Lines(unpacked, file.name)


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
