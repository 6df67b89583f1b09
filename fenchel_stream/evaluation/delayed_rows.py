"""Rows that were predicted and wait for their labels."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl

from fenchel_stream.evaluation.batch_model import Predictions


class Waiting:
    """A queue of rows with their targets and predictions, in batches as they arrived.

    Its state is plain: polars frames are stored as bytes of Arrow's IPC format.

    Examples
    --------
    >>> import polars as pl
    >>> from fenchel_stream.evaluation.batch_model import Predictions
    >>> from fenchel_stream.evaluation.delayed_rows import Waiting
    >>> waiting = Waiting()
    >>> waiting.put(pl.DataFrame({"x": [1, 2, 3]}), pl.Series([7, 8, 9]), Predictions([6, 6, 6]))
    >>> [(y.to_list(), said.labels) for _, y, said in waiting.take(2)], len(waiting)
    ([([7, 8], [6, 6])], 1)
    """

    def __init__(self) -> None:
        self.batches: deque[tuple[Any, Any, Predictions]] = deque()
        self.rows = 0

    def __len__(self) -> int:
        return self.rows

    def __getstate__(self) -> dict[str, Any]:
        batches = deque((_freeze(X), _freeze(y), said) for X, y, said in self.batches)
        return {"batches": batches, "rows": self.rows}

    def put(self, X: Any, y: Any, said: Predictions) -> None:
        """Append a batch of features, targets and predictions."""
        self.batches.append((X, y, said))
        self.rows += len(said)

    def take(self, count: int) -> Iterator[tuple[Any, Any, Predictions]]:
        """Remove and yield the first `count` rows; rows that arrived apart stay apart."""
        while count > 0 and self.batches:
            X, y, said = self.batches.popleft()
            X, y = _thaw(X), _thaw(y)
            if len(said) > count:
                self.batches.appendleft(
                    (_part(X, count, None), _part(y, count, None), said[count:])
                )
                X, y, said = _part(X, 0, count), _part(y, 0, count), said[:count]
            count -= len(said)
            self.rows -= len(said)
            yield X, y, said


def _part(data: Any, start: int, stop: int | None) -> Any:
    return nw.from_native(data, allow_series=True, eager_only=True)[start:stop].to_native()


def _freeze(data: Any) -> Any:
    if not isinstance(data, (pl.DataFrame, pl.Series)):
        return data
    buffer = io.BytesIO()
    pl.DataFrame(data).write_ipc(buffer)
    return (type(data).__name__, buffer.getvalue())


def _thaw(data: Any) -> Any:
    if not isinstance(data, tuple):
        return data
    kind, content = data
    frame = pl.read_ipc(content)
    return frame.to_series() if kind == "Series" else frame
