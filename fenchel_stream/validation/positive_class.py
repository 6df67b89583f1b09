"""`PositiveClass`: the class that becomes True, and a warning if no label has this class."""

from __future__ import annotations

import logging
from collections import Counter

import polars as pl

from fenchel_stream.errors import ConfigError
from fenchel_stream.validation.columns import to_categories

log = logging.getLogger(__name__)

ENOUGH = 1000
"""After this many labels without the positive class, a warning is logged."""

SHOWN = 10
"""Largest number of other classes that a warning lists."""


class PositiveClass:
    """Finds the labels of the positive class, and warns once if there are none.

    Parameters
    ----------
    value
        The class. 1 and ``"1"`` are the same class, because only the format of the file decides
        whether the class is a number or text.

    Attributes
    ----------
    resumed
        Whether an earlier run has begun the stream. That run may have read labels of the class, so
        that their absence in this run is no proof of a mistake.

    Examples
    --------
    >>> import polars as pl
    >>> from fenchel_stream.validation.positive_class import PositiveClass
    >>> PositiveClass(1)(pl.Series(["0", "1", None])).to_list()
    [False, True, None]
    """

    def __init__(self, value: str | int) -> None:
        self.value = value
        self.text = to_categories(pl.Series([value]))[0][0]
        self.resumed = False
        self._occurred = self._warned = False
        self._labels = 0
        self._others: Counter[str] = Counter()  # The other classes, until the warning.

    def __call__(self, labels: pl.Series) -> pl.Series:
        """Return which of the labels are of the positive class, null where one is missing.

        Raises
        ------
        ConfigError
            The error of `warn_of_absence`.
        """
        text, _ = to_categories(labels)
        positive: pl.Series = text == self.text
        self._occurred = self._occurred or bool(positive.any())
        if not self._occurred:
            self._labels += text.len() - text.null_count()
            if not self._warned:
                self._others.update(text.drop_nulls().to_list())
            if self._labels >= ENOUGH:
                self.warn_of_absence()
        return positive

    @property
    def absence(self) -> str:
        """A sentence if no label so far has been of the positive class; otherwise empty text."""
        if self._occurred or not self._labels:
            return ""
        return f"none of {self._labels:,} labels equals source.positive = {self.value!r}"

    def warn_of_absence(self) -> None:
        """Warn, once, if no label so far was of the positive class.

        Raises
        ------
        ConfigError
            A label differs from the class only by case, white space or the form of a number.
        """
        if self._warned or not self.absence:
            return
        self._warned = True
        others = sorted(self._others)
        similar = next((name for name in others if _plain(name) == _plain(self.text)), None)
        if similar is not None and not self.resumed:
            raise ConfigError(
                f"{self.absence}, but some equal {similar!r}: spell the class like them"
            )
        more = ", ..." if len(others) > SHOWN else ""
        log.warning(
            "%s; the labels are: %s%s", self.absence, ", ".join(map(repr, others[:SHOWN])), more
        )


def _plain(text: str) -> str:
    """Return a class without case, white space and the form of a number."""
    text = text.strip().casefold()
    try:
        return repr(float(text))
    except ValueError:
        return text
