"""`RowCheck`: selects the rows of a source that can be learnt, and converts their values."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import polars as pl

from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.streams.source import RAW_LIMIT, Batch, Reject
from fenchel_stream.validation.columns import not_finite, to_categories, to_numbers
from fenchel_stream.validation.doubt import ABSENT, Doubts, FirstRecords, names_of
from fenchel_stream.validation.positive_class import PositiveClass
from fenchel_stream.values import HUGE, is_class, is_missing

Kind = Literal["classification", "regression", "multi-target"]

REASONS = ("missing_target", "unparsable_target", "non_numeric", "non_finite", "nested", "refused")
"""The reasons for which a decoded row is set aside. Rows are ``refused`` by the model."""

Faults = dict[int, tuple[str, str]]
"""The reason and the detail of the first fault of a row, by the number of the row."""


@dataclass(frozen=True)
class CheckedRows:
    """The rows of a batch that can be learnt, and those that cannot.

    Attributes
    ----------
    X
        One row per record. Columns are Float64, or String for categories; null is missing.
    y
        The targets, one per row of `X`: a column, or for several targets a frame, of Float64.
        Classes keep the type that the source gave them.
    where
        The place of each row of `X` in the stream, as in `Batch.where`.
    rejects
        The other records, in the order of the batch.
    numbers
        For each row of `X` its number in the batch; None if no row was set aside.
    """

    X: pl.DataFrame
    y: pl.Series | pl.DataFrame
    where: list[str]
    rejects: list[Reject]
    numbers: list[int] | None = None

    def without(self, rows: Container[int]) -> Self:
        """Return the rows without those that stand at the places `rows` of `X`."""
        kept = [row for row in range(len(self.where)) if row not in rows]
        numbers = self.numbers or range(len(self.where))
        return replace(
            self,
            X=_take(self.X, kept),
            y=_take(self.y, kept),
            where=[self.where[row] for row in kept],
            numbers=[numbers[row] for row in kept],
        )


class RowCheck:
    """Converts the rows of a batch to features and targets, and sets aside the unusable rows.

    The value of a feature that `one_hot` does not name is a number, a boolean (0 and 1), text that
    spells a number, or missing (null or NaN). A row is set aside for

    - ``missing_target``: a target is null or NaN, or the record has none,
    - ``unparsable_target``: a target is no number below 1e100, or a class is nested, bytes
      or text that no file can hold,
    - ``non_numeric``: a feature is other text, a date or nested,
    - ``non_finite``: a number is infinite or too large for a float,
    - ``nested``: a category is a list or an object.

    Parameters
    ----------
    target
        The column to predict; several for ``kind="multi-target"``.
    kind
        ``"classification"``, ``"regression"`` or ``"multi-target"``.
    positive
        The class that becomes True, while all others become False; 1 and ``"1"`` are the same
        class. None leaves classes unchanged.
    one_hot
        Columns whose values are categories.
    ignore
        Columns that are neither features nor targets.
    labelled
        Whether rows have their targets. If False they need none, and targets are not used.
    resumed
        Whether an earlier run has used this stream. If False, a column whose first ten values are
        all unusable is an error, and so is a target that the first hundred records lack: the
        configuration is wrong, not the rows.

    Attributes
    ----------
    doubts, first
        The doubts about the columns, and about the records of the stream.

    Raises
    ------
    ConfigError
        A column has two roles, or the number of targets, or `positive`, does not fit the kind.

    Examples
    --------
    >>> import polars as pl
    >>> from fenchel_stream.validation.row_check import RowCheck
    >>> from fenchel_stream.streams.source import Batch
    >>> rows = pl.DataFrame({"late": ["1", "0", None], "dist": ["200", "far", "719"]})
    >>> check = RowCheck("late", "classification")
    >>> checked = check(Batch(rows, ["a.csv:2", "a.csv:3", "a.csv:4"], {}))
    >>> checked.X.rows(), checked.y.to_list(), checked.where
    ([(200.0,)], ['1'], ['a.csv:2'])
    >>> [(reject.where, reject.reason, reject.detail) for reject in checked.rejects]
    [('a.csv:3', 'non_numeric', "column 'dist' holds 'far'"),
     ('a.csv:4', 'missing_target', "column 'late' is empty")]
    """

    def __init__(
        self,
        target: str | Sequence[str],
        kind: Kind,
        *,
        positive: str | int | None = None,
        one_hot: Iterable[str] = (),
        ignore: Iterable[str] = (),
        labelled: bool = True,
        resumed: bool = False,
    ) -> None:
        self.targets = [target] if isinstance(target, str) else list(target)
        self.kind = kind
        self.positive = None if positive is None else PositiveClass(positive)
        self.one_hot = frozenset(one_hot)
        self.ignore = frozenset(ignore)
        self.labelled = labelled
        self.doubts, self.first = Doubts(), FirstRecords()
        self.resumed = resumed
        roles = Counter([*set(self.targets), *self.one_hot, *self.ignore])
        for name, count in roles.items():
            if count > 1:
                raise ConfigError(
                    f"column {name!r} has two roles of target, one_hot and ignore; choose one"
                )
        if not self.targets or (kind != "multi-target" and len(self.targets) > 1):
            raise ConfigError(f"{kind} cannot have {len(self.targets)} target columns")
        if positive is not None and kind != "classification":
            raise ConfigError(f"positive = {positive!r} names a class, and {kind} has none")

    @property
    def resumed(self) -> bool:
        """Whether an earlier run has used this stream."""
        return self.doubts.resumed

    @resumed.setter
    def resumed(self, resumed: bool) -> None:
        self.doubts.resumed = self.first.doubts.resumed = resumed

    def __call__(self, batch: Batch, columns: list[str] | None = None) -> CheckedRows:
        """Check one batch.

        Parameters
        ----------
        batch
            A batch of a source.
        columns
            Names of all columns of the source, if `batch` lacks some of them.

        Raises
        ------
        DataError
            A required column does not exist, or its first ten values are all unusable.
        """
        rows = batch.rows
        self._check_names(batch, columns or batch.rows.columns)
        faults: Faults = {}
        ys = [self._target(rows, name, faults) for name in self.targets if self.labelled]
        others = self.ignore.union(self.targets)
        xs = [self._feature(rows[name], faults) for name in rows.columns if name not in others]
        X = _frame(xs, rows.height)
        y = ys[0] if ys and self.kind != "multi-target" else _frame(ys, rows.height)
        if not faults:
            return CheckedRows(X, y, batch.where, [])
        keep = [number for number in range(rows.height) if number not in faults]
        rejects = [reject_row(batch, number, *faults[number]) for number in sorted(faults)]
        where = [batch.where[number] for number in keep]
        return CheckedRows(_take(X, keep), _take(y, keep), where, rejects, keep)

    def end(self) -> None:
        """Warn at the end of a run if no label was of the positive class.

        Raises
        ------
        ConfigError
            The stream has the positive class in another spelling.
        """
        if self.positive is not None:
            self.positive.warn_of_absence()

    @property
    def notes(self) -> list[str]:
        """Remarks on the figures of the run."""
        absence = "" if self.positive is None else self.positive.absence
        return [absence] if absence else []

    def _check_names(self, batch: Batch, columns: list[str]) -> None:
        if batch.fixed_columns:
            for role, names in (
                ("target", self.targets if self.labelled else []),
                ("one_hot", sorted(self.one_hot)),
                ("ignore", sorted(self.ignore)),
            ):
                for name in names:
                    if name not in columns:
                        raise DataError(_no_column(role, name, columns))
        for name in self.targets if self.labelled else ():
            height = batch.rows.height
            usable, unusable = (height, 0) if name in columns else (0, height)
            if self.doubts.grow(f"target {name}", usable, unusable, ABSENT):
                raise DataError(_no_column("target", name, columns))

    def _target(self, rows: pl.DataFrame, name: str, faults: Faults) -> pl.Series:
        if name not in rows.columns:
            column = pl.Series(name, [None] * rows.height, pl.Null)
        else:
            column = rows[name]
        if self.kind == "classification":
            y, wrong = _classes(column)
            self.expect(column, y, wrong, "a class", f"name another target than {name!r}")
            if self.positive is not None:
                self.positive.resumed = self.resumed
                y = self.positive(y)
        else:
            y, wrong = to_numbers(column)
            self.expect(
                column, y, wrong, "a number", "if it is a class, the task is classification"
            )
            y = _without_nan(y)
            # The extremes are the cheapest test.
            extremes: list[Any] = [y.max() or 0.0, y.min() or 0.0]
            if not max(map(abs, extremes)) < HUGE:
                _record(faults, column, y.abs() >= HUGE, "unparsable_target")
        _record(faults, column, wrong, "unparsable_target")
        if y.null_count():
            # A wrong target is null here too, but its first fault counts.
            _record(faults, column, y.is_null(), "missing_target")
        return y

    def _feature(self, column: pl.Series, faults: Faults) -> pl.Series:
        if column.name in self.one_hot:
            categories, wrong = to_categories(column)
            self.expect(
                column, categories, wrong, "a category", "take it out of one_hot, or ignore it"
            )
            _record(faults, column, wrong, "nested")
            return categories
        numbers, wrong = to_numbers(column)
        advice = "name it in one_hot if it holds categories, or in ignore"
        self.expect(column, numbers, wrong, "a number", advice)
        _record(faults, column, wrong, "non_numeric")
        numbers = _without_nan(numbers)
        _record(faults, column, not_finite(numbers), "non_finite")
        return numbers

    def expect(
        self,
        column: pl.Series,
        values: pl.Series,
        wrong: pl.Series | None,
        needed: str,
        advice: str,
    ) -> None:
        """Look at the first values of a column.

        Parameters
        ----------
        column
            The column.
        values
            What it was converted to; null where a value is missing or, perhaps, wrong.
        wrong
            Which values cannot be used; None if there are none.
        needed, advice
            What each value should be, and what to do if it is not.

        Raises
        ------
        DataError
            The first ten values are all unusable.
        """
        name = column.name
        if self.doubts.settled(name):
            return
        good = values.is_not_null() if wrong is None else values.is_not_null() & ~wrong
        unusable = 0 if wrong is None else int(wrong.sum())
        if self.doubts.grow(name, int(good.sum()), unusable) and wrong is not None:
            value = _short(column.filter(wrong)[0])
            raise DataError(
                f"column {name!r}: {needed} is needed, but none of its first "
                f"{self.doubts.unusable[name]} values is one ({value} for example); {advice}"
            )


def _frame(columns: list[pl.Series], height: int) -> pl.DataFrame:
    # A dict, because from a list polars would rename a column whose name is empty.
    named = {column.name: column for column in columns}
    return pl.DataFrame(named) if columns else pl.DataFrame(height=height)


def _take(data: Any, rows: list[int]) -> Any:
    """Return some rows of a series or frame, which may have no columns."""
    if isinstance(data, pl.DataFrame) and not data.width:
        return _frame([], len(rows))
    return data[rows]


def _without_nan(numbers: pl.Series) -> pl.Series:
    """Return the numbers with null for NaN: both are missing values."""
    return numbers if not_finite(numbers) is None else numbers.fill_nan(None)


def _classes(column: pl.Series) -> tuple[pl.Series, pl.Series | None]:
    """Return class targets, categorical ones as text, and which of them are no classes."""
    kind = column.dtype
    if kind in (pl.Categorical, pl.Enum):
        return column.cast(pl.String), None
    if kind.is_float():
        return column.fill_nan(None), None
    if kind == pl.Object:
        labels = [None if is_missing(value) else value for value in column.to_list()]
        wrong = pl.Series([label is not None and not is_class(label) for label in labels])
        column = pl.Series(column.name, labels, pl.Object)
    elif kind.is_nested() or kind == pl.Binary:
        wrong = column.is_not_null()
    else:
        return column, None
    return column, wrong if wrong.any() else None


def _record(faults: Faults, column: pl.Series, wrong: pl.Series | None, reason: str) -> None:
    """Record a fault of the rows where `wrong` is true, unless they have one already."""
    if wrong is None:
        return
    for number in wrong.arg_true().to_list():
        value = column[number]
        content = "is empty" if value is None else f"holds {_short(value)}"
        faults.setdefault(number, (reason, f"column {column.name!r} {content}"))


def reject_row(batch: Batch, number: int, reason: str, detail: str) -> Reject:
    """Return the reject of one row of a batch.

    Parameters
    ----------
    batch
        The batch of the row.
    number
        Number of the row in `batch.rows`.
    reason, detail
        The kind of the fault in one word, and its description.

    Examples
    --------
    >>> import polars as pl
    >>> from fenchel_stream.streams import Batch
    >>> from fenchel_stream.validation import reject_row
    >>> batch = Batch(pl.DataFrame({"y": [None]}), ["a.csv:2"], {})
    >>> reject_row(batch, 0, "missing_target", "column 'y' is empty").raw
    '{"y": null}'
    """
    record = batch.rows.row(number, named=True) if batch.rows.width else {}
    key = None if batch.keys is None else batch.keys[number]
    return Reject(
        batch.where[number],
        reason,
        json.dumps(record, default=str, skipkeys=True)[:RAW_LIMIT],
        detail,
        None if batch.originals is None else batch.originals[number],
        None if key is None else str(key).encode(),
    )


def _no_column(role: str, name: str, columns: list[str]) -> str:
    return f"{role} column {name!r} does not exist; the stream has: {names_of(columns)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
