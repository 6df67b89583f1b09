"""The source that reads a Python iterable of records or of frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

import narwhals as nw
import polars as pl

from fenchel_connectors.positions import counts
from fenchel_connectors.records import to_frame
from fenchel_stream.errors import CheckpointError, ConfigError, DataError
from fenchel_stream.streams.source import RAW_LIMIT, Batch, Position, Reject, Source


class IterableSource(Source):
    """Rows of a Python iterable.

    Its items are ``(x, y)`` pairs as River's data sets yield them, or dicts that include the
    target, or frames of any eager narwhals backend (polars, pandas, pyarrow). A `y` that is a dict
    becomes one column per output; any other `y` becomes the column `target`. Any other item is set
    aside as ``non_object``. A frame is cut into batches; a batch never spans two frames. NaN in a
    pandas frame is a missing value.

    Parameters
    ----------
    iterable
        The items, or one frame, or a callable that returns a new iterator at every call. Reading
        starts at the first item each time. To resume a run, pass the same items again: the source
        skips those that the run has learnt. Make a one-shot iterator anew before you resume.
    target
        Name of the column for a `y` that is not a dict.
    name
        Name in labels and messages: the third record is ``iterable:3``.

    Raises
    ------
    ConfigError
        `iterable` is text, or cannot be iterated over.

    Notes
    -----
    A position is the number of records (in frames: rows) before the next one.

    Examples
    --------
    >>> from fenchel_connectors import IterableSource
    >>> source = IterableSource([({"a": 1.5}, True), ({"a": 2.5, "b": 1}, False)])
    >>> batch = next(source.batches(10))
    >>> batch.rows.rows(), batch.where
    ([(1.5, True, None), (2.5, False, 1)], ['iterable:1', 'iterable:2'])
    """

    def __init__(
        self,
        iterable: Iterable[Any] | Callable[[], Iterable[Any]],
        *,
        target: str = "target",
        name: str = "iterable",
    ) -> None:
        items = [iterable] if _is_frame(iterable) else iterable
        if isinstance(items, (str, bytes)) or not (callable(items) or isinstance(items, Iterable)):
            raise ConfigError(
                f"iterable: {iterable!r} holds no records; this source reads Python objects, and "
                f"csv:, jsonl: or parquet: read a file"
            )
        self.iterable = items
        self.target = target
        self.name = name

    def batches(self, size: int, position: Position | None = None) -> Iterator[Batch]:
        """Yield batches of at most `size` records, from `position` or from the start.

        Raises
        ------
        DataError
            A record has a feature with the name of the target.
        CheckpointError
            `position` is not that of an iterable, or lies beyond its end.
        """
        (done,) = [0] if position is None else counts(position, "record")
        items = iter(self.iterable() if callable(self.iterable) else self.iterable)
        for first in items:
            items = chain([first], items)
            if _is_frame(first):
                yield from self._cut(items, size, done)
            else:
                yield from self._gather(items, size, done)
            return
        self._check_end(0, done)

    @property
    def total(self) -> int | None:
        """Number of records; None if the items are not a list or another sequence."""
        if not isinstance(self.iterable, Sequence):
            return None
        if self.iterable and _is_frame(self.iterable[0]):
            return sum(map(len, self.iterable))
        return len(self.iterable)

    def _gather(self, items: Iterator[Any], size: int, done: int) -> Iterator[Batch]:
        self._check_end(sum(1 for _ in islice(items, done)), done)
        while chunk := list(islice(items, size)):
            rows: list[dict[Any, Any]] = []
            where: list[str] = []
            rejects: list[Reject] = []
            for number, item in enumerate(chunk, done + 1):
                label = f"{self.name}:{number}"
                row = self._row(item, label)
                if row is None:
                    detail = f"{type(item).__name__} where a dict or a pair (x, y) belongs"
                    rejects.append(Reject(label, "non_object", repr(item)[:RAW_LIMIT], detail))
                else:
                    rows.append(row)
                    where.append(label)
            done += len(chunk)
            yield Batch(to_frame(rows), where, {"record": done}, rejects)

    def _row(self, item: Any, label: str) -> dict[Any, Any] | None:
        match item:
            case Mapping():
                return dict(item)
            case (Mapping() as x, y):
                targets = y if isinstance(y, Mapping) else {self.target: y}
                if shared := x.keys() & targets.keys():
                    raise DataError(
                        f"{label}: {', '.join(map(repr, shared))} is a feature and a target; "
                        f"rename the feature, or the target by IterableSource(target=...)"
                    )
                return {**x, **targets}
        return None

    def _cut(self, frames: Iterator[Any], size: int, done: int) -> Iterator[Batch]:
        before = 0
        for frame in frames:
            rows: pl.DataFrame = nw.from_native(frame, eager_only=True).to_polars()
            for start in range(max(done - before, 0), rows.height, size):
                part = rows.slice(start, size)
                first = before + start + 1
                last = before + start + part.height
                where = [f"{self.name}:{number}" for number in range(first, last + 1)]
                yield Batch(part, where, {"record": last})
            before += rows.height
        self._check_end(before, done)

    def _check_end(self, count: int, done: int) -> None:
        if count < done:
            raise CheckpointError(
                f"{self.name}: ends after {count} records, but the checkpoint was made after "
                f"{done}; resuming needs the same items again, from the first"
            )


def _is_frame(item: object) -> bool:
    return nw.dependencies.is_into_dataframe(item)
