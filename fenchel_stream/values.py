"""What one value of a row means: whether it is missing, and its number, class or category.

Read this module to learn which Python, NumPy and pandas objects count as what. Estimators,
preprocessing, validation and connectors all ask these functions, so that they agree.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from math import inf, nan
from numbers import Integral, Real
from typing import Any
from uuid import UUID

import numpy as np
import polars as pl

HUGE = 1e100
"""A target must be smaller: the square of a larger number spoils a running variance."""

CLASSES = (bool, int, float, str, Decimal, dt.date, dt.time, dt.timedelta, UUID)
"""Types of classes. A checkpoint can hold each of them, and so can the output of a run."""

_HUGE_INTEGER = 2**63

_NESTED = (Mapping, AbstractSet, list, tuple, np.ndarray, pl.Series)


def is_missing(value: Any) -> bool:
    """Return whether a value is missing: None, NaN, or the NA and NaT of pandas.

    Examples
    --------
    >>> from fenchel_stream.values import is_missing
    >>> [is_missing(value) for value in (None, float("nan"), 0.0, "", False)]
    [True, True, False, False, False]
    """
    if value is None:
        return True
    if isinstance(value, (float, np.floating)):
        return bool(value != value)
    if isinstance(value, Decimal):
        return value.is_nan()
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return bool(np.isnat(value))
    # The name identifies NA without an import of pandas, which is optional.
    return type(value).__name__ in {"NAType", "NaTType"}


def to_number(value: Any) -> float | None:
    """Return a value as a float: NaN for a missing value, None for a value that is no number.

    Numbers are integers, floats, booleans (0 and 1), fractions and decimals, of Python or NumPy.
    Text and times are not numbers. A finite number beyond the largest float becomes infinite, but
    does not equal this result. A value that was infinite equals it.

    Examples
    --------
    >>> from decimal import Decimal
    >>> from fenchel_stream.values import to_number
    >>> [to_number(value) for value in (3, True, Decimal("1.5"), None, -(10**400), "3")]
    [3.0, 1.0, 1.5, nan, -inf, None]
    """
    if type(value) is float:
        return value
    if is_missing(value):
        return nan
    if not isinstance(value, (Real, Decimal, np.bool_)) or isinstance(value, np.timedelta64):
        return None
    try:
        return float(value)
    except OverflowError:
        return inf if value > 0 else -inf  # type: ignore[operator]


def to_target(value: Any) -> float | None:
    """Return a regression target as a float; None for a value that cannot be one.

    A target is a number that is smaller than `HUGE`. Missing values cannot be targets.

    Examples
    --------
    >>> from decimal import Decimal
    >>> from fenchel_stream.values import to_target
    >>> [to_target(value) for value in (Decimal("3.5"), 1e300, None, "3")]
    [3.5, None, None, None]
    """
    number = to_number(value)
    return number if number is not None and abs(number) < HUGE else None


def is_class(value: Any) -> bool:
    r"""Return whether a value can be a class of a stream.

    A class is a value of one of the types `CLASSES` that is not missing. A class is its value and
    its type: 1 and ``"1"`` are two classes. Python's equal numbers 1, 1.0 and True are one, because
    River's models and metrics look classes up in dicts. Text with half a surrogate pair is no
    class, because no file can hold it.

    Examples
    --------
    >>> from fenchel_stream.values import is_class
    >>> [is_class(value) for value in ("a", 2**70, float("nan"), None, ["a"], "\ud83d")]
    [True, True, False, False, False, False]
    """
    if isinstance(value, str):
        return to_text(value) == value
    if isinstance(value, Decimal):
        return value.is_finite()
    return isinstance(value, (*CLASSES, np.generic)) and not is_missing(value)


def class_names(classes: Iterable[Any]) -> list[str]:
    """Return one name per class for the columns of a frame; no two classes have the same name.

    The name is the text of the class. If an earlier class has the same text, the type follows.

    Examples
    --------
    >>> from fenchel_stream.values import class_names
    >>> class_names([1, "1", True, "yes"])
    ['1', '1 (str)', 'True', 'yes']
    """
    names: dict[str, None] = {}
    for label in classes:
        name = to_text(str(label))
        while name in names:
            name = f"{name} ({type(label).__name__})"
        names[name] = None
    return list(names)


def to_category(value: Any) -> str | None:
    """Return a value as the text of a category; None for a missing value, or one that is nested.

    A category is a pair: the name of the feature and this text. The text of a value does not depend
    on other values: 1 and 1.0 are ``"1"``, and true is ``"true"``.

    Examples
    --------
    >>> from fenchel_stream.values import to_category
    >>> [to_category(value) for value in (1, 1.0, 2.5, True, "a", None, ["a"])]
    ['1', '1', '2.5', 'true', 'a', None, None]
    """
    if isinstance(value, str):
        return to_text(value)
    if is_missing(value):
        return None
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).lower()
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        number = float(value)
        if number.is_integer() and abs(number) < _HUGE_INTEGER:
            return str(int(number))
        # As polars writes it, so that a column of one type and one of several types agree.
        return str(pl.Series([number], dtype=pl.Float64).cast(pl.String)[0])
    return None if isinstance(value, _NESTED) else str(value)


def to_text(value: str) -> str:
    r"""Return text that a column or a file can hold: half a surrogate pair is spelled out.

    Examples
    --------
    >>> from fenchel_stream.values import to_text
    >>> to_text("a"), to_text("\ud83d")
    ('a', '\\ud83d')
    """
    return value.encode("utf-8", "backslashreplace").decode()
