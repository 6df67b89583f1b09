"""What one value of a row means: whether it is missing, and which number it is.

Read this module to learn which Python, NumPy and pandas objects count as a number. Estimators,
preprocessing and validation all ask these functions, so that they agree.
"""

from __future__ import annotations

from decimal import Decimal
from math import inf, nan
from numbers import Real
from typing import Any

import numpy as np


def is_missing(value: Any) -> bool:
    """Return whether a value is missing: None, NaN or the NA of pandas.

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
    # The name identifies NA without an import of pandas, which is optional.
    return type(value).__name__ == "NAType"


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
