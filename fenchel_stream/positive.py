"""The class that becomes True."""

from __future__ import annotations

import logging
from collections import Counter

import polars as pl

from fenchel_stream.columns import to_categories

log = logging.getLogger(__name__)

ENOUGH = 1000
"""After so many labels, none of which is the positive class, it is worth a warning."""

SHOWN = 10


class Positive:
    """Tells the labels that are the positive class, and warns once if none ever is.

    Parameters
    ----------
    value
        The class; 1 and ``"1"`` are the same one, since whether it is a number or a text depends
        on the file rather than on the task.

    Examples
    --------
    >>> import polars as pl
    >>> from fenchel_stream.positive import Positive
    >>> Positive(1)(pl.Series(["0", "1", None])).to_list()
    [False, True, None]
    """

    def __init__(self, value: str | int) -> None:
        self.value = value
        self.text = to_categories(pl.Series([value]))[0][0]
        self._others: Counter[str] | None = Counter()  # None once there is nothing to tell

    def __call__(self, labels: pl.Series) -> pl.Series:
        """Return which of the labels are the positive class, null where one is missing."""
        text, _ = to_categories(labels)
        found: pl.Series = text == self.text
        if self._others is not None:
            if found.any():
                self._others = None
            else:
                self._others.update(text.drop_nulls().to_list())
                if self._others.total() >= ENOUGH:
                    self.warn()
        return found

    def warn(self) -> None:
        """Say that no label so far was the positive class, if that is so and was not said."""
        if not self._others:
            return
        seen = ", ".join(map(repr, sorted(self._others)[:SHOWN]))
        more = ", ..." if len(self._others) > SHOWN else ""
        log.warning(
            "source.positive = %r: none of the first %d labels is that class; they are: %s%s",
            self.value,
            self._others.total(),
            seen,
            more,
        )
        self._others = None
