"""The join of late labels to the predictions that wait for them, by key."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Any, NamedTuple

import polars as pl
from polars import selectors

from fenchel_stream.errors import ConfigError
from fenchel_stream.evaluation.batch_model import Predictions, to_list
from fenchel_stream.late_labels.keyed_rows import KeyedRows
from fenchel_stream.late_labels.prediction_columns import PredictionColumns
from fenchel_stream.validation.row_check import Kind

COUNTS = (
    "predictions",
    "matched",
    "expired",
    "repeated",
    "labels",
    "duplicates",
    "orphans",
)
"""Names of the counts, see `LabelJoin`."""


class Matched(NamedTuple):
    """Rows whose labels have come: features, targets, and the earlier predictions.

    `where` holds the places of the records that completed them.
    """

    X: pl.DataFrame
    y: Any
    predictions: Predictions
    where: Sequence[str] = ()


class LabelJoin:
    """Keeps each prediction with its features until its label comes or the prediction is given up.

    A key stands for one event and one label. A label that comes before its event waits for it,
    because two streams are rarely read in step. A second event or label with a key that waits, or
    with a matched key that is still remembered, is not used.

    Time means the time of the records, never the clock of the machine. A stream that is read again
    therefore gives the same result. Call `expire` with the time of each batch before the batch is
    used: it gives up the predictions, labels and keys that are more than `ttl` older.

    Parameters
    ----------
    kind
        ``"classification"``, ``"regression"`` or ``"multi-target"``.
    ttl
        Seconds for which a prediction waits for its label, a label waits for its prediction, and a
        matched key is remembered. None: for as long as `limit` allows.
    limit
        Largest number of predictions that wait, of labels that wait, and of matched keys that are
        remembered. Beyond it the oldest are given up.

    Attributes
    ----------
    counts
        Each of the ``predictions`` was ``matched``, has ``expired``, or still waits. It has expired
        if it was too old, was beyond the limit, or ``repeated`` a key. At any time
        ``matched + expired + pending == predictions``. Each of the ``labels`` was matched, is one
        of the ``duplicates``, is one of the ``orphans``, or still waits. The prediction of an
        orphan did not come or had expired. At any time
        ``matched + duplicates + orphans + early == labels``.

    Raises
    ------
    ConfigError
        A number is out of range.

    Examples
    --------
    >>> import polars as pl
    >>> from fenchel_stream.evaluation.batch_model import Predictions
    >>> from fenchel_stream.late_labels.join import LabelJoin
    >>> join = LabelJoin("classification", ttl=60.0)
    >>> keys, times = pl.Series(["a", "b"]), pl.Series([0.0, 1.0])
    >>> X, predictions = pl.DataFrame({"x": [0.1, 0.2]}), Predictions(["no", "no"])
    >>> len(join.predicted(keys, times, X, predictions).X), join.pending
    (0, 2)
    >>> join.expire(50.0)
    >>> matched = join.labelled(pl.Series(["b"]), pl.Series([50.0]), pl.Series("y", ["yes"]))
    >>> matched.X.rows(), matched.y.to_list(), matched.predictions.labels
    ([(0.2,)], ['yes'], ['no'])
    >>> join.expire(61.0)
    >>> join.counts["matched"], join.counts["expired"], join.pending
    (1, 1, 0)
    """

    def __init__(self, kind: Kind, *, ttl: float | None = None, limit: int = 100_000) -> None:
        if limit < 1 or (ttl is not None and not ttl > 0):
            raise ConfigError(f"labels: ttl is {ttl} and limit {limit}; both must be positive")
        self.kind = kind
        self.ttl = ttl
        self.limit = limit
        self.counts = dict.fromkeys(COUNTS, 0)
        self._columns = PredictionColumns(kind)
        self._waiting = KeyedRows()  # predictions
        self._early = KeyedRows()  # labels
        self._matched = KeyedRows()  # keys alone

    @property
    def pending(self) -> int:
        """How many predictions wait for their labels."""
        return len(self._waiting)

    @property
    def early(self) -> int:
        """How many labels wait for their predictions."""
        return len(self._early)

    @property
    def figures(self) -> dict[str, int]:
        """The counts, how many predictions are ``pending``, and how many labels are ``early``."""
        return {**self.counts, "pending": self.pending, "early": self.early}

    def __str__(self) -> str:
        names = ("matched", "expired", "pending", "orphans", "duplicates", "early")
        counts = ", ".join(f"{self.figures[k]:,} {k}" for k in names if self.figures[k])
        return f"late labels: {counts or 'none'}"

    def expire(self, time: float) -> None:
        """Give up predictions, labels and keys that are more than `ttl` older than `time`."""
        if self.ttl is not None:
            oldest = time - self.ttl
            self.counts["expired"] += self._waiting.drop_before(oldest)
            self.counts["orphans"] += self._early.drop_before(oldest)
            self._matched.drop_before(oldest)

    def predicted(
        self,
        keys: pl.Series,
        times: pl.Series,
        X: pl.DataFrame,
        predictions: Predictions,
        where: Sequence[str] = (),
    ) -> Matched:
        """Take predictions; return those whose labels have already come.

        Parameters
        ----------
        keys, times
            Of the events: text, and seconds (Float64) or null.
        X
            Their features: numbers (Float64) and categories (String).
        predictions
            The predictions for the rows of `X`.
        where
            The places of the events.
        """
        self.counts["predictions"] += len(keys)
        new = keys.is_first_distinct() & ~self._waiting.has(keys) & ~self._matched.has(keys)
        rows = self._columns.encode(predictions).hstack(_features(X).get_columns())
        keys, times, rows = keys.filter(new), times.filter(new), rows.filter(new)
        repeated = len(new) - len(keys)
        self.counts["repeated"] += repeated
        self.counts["expired"] += repeated
        labels = self._early.take(keys)
        ready = keys.is_in(labels["key"].implode())
        matched = self._match(keys.filter(ready), times.filter(ready), rows.filter(ready), labels)
        self._waiting.add(keys.filter(~ready), times.filter(~ready), rows.filter(~ready))
        self.counts["expired"] += self._waiting.drop_over(self.limit)
        return matched._replace(where=list(compress(compress(where, new), ready)))

    def labelled(
        self,
        keys: pl.Series,
        times: pl.Series,
        y: pl.Series | pl.DataFrame,
        where: Sequence[str] = (),
    ) -> Matched:
        """Take labels; return the predictions that they belong to, in the order of the labels.

        Parameters
        ----------
        keys, times
            Of the labels, as those of events.
        y
            The targets: a series, or for several targets a frame.
        where
            The places of the labels.
        """
        self.counts["labels"] += len(keys)
        known = self._early.has(keys) | self._matched.has(keys)
        new = keys.is_first_distinct() & ~known
        labels = self._columns.encode(Predictions(to_list(y))).filter(new)
        keys, times = keys.filter(new), times.filter(new)
        self.counts["duplicates"] += len(new) - len(keys)
        rows = self._waiting.take(keys)
        ready = keys.is_in(rows["key"].implode())
        matched = self._match(rows["key"], rows["time"], rows, labels.filter(ready))
        self._early.add(keys.filter(~ready), times.filter(~ready), labels.filter(~ready))
        self.counts["orphans"] += self._early.drop_over(self.limit)
        return matched._replace(where=list(compress(compress(where, new), ready)))

    def _match(
        self, keys: pl.Series, times: pl.Series, rows: pl.DataFrame, labels: pl.DataFrame
    ) -> Matched:
        self.counts["matched"] += len(keys)
        self._matched.add(keys, times, pl.DataFrame(height=len(keys)))
        self._matched.drop_over(self.limit)
        if not len(keys):
            return Matched(pl.DataFrame(), pl.Series(), Predictions([]))
        y = self._columns.decode(labels).labels
        truth = pl.DataFrame(y) if self.kind == "multi-target" else _series(y)
        return Matched(_features_of(rows), truth, self._columns.decode(rows))


def _features(X: pl.DataFrame) -> pl.DataFrame:
    # A missing value becomes NaN, because null means that the row does not have the column.
    return X.with_columns(selectors.float().fill_null(float("nan"))).rename(
        lambda name: f"x {name}"
    )


def _features_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the columns that any of the rows has, in an order that depends on these rows alone."""
    present = [c for c in rows if c.name.startswith("x ") and c.null_count() < rows.height]
    if not present:
        return pl.DataFrame(height=rows.height)
    columns = sorted((column.alias(column.name[2:]) for column in present), key=lambda c: c.name)
    return pl.DataFrame(columns).with_columns(selectors.float().fill_nan(None))


def _series(labels: list[Any]) -> pl.Series:
    mixed = len(set(map(type, labels))) > 1
    return pl.Series(labels, dtype=pl.Object if mixed else None)
