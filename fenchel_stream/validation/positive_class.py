"""The class that becomes True."""

from __future__ import annotations

import logging
from collections import Counter

import polars as pl

from fenchel_stream.errors import ConfigError
from fenchel_stream.validation.columns import to_categories

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

    Attributes
    ----------
    resumed
        An earlier run may have seen the class: what this one misses is no proof of a mistake.

    Examples
    --------
    >>> import polars as pl
    >>> from fenchel_stream.validation.positive_class import Positive
    >>> Positive(1)(pl.Series(["0", "1", None])).to_list()
    [False, True, None]
    """

    def __init__(self, value: str | int) -> None:
        self.value = value
        self.text = to_categories(pl.Series([value]))[0][0]
        self.resumed = False
        self._found = self._told = False
        self._labels = 0
        self._others: Counter[str] = Counter()  # the classes until it is told

    def __call__(self, labels: pl.Series) -> pl.Series:
        """Return which of the labels are the positive class, null where one is missing.

        Raises
        ------
        ConfigError
            As `tell` does.
        """
        text, _ = to_categories(labels)
        found: pl.Series = text == self.text
        self._found = self._found or bool(found.any())
        if not self._found:
            self._labels += text.len() - text.null_count()
            if not self._told:
                self._others.update(text.drop_nulls().to_list())
            if self._labels >= ENOUGH:
                self.tell()
        return found

    @property
    def absence(self) -> str:
        """That no label so far was the positive class, in words; empty if that is not so."""
        if self._found or not self._labels:
            return ""
        return f"none of {self._labels:,} labels was source.positive = {self.value!r}"

    def tell(self) -> None:
        """Warn that no label so far was the positive class, if that is so and was not told.

        Raises
        ------
        ConfigError
            There is a class that differs from it by case, white space or the form of a number.
        """
        if self._told or not self.absence:
            return
        self._told = True
        seen = sorted(self._others)
        meant = next((one for one in seen if _plain(one) == _plain(self.text)), None)
        if meant is not None and not self.resumed:
            raise ConfigError(f"{self.absence}, but there is {meant!r}: name the class as it is")
        more = ", ..." if len(seen) > SHOWN else ""
        log.warning("%s; they are: %s%s", self.absence, ", ".join(map(repr, seen[:SHOWN])), more)


def _plain(text: str) -> str:
    """Return a class without what is easily mistaken in it."""
    text = text.strip().casefold()
    try:
        return repr(float(text))
    except ValueError:
        return text
