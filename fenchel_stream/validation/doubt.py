"""Whether a stream is wrong from its start, so that the configuration is wrong and not the records.

One bad record says little about a configuration, and none that is good says much. Each role of a
column, the records of a stream and the model ask this module.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fenchel_stream.errors import DataError
from fenchel_stream.streams.source import Reject

DOUBTFUL = 10
"""Number of first values of a column: if all are unusable, the configuration is wrong."""

ABSENT = 100
"""Number of first records: if all lack the target or a key, the configuration is wrong. This
applies to streams without fixed columns."""

SET_ASIDE = 200
"""Number of first records: if all are set aside, for whatever reasons, the configuration is wrong.
It is larger than `ABSENT`, so that a single column that is to blame is named."""


class Doubts:
    """Counts what is unusable of each subject until something of it is usable.

    Attributes
    ----------
    resumed
        Whether an earlier run has used this stream, which leaves no doubt.

    Examples
    --------
    >>> from fenchel_stream.validation.doubt import Doubts
    >>> doubts = Doubts()
    >>> doubts.grow("column 'a'", usable=0, unusable=7), doubts.grow("column 'a'", 0, 3)
    (False, True)
    """

    def __init__(self) -> None:
        self.resumed = False
        self.unusable: Counter[str] = Counter()
        self._usable: set[str] = set()

    def settled(self, subject: str) -> bool:
        """Return whether there is no doubt about a subject."""
        return self.resumed or subject in self._usable

    def grow(self, subject: str, usable: int, unusable: int, limit: int = DOUBTFUL) -> bool:
        """Count values of a subject; return whether the first `limit` are all unusable."""
        if self.settled(subject):
            return False
        if usable:
            self._usable.add(subject)
            return False
        self.unusable[subject] += unusable
        return unusable > 0 and self.unusable[subject] >= limit


class FirstRecords:
    """The doubt about the records of a stream, of which none could be used so far.

    Parameters
    ----------
    use
        What is said of none of them, as ``"can be used"``.

    Examples
    --------
    >>> from fenchel_stream.streams.source import Reject
    >>> from fenchel_stream.validation.doubt import FirstRecords
    >>> first = FirstRecords()
    >>> first.look(0, [Reject("a.jsonl:1", "non_object", "[1]", "an array")])
    >>> first.end()
    Traceback (most recent call last):
    fenchel_stream.errors.DataError: none of the first 1 records can be used (1 non_object)...
    """

    def __init__(self, use: str = "can be used") -> None:
        self.doubts = Doubts()
        self._use = use
        self._reasons: Counter[str] = Counter()
        self._example: Reject | None = None

    def look(self, usable: int, rejects: Sequence[Reject]) -> None:
        """Take the number of usable records of a batch, and the others.

        Raises
        ------
        DataError
            None of the first two hundred records can be used.
        """
        if self.doubts.settled(self._use):
            return
        if not usable and rejects:
            self._reasons.update(reject.reason for reject in rejects)
            self._example = self._example or rejects[0]
        if self.doubts.grow(self._use, usable, len(rejects), SET_ASIDE):
            self.end()

    def end(self) -> None:
        """Decide at the end of the stream.

        Raises
        ------
        DataError
            There were records, and none of them can be used.
        """
        if self._example is None or self.doubts.settled(self._use):
            return
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self._reasons.most_common())
        raise DataError(
            f"none of the first {self._reasons.total():,} records {self._use} ({reasons}); "
            f"{self._example.where}: {self._example.detail or self._example.raw[:60]}; see whether "
            "the address, its format and options, and the roles of the columns are right"
        )


def names_of(columns: Sequence[str]) -> str:
    """Return the names of columns as text, and what to do about a name that holds several.

    Examples
    --------
    >>> from fenchel_stream.validation.doubt import names_of
    >>> names_of(["a", "b"])
    'a, b'
    >>> names_of(["a;b"])
    "a;b; if these are several columns, set source.options.delimiter to ';'"
    """
    names = ", ".join(columns[:50]) + (", ..." if len(columns) > 50 else "")
    if len(columns) == 1 and (found := [mark for mark in ";\t|, " if mark in columns[0]]):
        names += f"; if these are several columns, set source.options.delimiter to {found[0]!r}"
    return names
