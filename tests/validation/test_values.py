"""What counts as missing and as a number, against NumPy's and Python's own conversions."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenchel_stream.values import is_missing, to_number

FINITE = (
    st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(10**300), 10**300)
    | st.fractions(-(10**6), 10**6)
    | st.decimals(-(10**6), 10**6, allow_nan=False)
)


@given(value=FINITE)
def test_a_finite_number_is_its_float(value: Any) -> None:
    assert to_number(value) == float(value)
    assert not is_missing(value)


@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i8", "u8", "f2", "f4", "f8", "g"])
def test_numbers_of_numpy(dtype: str) -> None:
    value = np.ones(1, dtype)[0]
    assert to_number(value) == 1.0
    assert type(to_number(value)) is float


@pytest.mark.parametrize(
    "value",
    [
        None,
        math.nan,
        np.float32("nan"),
        np.longdouble("nan"),
        Decimal("nan"),
        Decimal("sNaN"),
        pd.NA,
    ],
    ids=repr,
)
def test_missing_values(value: Any) -> None:
    number = to_number(value)
    assert is_missing(value)
    assert number is not None
    assert math.isnan(number)


@pytest.mark.parametrize(
    "value",
    [
        "1.5",
        "",
        b"1",
        1j,
        np.complex128(1),
        [1.0],
        {},
        timedelta(1),
        np.timedelta64(1, "s"),
        pytest.param(object(), id="object"),
    ],
    ids=repr,
)
def test_what_is_no_number(value: Any) -> None:
    assert to_number(value) is None
    assert not is_missing(value)


@pytest.mark.parametrize("sign", [1, -1])
def test_only_infinite_values_equal_infinity(sign: int) -> None:
    for value in (10**400, 10**5000, Fraction(10**400, 3), Decimal("1e400")):
        number = to_number(sign * value)
        assert number == sign * math.inf
        assert sign * value != number
    for infinite in (math.inf, np.float32("inf"), Decimal("inf")):
        assert to_number(sign * infinite) == sign * infinite
