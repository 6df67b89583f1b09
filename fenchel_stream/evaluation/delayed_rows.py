"""`DelayedRows`: the queue of rows that were predicted and whose labels are still to come."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from fenchel_stream.errors import CheckpointError
from fenchel_stream.evaluation.batch_model import Predictions, rows_of
from fenchel_stream.state.frames import KeepsFrames, freeze_frame, thaw_frame

Rows = tuple[Any, Any, Predictions, Sequence[str]]
"""Features, targets, predictions, and the places of the rows in their stream, if they are known."""


class DelayedRows(KeepsFrames):
    """A queue of rows with their targets, predictions and places, in the batches of their arrival.

    In a checkpoint, frames and series of polars are plain data: `freeze_frame` converts them.

    Examples
    --------
    >>> import polars as pl
    >>> from fenchel_stream.evaluation import DelayedRows, Predictions
    >>> queue = DelayedRows()
    >>> queue.put(pl.DataFrame({"x": [1, 2, 3]}), pl.Series([7, 8, 9]), Predictions([6, 6, 6]))
    >>> [(y.to_list(), predictions.labels) for _, y, predictions, _ in queue.take(2)], len(queue)
    ([([7, 8], [6, 6])], 1)
    """

    def __init__(self) -> None:
        self.batches: deque[Rows] = deque()
        self.rows = 0

    def __len__(self) -> int:
        return self.rows

    def __getstate__(self) -> dict[str, Any]:
        batches = deque((_freeze(X), _freeze(y), *others) for X, y, *others in self.batches)
        return {"batches": batches, "rows": self.rows}

    def check_restored(self) -> None:
        """Turn the plain data of a checkpoint into frames, and make sure that they fit.

        Raises
        ------
        CheckpointError
            They differ in length.
        """
        self.batches = deque((_thaw(X), _thaw(y), *others) for X, y, *others in self.batches)
        lengths = [
            {len(X), len(y), len(known), len(where) or len(known)}
            for X, y, known, where in self.batches
        ]
        if any(len(one) > 1 for one in lengths) or sum(map(sum, lengths)) != self.rows:
            raise CheckpointError("features, targets and predictions that wait differ in number")

    def put(self, X: Any, y: Any, predictions: Predictions, where: Sequence[str] = ()) -> None:
        """Append a batch of features, targets, predictions and places."""
        self.batches.append((X, y, predictions, where))
        self.rows += len(predictions)

    def take(self, count: int) -> Iterator[Rows]:
        """Remove and yield the first `count` rows. Rows of two batches are not joined."""
        while count > 0 and self.batches:
            X, y, predictions, where = self.batches.popleft()
            if len(predictions) > count:
                rest = rows_of(X, count, None), rows_of(y, count, None)
                self.batches.appendleft((*rest, predictions[count:], where[count:]))
                X, y = rows_of(X, 0, count), rows_of(y, 0, count)
                predictions, where = predictions[:count], where[:count]
            count -= len(predictions)
            self.rows -= len(predictions)
            yield X, y, predictions, where


def _freeze(data: Any) -> Any:
    if isinstance(data, pl.Series):
        return "series", freeze_frame(data.to_frame())
    return ("frame", freeze_frame(data)) if isinstance(data, pl.DataFrame) else data


def _thaw(data: Any) -> Any:
    kind, plain = data
    frame = thaw_frame(plain)
    return frame.to_series() if kind == "series" else frame
