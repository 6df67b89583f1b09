"""The files that a run writes, and where each ended at its last checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from fenchel_stream.errors import CheckpointError, DataError
from fenchel_stream.streams.sink import Sink, open_sink

Marks = dict[str, dict[str, Any]]
"""For each output its URL and its position: JSON values, for the checkpoint."""


class Outputs:
    """The sinks of a run, open from `__enter__` to `__exit__`.

    Parameters
    ----------
    urls
        Of each output by name; None where there is none.
    options
        Passed to its sink, by the name of an output.

    Attributes
    ----------
    sinks
        Those that there are, by name.
    marks
        Where each output ended at the last checkpoint that it took part in. One that is left out
        for a while keeps its mark.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from fenchel_stream.runner.outputs import Outputs
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     urls = {"predictions": f"{folder}/p.jsonl", "rejects": None}
    ...     with Outputs(urls) as outputs:
    ...         marks = outputs.mark()
    ...         outputs.sinks["predictions"].write([{"prediction": True}])
    ...     with Outputs(urls) as outputs:
    ...         outputs.go_back(marks)
    ...     pathlib.Path(folder, "p.jsonl").read_text()
    True
    ''
    """

    def __init__(
        self,
        urls: Mapping[str, str | None],
        options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.urls = {name: url for name, url in urls.items() if url is not None}
        self.options = options or {}
        self.sinks: dict[str, Sink] = {}
        self.marks: Marks = {}
        self._held = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as held:
            for name, url in self.urls.items():
                self.sinks[name] = open_sink(url, **self.options.get(name, {}))
                held.callback(self.sinks[name].close)
            self._held = held.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._held.close()
        except (OSError, DataError):
            # What went wrong first says more than what cannot be written for that very reason.
            if error is None:
                raise

    def clear(self, marks: Marks | None = None) -> None:
        """Drop all that the outputs hold, or what came after the marks of a start that failed."""
        for name, sink in self.sinks.items():
            mark = (marks or {}).get(name, {})
            sink.truncate(mark["position"] if mark.get("url") == self.urls[name] else None)

    def go_back(self, marks: Marks) -> bool:
        """Drop what was written after a checkpoint, and return whether it has all the outputs.

        One that it does not have, or has at another URL, is left as it is and written on.

        Raises
        ------
        CheckpointError
            An output holds less than it did then.
        """
        self.marks = dict(marks)
        known = {name for name, mark in marks.items() if mark["url"] == self.urls.get(name)}
        for name in known:
            self.sinks[name].truncate(self.marks[name]["position"])
        return known == self.sinks.keys()

    def mark(self) -> Marks:
        """Return where all outputs end, once the disk has everything before.

        Raises
        ------
        CheckpointError
            The disk refuses.
        """
        for name, sink in self.sinks.items():
            try:
                sink.flush()
            except OSError as error:
                raise CheckpointError(f"{self.urls[name]}: {error.strerror}") from error
            self.marks[name] = {"url": self.urls[name], "position": sink.position}
        return self.marks
