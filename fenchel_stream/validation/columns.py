"""Conversion of columns of any type to numbers, categories or times.

Read this module to learn which values of a stream count as a number, a category or a time.
"""

from __future__ import annotations

import math

import polars as pl

from fenchel_stream.validation.times import to_time
from fenchel_stream.values import is_missing, to_category, to_number, to_text

# What polars converts, of the texts that `to_time` knows. Everything else is left to `to_time`.
_COMMON = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?[+-][0-9]{2}:[0-9]{2}$"
_FORM = "%Y-%m-%dT%H:%M:%S%.f%:z"


def to_numbers(column: pl.Series) -> tuple[pl.Series, pl.Series | None]:
    """Return the column as Float64, and which of its values are no numbers.

    Numbers, booleans (0 and 1), and text that spells a number or a boolean count as numbers. White
    space around the text is ignored. Blank text is a missing value. NaN and infinities count as
    numbers here.

    Parameters
    ----------
    column
        A column of any type, length n.

    Returns
    -------
    numbers
        Length n, Float64, null where a value is missing or is no number.
    wrong
        Length n, true where a value is present but is no number; None without such a value.

    Examples
    --------
    >>> import polars as pl
    >>> from fenchel_stream.validation.columns import to_numbers
    >>> numbers, wrong = to_numbers(pl.Series(["1.5", " 2 ", "", "true", "UA"]))
    >>> numbers.to_list(), wrong.to_list()
    ([1.5, 2.0, None, 1.0, None], [False, False, False, False, True])
    """
    kind = column.dtype
    if kind == pl.String:
        return _spelled(column)
    if kind == pl.Float64:
        return column, None
    if kind.is_numeric() or kind in (pl.Boolean, pl.Null):
        return column.cast(pl.Float64), None
    if kind in (pl.Categorical, pl.Enum):
        return to_numbers(column.cast(pl.String))
    if kind == pl.Object:
        return _mixed_numbers(column)
    wrong = column.is_not_null()
    nothing = pl.Series(column.name, [None] * len(column), pl.Float64)
    return nothing, wrong if wrong.any() else None


def to_categories(column: pl.Series) -> tuple[pl.Series, pl.Series | None]:
    """Return the column as text, and which of its values are nested and therefore no categories.

    The text of a value does not depend on the other values: 1 and 1.0 are the category ``"1"``, and
    true is ``"true"``.

    Parameters
    ----------
    column
        A column of any type, length n.

    Returns
    -------
    categories
        Length n, String, null where a value is missing or nested.
    wrong
        Length n, true where a value is nested; None without such a value.

    Examples
    --------
    >>> import polars as pl
    >>> from fenchel_stream.validation.columns import to_categories
    >>> to_categories(pl.Series([1.0, 2.5, None]))[0].to_list()
    ['1', '2.5', None]
    """
    kind = column.dtype
    if kind.is_float():
        whole = column.cast(pl.Int64, strict=False)
        same = (whole.cast(kind) == column).fill_null(value=False)
        return whole.cast(pl.String).zip_with(same, column.cast(pl.String)), None
    if kind == pl.Object:
        return _mixed_categories(column)
    if kind.is_nested() or kind in (pl.Binary, pl.Duration):
        wrong = column.is_not_null()
        nothing = pl.Series(column.name, [None] * len(column), pl.String)
        return nothing, wrong if wrong.any() else None
    return column.cast(pl.String), None


