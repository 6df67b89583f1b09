"""The files of a run: which it reads, which it writes, and which of these it may begin anew.

A run that begins anew empties its outputs. So it must be certain that a file that exists is an
output of an earlier run, and no other file of this one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from mmap import ACCESS_READ, mmap
from pathlib import Path

from fenchel_stream.checkpoint.numbered import is_reserved
from fenchel_stream.errors import ConfigError
from fenchel_stream.evaluation.result import MARKED, is_plot
from fenchel_stream.files import identity, is_special
from fenchel_stream.runner.config import Config
from fenchel_stream.streams.registry import sink_file

FIELDS = {
    "output.predictions": {"where", "prediction", "model"},
    "output.rejects": {"where", "reason", "raw", "detail"},
}
"""Fields by which a record in a file of outputs is known to be one of ours."""

_BEGINS = b'{"where":'
_HEAD = 1 << 16  # bytes of a file that are looked at


def written_files(config: Config) -> dict[str, Path]:
    """Return the files that a run writes, by the keys that name them.

    Raises
    ------
    ConfigError
        No installed package provides the scheme of an output.

    Examples
    --------
    >>> from fenchel_stream.runner.config import parse
    >>> from fenchel_stream.runner.files import written_files
    >>> source = {"url": "river:Phishing", "target": "target"}
    >>> written_files(parse({"source": source, "output": {"predictions": "p.jsonl"}}))
    {'output.predictions': PosixPath('p.jsonl')}
    """
    output = config.output
    urls = {"output.predictions": output.predictions, "output.rejects": output.rejects}
    files = {key: sink_file(url) for key, url in urls.items() if url is not None}
    if output.plot is not None:
        files["output.plot"] = Path(output.plot)
    return {key: path for key, path in files.items() if path is not None}


def check_files(config: Config, reads: Mapping[str, Iterable[Path]]) -> None:
    """Make sure that a run destroys no file but outputs of earlier runs.

    Parameters
    ----------
    config
        The configuration of the run.
    reads
        Files that the run reads, by what messages call them.

    Raises
    ------
    ConfigError
        Two of the files are one, however they are spelt or linked; an output is in a checkpoint,
        or exists and is not the output of a run.
    """
    used = {identity(path): name for name, paths in reads.items() for path in paths}
    for key, path in written_files(config).items():
        if key == "output.plot" and path.suffix[1:].lower() not in MARKED:
            raise ConfigError(f"{key} {path}: the suffix must be one of {', '.join(MARKED)}")
        if is_special(path):
            continue  # a pipe or a device loses nothing, and a folder is refused when it is opened
        other = used.setdefault(identity(path), key)
        # The second of two sinks finds the lock of the first, however the file system spells it.
        if other != key and not {key, other} <= FIELDS.keys():
            raise ConfigError(f"{key}: {path} is the file of {other} too: name another file")
        if any(is_reserved(directory, path) for directory in _directories(config)):
            raise ConfigError(f"{key}: {path} is among the checkpoints: name another file")
        if not _is_ours(key, path):
            raise ConfigError(
                f"{key}: {path} exists and is no output of a run; it would be overwritten: "
                "move it away, or name another file"
            )
        if key == "output.rejects" and _is_mended(path):
            raise ConfigError(
                f"{key}: {path} holds letters that somebody has mended; they would be lost: "
                "move it away, or name another file"
            )


def _directories(config: Config) -> list[Path]:
    """Return the directories of checkpoints that a run reads or writes."""
    settings = config.checkpoint
    if settings is None:
        return []
    start = [] if settings.start is None else [Path(settings.start).parent]
    return [Path(settings.directory), *start]


def _is_mended(path: Path) -> bool:
    """Return whether a file of dead letters holds corrections, which no run writes."""
    try:
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            # Within the text of a record, a backslash would stand before the second quote.
            return re.search(rb'"mended"\s*:', content) is not None
    except (OSError, ValueError):  # it does not exist, or is empty
        return False


def _is_ours(key: str, path: Path) -> bool:
    """Return whether a file is empty, does not exist, or was written by a run for this `key`."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError as error:
        raise ConfigError(f"{key}: {path} cannot be read: {error.strerror}") from error
    if not head:
        return True
    if key not in FIELDS:
        return is_plot(path)
    line, end, _ = head.partition(b"\n")
    if not end:  # long, or cut off when a process was killed
        return line.startswith(_BEGINS) or _BEGINS.startswith(line)
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(record, dict) and FIELDS[key] <= record.keys()
