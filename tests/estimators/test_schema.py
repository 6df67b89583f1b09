"""From rows and frames to matrices, whatever names, values and libraries they come with."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenchel_stream.errors import DataError
from fenchel_stream.estimators.schema import Schema, frame_values, row_values
from fenchel_stream.network.arrays import LARGEST

FRAMES: dict[str, Callable[[dict[str, list[Any]]], Any]] = {
    "pandas": pd.DataFrame,
    "polars": lambda columns: pl.DataFrame(columns, strict=False),
    "pyarrow": pa.table,
}
LIBRARIES = pytest.mark.parametrize("library", FRAMES)
Row = dict[Hashable, Any]
NAMES: st.SearchStrategy[Hashable] = st.sampled_from("abcdef")
ROWS = st.dictionaries(NAMES, st.floats(-9, 9), max_size=6)


def values(frame: Any) -> np.ndarray[Any, Any]:
    return np.asarray(frame_values(frame)[1])


class TestPlaces:
    @given(rows=st.lists(ROWS, max_size=6), unseen=ROWS)
    def test_a_name_keeps_its_column(self, rows: list[Row], unseen: Row) -> None:
        schema = Schema()
        known: list[Hashable] = []
        for row in rows:
            new = schema.extend(tuple(row))
            assert new == sorted(set(row) - set(known), key=str)
            known += new
        assert list(schema.columns) == known
        for row in (*rows, unseen):
            expected = [[row.get(name, 0.0) for name in known]]
            assert schema.place(tuple(row), row_values(row)).tolist() == expected
        assert list(schema.columns) == known

    @given(row=ROWS, order=st.randoms(use_true_random=False))
    def test_columns_do_not_depend_on_the_order_in_a_row(self, row: Row, order: Any) -> None:
        names = list(row)
        order.shuffle(names)
        one, other = Schema(), Schema()
        one.extend(tuple(row))
        other.extend(tuple(names))
        assert list(one.columns) == list(other.columns)

    @given(
        names=st.lists(st.sampled_from("abcdef"), unique=True, max_size=6),
        learnt=st.lists(st.sampled_from("abcdef"), unique=True, max_size=6),
        m=st.integers(0, 4),
    )
    def test_a_matrix_is_placed_as_its_rows(
        self, names: list[str], learnt: list[str], m: int
    ) -> None:
        schema = Schema()
        schema.extend(tuple(learnt))
        matrix = np.random.default_rng(0).normal(size=(m, len(names)))
        expected = [schema.place(tuple(names), row.tolist())[0].tolist() for row in matrix]
        assert schema.place(tuple(names), matrix).tolist() == expected

    def test_names_may_be_anything_hashable(self) -> None:
        row: Row = {1: 1.0, "1": 2.0, ("a", 1): 3.0, None: 4.0, 2.5: 5.0, "": 6.0}
        schema = Schema()
        schema.extend(tuple(row))
        backwards = dict(reversed(row.items()))
        placed = schema.place(tuple(row), row_values(row))
        assert sorted(placed[0]) == [1, 2, 3, 4, 5, 6]
        assert (schema.place(tuple(backwards), row_values(backwards)) == placed).all()

    def test_a_row_without_features(self) -> None:
        schema = Schema()
        assert schema.place((), []).shape == (1, 0)
        schema.extend(("b", "a"))
        assert schema.place((), []).tolist() == [[0, 0]]
        assert schema.place((), np.zeros((3, 0))).tolist() == [[0, 0]] * 3


NUMBERS: list[tuple[Any, float]] = [
    (3, 3.0),
    (-2.5, -2.5),
    (True, 1.0),
    (np.bool_(True), 1.0),
    (np.int8(-128), -128.0),
    (np.uint8(200), 200.0),
    (np.int64(-(2**40)), -(2.0**40)),
    (np.float16(6e4), float(np.float16(6e4))),
    (np.float32(0.1), float(np.float32(0.1))),
    (np.float32(3e38), LARGEST),
    (np.longdouble(1.5), 1.5),
    (Fraction(1, 4), 0.25),
    (Decimal("1.5"), 1.5),
    (10**18, LARGEST),
    (-(10**400), -LARGEST),
    (1e300, LARGEST),
    (-1e300, -LARGEST),
    (None, math.nan),
    (math.nan, math.nan),
    (np.float32("nan"), math.nan),
    (Decimal("nan"), math.nan),
    (pd.NaT, math.nan),
    (np.datetime64("NaT"), math.nan),
]
NO_NUMBERS: list[Any] = [
    "x",
    "1.5",
    "",
    b"1",
    1j,
    [1.0],
    {},
    np.array([1.0, 2.0]),
    date(2020, 1, 1),
    timedelta(1),
    np.timedelta64(1, "s"),
    np.datetime64("2020-01-01"),
]


class TestRowValues:
    @pytest.mark.parametrize(("value", "expected"), NUMBERS, ids=repr)
    def test_numbers(self, value: Any, expected: float) -> None:
        # Alone, beside an ordinary number, and beside itself.
        rows: list[Row] = [{"a": value}, {"a": 0.5, "b": value}, {"a": value, "b": value}]
        for row in rows:
            np.testing.assert_equal(float(row_values(row)[-1]), expected)
        numbers = row_values({"a": value, "b": 1.0, "c": None})
        np.testing.assert_equal([float(number) for number in numbers], [expected, 1.0, math.nan])

    @pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
    def test_what_is_no_number_is_named(self, value: Any) -> None:
        rows: list[Row] = [{"bad": value}, {"a": 1.0, "bad": value, "c": None}]
        for row in rows:
            with pytest.raises(DataError, match="feature 'bad' is .*not a number"):
                row_values(row)

    @pytest.mark.parametrize(
        "value", [math.inf, -math.inf, np.float32("inf"), Decimal("inf")], ids=repr
    )
    def test_infinite_features_are_named(self, value: Any) -> None:
        rows: list[Row] = [{"bad": value}, {"a": 1, "bad": value, "c": None, "d": math.nan}]
        for row in rows:
            with pytest.raises(DataError, match="feature 'bad' is infinite"):
                row_values(row)

    def test_large_numbers_do_not_hide_behind_their_opposites(self) -> None:
        assert row_values({"a": 1e300, "b": -1e300}) == [LARGEST, -LARGEST]

    def test_an_empty_row(self) -> None:
        assert row_values({}) == []


TABLES: dict[str, dict[str, list[Any]]] = {
    "floats": {"a": [1.5, -2.0, 1.7e308], "b": [1.7e308, -1e300, 3.0]},
    "missing": {"a": [1.5, None, math.nan], "b": [None, 2.0, 3.0]},
    "integers": {"a": [1, 2, 3], "b": [10**18, -(10**18), 0]},
    "missing integers": {"a": [1, None, 3], "b": [1, 2, 3]},
    "booleans": {"a": [True, False, True]},
    "missing booleans": {"a": [True, None, False], "b": [1.0, 2.0, None]},
    "nothing": {"a": [None, None, None], "b": [1.0, 2.0, 3.0]},
    "decimals": {"a": [Decimal("1.5"), None, Decimal(-2)], "b": [1, 2, 3]},
    "mixed types": {"a": [1, 2, 3], "b": [True, False, True], "c": [0.5, None, 1.5]},
    "extreme integers": {"a": [2**63 - 1, -(2**63), 2**63 - 1], "b": [2**63 - 1, 0, -5]},
    "empty": {"a": [], "b": []},
}


class TestFrameValues:
    @LIBRARIES
    @pytest.mark.parametrize("table", TABLES)
    def test_agree_with_those_of_rows(self, library: str, table: str) -> None:
        columns = TABLES[table]
        numbers = values(FRAMES[library](columns))
        rows = [
            row_values(dict(zip(columns, row, strict=True)))
            for row in zip(*columns.values(), strict=True)
        ]
        assert numbers.shape == (len(rows), len(columns))
        np.testing.assert_equal(numbers, np.array(rows, float).reshape(numbers.shape))

    @pytest.mark.parametrize("dtype", ["Int64", "boolean", "Float32", "int64[pyarrow]"])
    def test_extension_types_of_pandas(self, dtype: str) -> None:
        frame = pd.DataFrame({"a": [1, None, 0], "b": [1, 1, None]}).astype(dtype)
        np.testing.assert_equal(values(frame), [[1, 1], [math.nan, 1], [0, math.nan]])

    @pytest.mark.parametrize(
        "column",
        [
            pd.Series([1, None, True, 2.5], dtype=object),
            pl.Series("a", [1, None, True, 2.5], dtype=pl.Object),
        ],
        ids=["pandas", "polars"],
    )
    def test_columns_of_python_objects(self, column: Any) -> None:
        frame = column.to_frame("a") if isinstance(column, pd.Series) else column.to_frame()
        np.testing.assert_equal(values(frame), [[1.0], [math.nan], [1.0], [2.5]])

    def test_an_index_that_repeats(self) -> None:
        frame = pd.DataFrame(
            {"a": pd.Series([1, None, True], dtype=object, index=[7, 3, 7]), "b": [1.0, 2.0, 3.0]}
        )
        np.testing.assert_equal(values(frame), [[1, 1], [math.nan, 2], [1, 3]])

    @pytest.mark.parametrize("dtype", ["int8", "uint8", "uint64", "float32", "float16"])
    def test_small_types_do_not_overflow(self, dtype: str) -> None:
        info = np.finfo(dtype) if dtype.startswith("f") else np.iinfo(dtype)
        column = np.array([info.min, 0, info.max], dtype)
        numbers = values(pd.DataFrame({"a": column, "b": column, "c": column}))
        expected = column.astype(float).clip(-LARGEST, LARGEST)
        assert numbers.tolist() == np.column_stack([expected] * 3).tolist()

    @LIBRARIES
    @pytest.mark.parametrize(
        "column",
        [["x", None, "y"], [date(2020, 1, 1)] * 3, [timedelta(1)] * 3, [[1.0], [2.0], [3.0]]],
        ids=["text", "dates", "durations", "lists"],
    )
    def test_a_column_that_is_no_number_is_named(self, library: str, column: list[Any]) -> None:
        with pytest.raises(DataError, match="feature 'bad' is .*not a number"):
            values(FRAMES[library]({"a": [1.0, 2.0, 3.0], "bad": column}))

    @LIBRARIES
    @pytest.mark.parametrize("value", [math.inf, -math.inf])
    def test_infinite_values_are_named(self, library: str, value: float) -> None:
        columns: dict[str, list[Any]] = {"a": [1.0, None, 3.0], "bad": [1.0, 2.0, value]}
        with pytest.raises(DataError, match="feature 'bad' is infinite in row 2 of the batch"):
            values(FRAMES[library](columns))

    @pytest.mark.parametrize("columns", [range(3), ["a", 1, ("b", 2)]], ids=["numbers", "mixed"])
    def test_names_of_pandas_may_be_anything(self, columns: Any) -> None:
        frame = pd.DataFrame(np.arange(6.0).reshape(2, 3), columns=pd.Index(columns, dtype=object))
        assert values(frame).tolist() == [[0, 1, 2], [3, 4, 5]]