def to_seconds(column: pl.Series) -> tuple[pl.Series, pl.Series | None]:
    """Return the times of a column as seconds since 1970, and which of its values are no times.

    Numbers, and text that spells a number, are seconds: ``"20240101"`` is a number. `to_time` says
    which other values are times.

    Parameters
    ----------
    column
        A column of any type, length n.

    Returns
    -------
    seconds
        Length n, Float64, null where a value is missing or is no time.
    wrong
        Length n, true where a value is present but is no time; None without such a value.

    Examples
    --------
    >>> import polars as pl
    >>> from fenchel_stream.validation.columns import to_seconds
    >>> to_seconds(pl.Series(["60", "1970-01-01T00:01:00Z", "1970-01-01T02:01+02:00"]))[0].to_list()
    [60.0, 60.0, 60.0]
    """
    kind = column.dtype
    if kind in (pl.Datetime, pl.Date):
        return column.cast(pl.Datetime("us")).dt.epoch("us") / 1e6, None
    if kind in (pl.Categorical, pl.Enum):
        return to_seconds(column.cast(pl.String))
    seconds, wrong = to_numbers(column)
    if kind == pl.String and wrong is not None:
        seconds = seconds.zip_with(seconds.is_not_null(), _common(column))
    finite = seconds.is_finite().fill_null(value=False)
    seconds = seconds.zip_with(finite, pl.Series([None], dtype=pl.Float64))
    left = (~finite & column.is_not_null()).arg_true().to_list()
    if not left:
        return seconds, None
    unusable = [False] * len(column)
    for number in left:
        value = column[number]
        time = to_time(value) if kind in (pl.String, pl.Object) else None
        if time is not None:
            seconds[number] = time
        elif not (is_missing(value) or (isinstance(value, str) and not value.strip())):
            unusable[number] = True
    return seconds, pl.Series(unusable) if any(unusable) else None


def not_finite(numbers: pl.Series) -> pl.Series | None:
    """Return which values are NaN or infinite; None without such a value.

    Examples
    --------
    >>> import polars as pl
    >>> from fenchel_stream.validation.columns import not_finite
    >>> not_finite(pl.Series([1.0, None, float("inf")])).to_list()
    [False, False, True]
    """
    # The sum is finite only if all values are. It is the cheapest test.
    if math.isfinite(numbers.sum()):
        return None
    wrong = (~numbers.is_finite()).fill_null(value=False)
    return wrong if wrong.any() else None


def _common(column: pl.Series) -> pl.Series:
    """Return the times of the texts in the usual form, null for all others."""
    text = column.str.strip_chars().str.replace(r"[zZ]$", "+00:00")
    text = text.str.replace(r"^(\S+)[ t]", "${1}T").str.replace(",", ".", literal=True)
    text = text.str.replace(r"(T[0-9:.]+)$", "${1}+00:00")
    text = text.str.replace(r"(T[0-9:.]+[+-][0-9]{2})([0-9]{2})?$", "${1}:${2}")
    text = text.str.replace(r":$", ":00")
    # Polars knows a year 0, a second 60 and offsets of more than a day.
    usual = text.str.contains(_COMMON) & ~text.str.contains(r"^0000|:60|[+-](2[4-9]|[3-9])[0-9]:")
    text = text.zip_with(usual, pl.Series([None], dtype=pl.String))
    times = text.str.to_datetime(_FORM, time_unit="us", time_zone="UTC", strict=False)
    return times.dt.epoch("us") / 1e6


def _spelled(column: pl.Series) -> tuple[pl.Series, pl.Series | None]:
    numbers = column.cast(pl.Float64, strict=False)
    if numbers.null_count() == column.null_count():
        return numbers, None
    text = column.str.strip_chars().str.to_lowercase()
    text = text.replace(["", "true", "false"], [None, "1", "0"])
    numbers = text.cast(pl.Float64, strict=False)
    wrong = text.is_not_null() & numbers.is_null()
    return numbers, wrong if wrong.any() else None


def _mixed_numbers(column: pl.Series) -> tuple[pl.Series, pl.Series | None]:
    values = column.to_list()
    texts = [to_text(value) if isinstance(value, str) else None for value in values]
    numbers, _ = _spelled(pl.Series(column.name, texts, pl.String))
    plain = [None if value is None else to_number(value) for value in values]
    others = pl.Series(column.name, plain, pl.Float64)
    numbers = others.zip_with(others.is_not_null(), numbers)
    blank = [value is None or (isinstance(value, str) and not value.strip()) for value in values]
    wrong = numbers.is_null() & ~pl.Series(blank, dtype=pl.Boolean)
    return numbers, wrong if wrong.any() else None


def _mixed_categories(column: pl.Series) -> tuple[pl.Series, pl.Series | None]:
    values = column.to_list()
    categories = pl.Series(column.name, list(map(to_category, values)), pl.String)
    present = pl.Series([not is_missing(value) for value in values], dtype=pl.Boolean)
    wrong = categories.is_null() & present
    return categories, wrong if wrong.any() else None
