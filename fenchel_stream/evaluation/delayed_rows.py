"""`DelayedRows`: the queue of rows that were predicted and whose labels are still to come."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl

from fenchel_stream.evaluation.batch_model import Predictions
from fenchel_stream.state.frames import freeze_frame, thaw_frame


class DelayedRows:
    """A queue of rows with their targets and predictions, in the batches of their arrival.

    In a checkpoint, frames and series of polars are plain data: `freeze_frame` converts them.

    Examples
    --------
    >>> import polars as pl
    >>> from fenchel_stream.evaluation import DelayedRows, Predictions
    >>> queue = DelayedRows()
    >>> queue.put(pl.DataFrame({"x": [1, 2, 3]}), pl.Series([7, 8, 9]), Predictions([6, 6, 6]))
    >>> [(y.to_list(), predictions.labels) for _, y, predictions in queue.take(2)], len(queue)
    ([([7, 8], [6, 6])], 1)
    """

    def __init__(self) -> None:
        self.batches: deque[tuple[Any, Any, Predictions]] = deque()
        self.rows = 0

    def __len__(self) -> int:
        return self.rows

    def __getstate__(self) -> dict[str, Any]:
        batches = deque((_freeze(X), _freeze(y), predictions) for X, y, predictions in self.batches)
        return {"batches": batches, "rows": self.rows}

    def put(self, X: Any, y: Any, predictions: Predictions) -> None:
        """Append a batch of features, targets and predictions."""
        self.batches.append((X, y, predictions))
        self.rows += len(predictions)

    def take(self, count: int) -> Iterator[tuple[Any, Any, Predictions]]:
        """Remove and yield the first `count` rows. Rows of two batches are not joined."""
        while count > 0 and self.batches:
            X, y, predictions = self.batches.popleft()
            X, y = _thaw(X), _thaw(y)
            if len(predictions) > count:
                rest = _rows(X, count, None), _rows(y, count, None), predictions[count:]
                self.batches.appendleft(rest)
                X, y, predictions = _rows(X, 0, count), _rows(y, 0, count), predictions[:count]
            count -= len(predictions)
            self.rows -= len(predictions)
            yield X, y, predictions


def _rows(data: Any, start: int, stop: int | None) -> Any:
    return nw.from_native(data, allow_series=True, eager_only=True)[start:stop].to_native()


def _freeze(data: Any) -> Any:
    if isinstance(data, pl.Series):
        return "series", freeze_frame(data.to_frame())
    return ("frame", freeze_frame(data)) if isinstance(data, pl.DataFrame) else data


def _thaw(data: Any) -> Any:
    # A restored queue holds its batches as plain data until they are taken.
    if not isinstance(data, tuple):
        return data
    kind, plain = data
    frame = thaw_frame(plain)
    return frame.to_series() if kind == "series" else frame
