"""Any value in any role through the estimators and `evaluate`: learnt, or refused in one line."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from decimal import Decimal
from typing import Any
from uuid import UUID

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import metrics

from fenchel_stream import FenchelClassifier, FenchelRegressor, evaluate
from fenchel_stream.errors import DataError
from fenchel_stream.preprocessing import OneHot, Standardize
from fenchel_stream.state import pack, restore
from fenchel_stream.validation.columns import to_categories
from fenchel_stream.values import class_names, is_class, is_missing, to_category

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(st.characters(codec=None, exclude_categories=()), max_size=4),
    st.decimals(),
    st.dates(),
    st.datetimes(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.sampled_from([pd.NA, pd.NaT, np.datetime64("NaT"), np.float32(1.5), np.int8(3)]),
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(st.text(), SCALARS))
FRAMES = [pl.DataFrame, pa.table, pd.DataFrame]


@given(VALUES, VALUES)
@settings(max_examples=60, deadline=None)
def test_a_row_is_learnt_or_refused(feature: Any, label: Any) -> None:
    for model in (FenchelClassifier(hidden=(2,)), FenchelRegressor(hidden=(2,))):
        model.learn_one({"a": 1.0}, 0)
        with suppress(DataError):  # the documented error
            model.learn_one({"a": feature}, label)
            model.predict_one({"a": feature})
        assert model.predict_one({"a": 1.0}) is not None


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_every_row_of_an_evaluation_is_counted(rows: list[tuple[Any, Any]]) -> None:
    pairs = [({"a": 1.0}, None if isinstance(label, dict) else label) for _, label in rows]
    model = FenchelRegressor(hidden=(2,))
    result = evaluate(model, pairs, metrics.MAE(), progress=False)
    assert result.rows + result.rejected == len(pairs)


@given(st.lists(SCALARS.filter(is_class), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_a_class_is_one_for_model_frame_and_checkpoint(labels: list[Any]) -> None:
    model = FenchelClassifier(hidden=(2,))
    X = pl.DataFrame({"a": np.arange(len(labels), dtype=float)})
    model.learn_many(X, labels)
    assert list(model.classes) == list(dict.fromkeys(labels))
    for make in FRAMES:
        frame = make({"a": [0.0, 1.0]})
        sums = nw.from_native(model.predict_proba_many(frame), eager_only=True).to_numpy().sum(1)
        assert sums == pytest.approx([1.0, 1.0], abs=1e-6)
        assert len(model.predict_many(frame)) == 2
    again = restore(FenchelClassifier(hidden=(2,)), *pack(model))
    assert again.predict_proba_one({"a": 1.0}) == model.predict_proba_one({"a": 1.0})
    assert list(map(type, again.classes)) == list(map(type, model.classes))


@given(st.lists(st.one_of(st.booleans(), st.integers(-3, 3), st.text(max_size=2)), max_size=9))
def test_names_of_classes_are_unique(labels: list[Any]) -> None:
    classes = list(dict.fromkeys(labels))
    assert len(set(class_names(classes))) == len(classes)


@given(st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text()))
def test_a_category_is_the_same_in_a_column_and_alone(value: Any) -> None:
    for column in (pl.Series([value]), pl.Series([value], dtype=pl.Object)):
        categories, _ = to_categories(column)
        if not is_missing(value):
            assert categories.to_list() == [to_category(value)]


NAMES = st.text(alphabet="ab_'", max_size=4)


@given(
    st.lists(st.dictionaries(st.sampled_from(["a", "a_b", "a_b_a"]), NAMES), max_size=6),
    st.lists(NAMES, max_size=3),
)
def test_columns_of_categories_are_unique(rows: list[dict[str, str]], plain: list[str]) -> None:
    encoder = OneHot(("a", "a_b"))
    pairs: set[tuple[str, Any]] = set()
    for row in rows:
        x = {**dict.fromkeys(plain, 1.5), **row}
        encoder.learn_one(x)
        pairs |= {(name, value) for name, value in x.items() if name in encoder.categories}
        encoded = encoder.transform_one(x)
        rest = x.keys() - encoder.categories.keys()
        assert len(encoded) == len({(n, to_category(v)) for n, v in pairs}) + len(rest)
        assert all(encoded[name] == x[name] for name in rest)
        if x:
            assert len(encoder.transform_many(pl.DataFrame([x])).columns) == len(encoded)


COLUMNS = {
    "decimal": pl.Series([Decimal("1.5"), None], dtype=pl.Decimal(10, 2)),
    "int128": pl.Series([2**100, 1], dtype=pl.Int128),
    "bool": pl.Series([True, None]),
    "null": pl.Series([None, None]),
    "text": pl.Series(["a", None]),
    "date": pl.Series([dt.date(2024, 1, 1), None]),
    "duration": pl.Series([dt.timedelta(1), None]),
    "list": pl.Series([[1], None]),
    "struct": pl.Series([{"a": 1}, None]),
    "binary": pl.Series([b"a", None]),
    "category": pl.Series(["a", None], dtype=pl.Categorical),
    "object": pl.Series([UUID(int=1), 2**70], dtype=pl.Object),
    "sparse": pd.arrays.SparseArray([0.0, 1.0]),
    "extension": pd.array([1, None], dtype="Int64"),
    "arrow": pd.array([1.5, None], dtype="double[pyarrow]"),
    "interval": pd.arrays.IntervalArray.from_breaks([0, 1, 2]),
    "period": pd.period_range("2024", periods=2),
    "zoned": pd.date_range("2024", periods=2, tz="UTC"),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_column_of_any_type_is_learnt_or_refused(kind: str) -> None:
    column = COLUMNS[kind]
    X = pl.DataFrame({"a": column}) if isinstance(column, pl.Series) else pd.DataFrame({0: column})
    for model in (FenchelClassifier(hidden=(2,)), Standardize(), OneHot(tuple(X.columns))):
        with suppress(DataError):  # the documented error
            if isinstance(model, FenchelClassifier):
                model.learn_many(X, [0, 1])
                assert len(model.predict_many(X)) == 2
            else:
                model.learn_many(X)
                assert len(model.transform_many(X)) == 2


@pytest.mark.parametrize("make", FRAMES)
def test_a_frame_of_categories_alone_whose_first_is_missing(make: Any) -> None:
    model = OneHot(("a",)) | FenchelClassifier(hidden=(2,))
    for values in ([None], ["x"], ["y"]):
        X = make({"a": pa.array(values, pa.string())} if make is pa.table else {"a": values})
        model.learn_many(X, pd.Series([1]))
        assert len(model.predict_many(X)) == 1


@pytest.mark.parametrize(
    "names", [["a", "b"], [0, 1], pd.MultiIndex.from_tuples([("a", 1), ("a", 2)])]
)
def test_a_frame_of_pandas_may_have_names_that_are_no_text(names: Any) -> None:
    X = pd.DataFrame([[1, 2], [3, None], [5, 6]], dtype=object)
    X.columns = names
    model = Standardize() | FenchelClassifier(hidden=(2,))
    model.learn_many(X, pd.Series([0, 1, 0]))
    assert len(model.predict_many(X)) == 3


@pytest.mark.parametrize("label", [np.nan, pd.NaT, None, pd.NA])
def test_a_missing_label_is_rejected_and_ends_no_evaluation(label: Any) -> None:
    pairs = [({"a": 1.0}, "u"), ({"a": 2.0}, label), ({"a": 3.0}, "v")]
    result = evaluate(FenchelClassifier(hidden=(2,)), pairs, metrics.Accuracy(), progress=False)
    assert (result.rows, result.rejected) == (2, 1)
