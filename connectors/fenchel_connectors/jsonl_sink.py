"""The sink that writes records, such as predictions and rejects, as JSON lines."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from fenchel_connectors.encoding import encode
from fenchel_connectors.positions import counts
from fenchel_stream.errors import CheckpointError, ConfigError
from fenchel_stream.files import open_locked, replace
from fenchel_stream.streams.sink import RawRecord, Sink
from fenchel_stream.streams.source import Position

STDOUT = ("-", "/dev/stdout")


class JsonlSink(Sink):
    r"""A file to which records are appended, one JSON object a line.

    A new run calls ``truncate(None)``. A resumed run calls ``truncate`` with the position of its
    checkpoint, which drops the lines of the batches that it will learn again. NaN and infinities
    are written as null. Keys that are not text are written as text (True as ``"true"``). While the
    sink is open, no other can open the same file.

    Parameters
    ----------
    address
        Path of the file, which must not be a link. The file and its folder are made if they do not
        exist. ``-`` is standard output. Lines in a pipe cannot be dropped, so that a resumed run
        writes some of them again.

    Raises
    ------
    ConfigError
        The file cannot be written, or another process writes it.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from fenchel_connectors import JsonlSink
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "predictions.jsonl")
    ...     sink = JsonlSink(str(path))
    ...     sink.write([{"where": "a.csv:2", "proba": {False: 0.75, True: 0.25}}])
    ...     kept = sink.position
    ...     sink.write([{"where": "a.csv:3"}])
    ...     sink.truncate(kept)
    ...     sink.close()
    ...     path.read_text(), kept
    ('{"where":"a.csv:2","proba":{"false":0.75,"true":0.25}}\n', {'bytes': 55})
    """

    def __init__(self, address: str) -> None:
        if not address:
            raise ConfigError("jsonl: needs a path, as in jsonl:predictions.jsonl")
        self.path = Path(address)
        self._streams = address in STDOUT or self.path.is_fifo() or self.path.is_char_device()
        try:
            if address in STDOUT:
                if fcntl.fcntl(1, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
                    raise ConfigError("jsonl: standard output is closed")
                self._file: IO[bytes] = os.fdopen(os.dup(1), "wb")
            elif self._streams:
                self._file = self.path.open("wb")
            else:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = open_locked(self.path)
        except OSError as error:
            raise ConfigError(f"jsonl: {address} cannot be written: {error.strerror}") from error

    def write(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Append one line per record, and hand all lines to the operating system."""
        self._file.write(b"".join([encode(row) + b"\n" for row in records]))
        self._file.flush()

    def flush(self) -> None:
        """Return once everything written so far is on the disk or in the pipe."""
        self._file.flush()
        if not self._streams:
            os.fsync(self._file.fileno())

    @property
    def position(self) -> Position:
        """The length of the file."""
        return {"bytes": 0 if self._streams else self._file.tell()}

    def truncate(self, position: Position | None) -> None:
        """Drop every line after `position`, or all lines if it is None.

        Lines in standard output or another pipe stay.

        Raises
        ------
        CheckpointError
            The file is shorter than it was at `position`.
        """
        if self._streams:
            return
        (keep,) = [0] if position is None else counts(position, "bytes")
        self._file.flush()
        size = os.fstat(self._file.fileno()).st_size
        if size < keep:
            raise CheckpointError(
                f"{self.path}: holds {size} bytes, but the checkpoint was made when it held "
                f"{keep}; restore the file, or start afresh"
            )
        self._file.truncate(keep)
        self._file.seek(keep)

    def close(self) -> None:
        """Flush and close the file; closing twice does no harm."""
        if not self._file.closed:
            try:
                self.flush()
            finally:
                self._file.close()

    @classmethod
    def file(cls, address: str) -> Path | None:
        return None if address in STDOUT else Path(address)

    @classmethod
    def resend(cls, address: str, records: Sequence[RawRecord], **options: Any) -> int:
        """Write the values of all records to a file, one a line.

        The file may hold some of them already, from an earlier call.

        Raises
        ------
        ConfigError
            The file holds anything else, or cannot be written.
        """
        path = Path(address)
        lines = [record.value + b"\n" for record in records]
        try:
            if path.exists() and not set(_lines(path)).issubset(lines):
                raise ConfigError(
                    f"{path} exists and holds other records, which would be lost: remove it, or "
                    "name another file"
                )
            replace(path, b"".join(lines))
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
        return len(records)


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True) if path.is_file() else []
