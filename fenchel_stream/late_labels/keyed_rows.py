"""Rows that are looked up by key, such as predictions that wait for their labels.

A dict maps each key to the number of its row in a frame.
"""

from __future__ import annotations

from itertools import islice, repeat
from typing import Any

import numpy as np
import polars as pl

from fenchel_stream.errors import CheckpointError
from fenchel_stream.state.frames import KeepsFrames, freeze_frame, thaw_frame

SLACK = 1024
"""Removed rows stay in memory until their number exceeds twice that of the other rows plus this."""

CHUNKS = 64
"""Chunks above which the frame is rechunked, which costs time. Many chunks slow every access."""

KEY_AND_TIME = {"key": pl.String, "time": pl.Float64}


class KeyedRows(KeepsFrames):
    """A frame of rows, oldest first. Each has a unique key, and may have a time.

    The cost of adding or taking a batch does not depend on the number of rows. The state for a
    checkpoint is arrays and text, and equal rows give equal bytes.

    Examples
    --------
    >>> import polars as pl
    >>> from fenchel_stream.late_labels.keyed_rows import KeyedRows
    >>> rows = KeyedRows()
    >>> rows.add(pl.Series(["a", "b"]), pl.Series([1.0, 2.0]), pl.DataFrame({"x": [10, 20]}))
    >>> taken = rows.take(pl.Series(["c", "b"]))
    >>> taken["key"].to_list(), taken["x"].to_list(), len(rows)
    (['b'], [20], 1)
    """

    def __init__(self) -> None:
        self._index: dict[str, int] = {}
        # One time for each row of `_content`; NaN for a row that was removed or has no time.
        self._times = np.empty(0)
        self._content = pl.DataFrame(schema=KEY_AND_TIME)

    def __len__(self) -> int:
        return len(self._index)

    def __getstate__(self) -> dict[str, Any]:
        return {"_stored": freeze_frame(self._remaining())}

    def check_restored(self) -> None:
        """Turn the plain frame of a checkpoint into rows, and make sure that they have keys.

        Raises
        ------
        CheckpointError
            A column is missing, or a key is missing or is there twice.
        """
        rows = thaw_frame(vars(self).pop("_stored"))
        types = {name: rows.schema.get(name) for name in KEY_AND_TIME}
        if types != KEY_AND_TIME or not rows["key"].is_unique().all() or rows["key"].has_nulls():
            raise CheckpointError("rows that wait for labels need a key each and a time")
        self._restart(rows)

    def has(self, keys: pl.Series) -> pl.Series:
        """Return which of the keys have a row."""
        return pl.Series(list(map(self._index.__contains__, keys)), dtype=pl.Boolean)

    def add(self, keys: pl.Series, times: pl.Series, rows: pl.DataFrame) -> None:
        """Append rows.

        Parameters
        ----------
        keys
            Text. Each is new and occurs once.
        times
            Float64; null for a row that `drop_before` never removes.
        rows
            The values. A column that these rows lack and other rows have is null here.
        """
        if not len(keys):
            return
        first = len(self._times)
        if first > 3 * len(self) + SLACK:
            self._restart(self._remaining())
            first = len(self)
        self._index.update(zip(keys, range(first, first + len(keys)), strict=True))
        self._times = np.append(self._times, times.fill_null(float("nan")).to_numpy())
        new = pl.DataFrame({"key": keys, "time": times}).hstack(rows.get_columns())
        self._content = pl.concat([self._content, new], how="diagonal")
        if self._content.n_chunks() > CHUNKS:
            self._content = self._content.rechunk()

    def take(self, keys: pl.Series) -> pl.DataFrame:
        """Remove and return the rows of these keys, in the order of the keys.

        Keys without a row are ignored.

        Returns
        -------
        frame
            The columns that were added, with ``key`` and ``time``.
        """
        return self._content[self._pop(keys)]

    def drop_before(self, time: float) -> int:
        """Remove the rows whose time is before `time`, and return their number."""
        old = np.flatnonzero(self._times < time)
        if len(old):
            self._pop(self._content["key"][old])
        return len(old)

    def drop_over(self, limit: int) -> int:
        """Remove the oldest rows beyond `limit`, and return their number."""
        excess = max(len(self) - limit, 0)
        self._pop(list(islice(self._index, excess)))
        return excess

    def _pop(self, keys: Any) -> pl.Series:
        """Forget the keys, and return the numbers of their rows."""
        numbers = pl.Series(list(map(self._index.pop, keys, repeat(None))), dtype=pl.Int64)
        numbers = numbers.drop_nulls()
        self._times[numbers.to_numpy()] = np.nan
        return numbers

    def _remaining(self) -> pl.DataFrame:
        rows = self._content[list(self._index.values())]
        # A column without any value is dropped.
        return rows[[c.name for c in rows if c.name in KEY_AND_TIME or c.null_count() < len(c)]]

    def _restart(self, rows: pl.DataFrame) -> None:
        self._content = rows
        self._index = dict(zip(rows["key"], range(rows.height), strict=True))
        self._times = rows["time"].fill_null(float("nan")).to_numpy().copy()
