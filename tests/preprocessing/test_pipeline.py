"""Scaling and encoding: moments against NumPy, categories against River and polars."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from itertools import pairwise
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import linear_model, preprocessing
from river.checks import yield_checks

from fenchel_stream import FenchelClassifier
from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.preprocessing import OneHot, Standardize, pipeline

FRAMES = pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame, pa.table])
FLIGHT_CATEGORIES = ["carrier", "origin", "dest"]

numbers = st.one_of(st.none(), st.floats(-1e6, 1e6, width=32))
rows = st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=40)


@pytest.fixture(scope="module")
def flights(root: Path) -> pl.DataFrame:
    return pl.read_csv(root / "examples/data/flights.csv.gz", n_rows=3000)


def frame(values: list[tuple[float | None, ...]], names: str = "abc") -> pl.DataFrame:
    return pl.DataFrame(values, dict.fromkeys(names, pl.Float64), orient="row")


def records(data: Any) -> list[dict[str, Any]]:
    """Rows of any frame as dicts without what is missing."""
    converted = (
        pl.DataFrame(data) if isinstance(data, pl.DataFrame) else pl.from_arrow(pa.table(data))
    )
    assert isinstance(converted, pl.DataFrame)
    return [
        {k: v for k, v in row.items() if v is not None and v == v}
        for row in converted.iter_rows(named=True)
    ]


@pytest.mark.parametrize(
    "check",
    [
        pytest.param((model, check), id=f"{type(model).__name__}-{i}-{check.__name__}")
        for model in (Standardize(), OneHot(), OneHot(("ordinal_date", "gallup")))
        for i, check in enumerate(yield_checks(model))
    ],
)
def test_rivers_contract(check: tuple[Any, Callable[[Any], None]]) -> None:
    model, run = check
    run(model.clone())


class TestStandardize:
    @given(rows, st.lists(st.integers(0, 40), max_size=4))
    def test_moments_are_those_of_all_rows(
        self, values: list[tuple[float | None, ...]], cuts: list[int]
    ) -> None:
        scaler, every = Standardize(), frame(values)
        ends = [0, *sorted(cuts), len(values)]
        for start, end in pairwise(ends):
            scaler.learn_many(every[start:end])
        for name in every.columns:
            seen = every[name].drop_nulls().to_numpy()
            at = scaler.index[name]
            assert scaler.moments.count[at] == len(seen)
            if len(seen):
                scale = 1 + np.abs(seen).max()
                assert scaler.moments.mean[at] == pytest.approx(seen.mean(), abs=1e-12 * scale)
                variance = scaler.moments.squares[at] / len(seen)
                assert variance == pytest.approx(seen.var(), rel=1e-9, abs=1e-12 * scale**2)

    @given(rows)
    def test_rows_and_batches_agree(self, values: list[tuple[float | None, ...]]) -> None:
        one, many = Standardize(), Standardize()
        every = frame(values)
        many.learn_many(every[: len(every) // 2, :2])  # the third feature appears late
        many.learn_many(every[len(every) // 2 :])
        for i, row in enumerate(every.iter_rows(named=True)):
            late = i < len(every) // 2
            one.learn_one({k: v for k, v in row.items() if not (late and k == "c")})
        batch = many.transform_many(every)
        for i, row in enumerate(every.iter_rows(named=True)):
            scaled = one.transform_one(row)
            assert scaled.keys() == set("abc")
            assert list(scaled.values()) == pytest.approx(
                [batch[name][i] for name in scaled], rel=1e-6, abs=1e-6, nan_ok=True
            )

    def test_one_missing_value_does_not_end_it_as_it_ends_rivers(self) -> None:
        x = pl.DataFrame({"x": [1.0, None, 3.0]})
        more = pl.DataFrame({"x": [5.0, 7.0]})
        ours, rivers = Standardize(), preprocessing.StandardScaler()
        for scaler in (ours, rivers):
            scaler.learn_many(x)
            scaler.learn_many(more)
        assert isnan(rivers.vars["x"]), "River mends it: this class is no longer needed for that"
        assert ours.transform_many(more)["x"].to_list() == pytest.approx([5**-0.5, 3 / 5**0.5])

    @FRAMES
    def test_missing_values_stay_missing(self, kind: Callable[[Any], Any]) -> None:
        scaler = Standardize()
        x = kind({"x": [1.0, None, nan, 3.0], "n": [None] * 4, "b": [True, None, None, False]})
        scaler.learn_many(x)
        scaled = scaler.transform_many(x)
        assert type(scaled) is type(x)
        assert records(scaled) == [{"x": -1.0, "b": 1.0}, {}, {}, {"x": 1.0, "b": -1.0}]
        assert all(isnan(v) for v in scaler.transform_one({"x": None, "b": nan}).values())

    def test_a_pandas_index_is_kept(self) -> None:
        x = pd.DataFrame({"x": [1.0, 3.0], "o": [None, True], "s": ["a", "b"]}, index=[7, 7])
        model = pipeline(Standardize(columns=("none",)), one_hot=["s"])
        model.learn_many(x)
        encoded = model.transform_many(x)
        assert encoded.index.tolist() == [7, 7]
        assert encoded["x"].tolist() == [-1.0, 1.0]

    @given(st.floats(-1e99, 1e99), st.lists(st.integers(1, 50), min_size=1, max_size=6))
    def test_a_constant_is_0(self, constant: float, sizes: list[int]) -> None:
        scaler = Standardize()
        for size in sizes:
            scaler.learn_many(pl.DataFrame({"x": [constant] * size}))
            scaler.learn_one({"x": constant})
        assert scaler.transform_one({"x": constant}) == {"x": 0.0}
        assert scaler.transform_one({"x": constant * 0.5 + 1}) == {"x": 0.0}

    @pytest.mark.parametrize("far", [1e300, float("inf"), -float("inf"), 1e101])
    def test_what_is_out_of_range_is_clipped_and_teaches_nothing(self, far: float) -> None:
        one, many = Standardize(clip=5), Standardize(clip=5)
        for x in (1.0, far, 3.0, far):
            one.learn_one({"x": x})
        many.learn_many(pl.DataFrame({"x": [1.0, far, 3.0, far]}))
        for scaler in (one, many):
            assert scaler.transform_one({"x": 3.0}) == {"x": 1.0}
            clipped = 5.0 if far > 0 else -5.0
            assert scaler.transform_one({"x": far}) == {"x": clipped}
            assert scaler.transform_many(pl.DataFrame({"x": [far]}))["x"].to_list() == [clipped]

    def test_long_tails_are_clipped(self) -> None:
        rng = np.random.default_rng(0)
        scaler = Standardize()
        x = pl.DataFrame({"x": rng.standard_cauchy(5000)})
        scaler.learn_many(x)
        scaled = scaler.transform_many(x * 1e6)["x"]
        assert scaled.abs().max() == 10.0
        assert scaled.is_finite().all()

    def test_nothing_is_known_before_the_first_row(self) -> None:
        assert Standardize().transform_one({"x": 3.0}) == {"x": 0.0}
        assert Standardize().transform_many(pl.DataFrame({"x": [3.0]}))["x"].to_list() == [0.0]

    def test_what_is_not_a_number_is_named(self) -> None:
        for bad in (pl.DataFrame({"n": [1.0], "t": ["1.5"]}), pd.DataFrame({"t": ["1.5"]})):
            with pytest.raises(DataError, match=r"'t' is '1.5', not a number: name it in one_hot"):
                Standardize().learn_many(bad)
        for method in (Standardize().learn_one, Standardize().transform_one):
            with pytest.raises(DataError, match=r"'t' is '1.5', not a number"):
                method({"n": 1.0, "t": "1.5"})

    def test_only_what_was_asked_for_is_scaled(self) -> None:
        x = pl.DataFrame({"a": [1, 3], "b": [1, 3], "t": ["u", "v"]})
        for scaler in (Standardize(columns=("a",)), Standardize(skip=("b", "t"))):
            scaler.learn_many(x)
            assert scaler.transform_many(x).to_dict(as_series=False) == {
                "b": [1, 3],
                "t": ["u", "v"],
                "a": [-1.0, 1.0],
            }
            assert scaler.transform_one({"a": 3, "b": 1, "t": "u"}) == {"a": 1.0, "b": 1, "t": "u"}
        unscaled = Standardize(columns=("z",))
        assert unscaled.transform_many(x) is x

    def test_clip_must_be_positive(self) -> None:
        for clip in (0.0, -1.0, nan):
            with pytest.raises(ConfigError, match="positive"):
                Standardize(clip=clip)

    @pytest.mark.parametrize("same", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
    def test_copies_go_on_alike(self, same: Callable[[Any], Any]) -> None:
        rng = np.random.default_rng(1)
        scaler = Standardize()
        scaler.learn_many(pl.DataFrame(rng.normal(size=(30, 2)), ["a", "b"]))
        other = same(scaler)
        more = pl.DataFrame(rng.normal(size=(30, 3)), ["b", "a", "c"])
        for each in (scaler, other):
            each.learn_many(more)
        assert scaler.transform_many(more).equals(other.transform_many(more))


class TestOneHot:
    def test_learnt_categories_are_encoded_as_river_encodes_them(
        self, flights: pl.DataFrame
    ) -> None:
        x = flights.select(FLIGHT_CATEGORIES)
        ours, rivers = OneHot(tuple(x.columns)), preprocessing.OneHotEncoder()
        for start in range(0, len(x), 500):
            ours.learn_many(x[start : start + 500])
            rivers.learn_many(x[start : start + 500])
        expected = rivers.transform_many(x)
        encoded = ours.transform_many(x)
        assert sorted(encoded.columns) == expected.columns
        assert encoded.select(expected.columns).equals(expected.cast(pl.Float64))
        for row in x[:20].iter_rows(named=True):
            assert ours.transform_one(row) == rivers.transform_one(row)

    @FRAMES
    def test_rows_and_batches_agree(self, kind: Callable[[Any], Any]) -> None:
        x = kind({"s": ["a", None, "b", "a"], "i": [3, 1, None, 3], "x": [0.5, 1.5, 2.5, 3.5]})
        one, many = OneHot(("s", "i")), OneHot(("s", "i"))
        many.learn_many(x)
        for row in records(x):
            one.learn_one(row)
        assert one.categories.keys() == many.categories.keys()
        encoded = many.transform_many(x)
        assert type(encoded) is type(x)
        assert records(encoded) == [one.transform_one(row) for row in records(x)]
        assert records(encoded)[1] == {"x": 1.5, "s_a": 0, "s_b": 0, "i_3": 0, "i_1": 1}

    def test_a_missing_category_is_none_of_them(self) -> None:
        encoder = OneHot(("s", "f"))
        encoder.learn_many(pl.DataFrame({"s": ["None", None, ""], "f": [1.5, nan, 2.0]}))
        zeros = dict.fromkeys(("s_None", "s_", "f_1.5", "f_2"), 0)
        assert set(encoder.names) == set(zeros)
        for row in ({}, {"s": None, "f": nan}, {"s": "new", "f": np.float32("nan")}):
            assert encoder.transform_one(row) == zeros
        assert encoder.transform_one({"s": "None", "f": 2}) == zeros | {"s_None": 1, "f_2": 1}

    def test_pandas_own_missing_value(self) -> None:
        encoder = OneHot(("i",))
        encoder.learn_many(pd.DataFrame({"i": pd.array([1, None], dtype="Int64")}))
        assert encoder.names == ["i_1"]

    def test_transforming_learns_nothing(self) -> None:
        encoder = OneHot(("s",))
        encoder.learn_one({"s": "a"})
        before = pickle.dumps(encoder)
        encoder.transform_one({"s": "b"})
        encoded = encoder.transform_many(pl.DataFrame({"s": ["b", "a"], "x": [1, 2]}))
        assert encoded.to_dict(as_series=False) == {"x": [1, 2], "s_a": [0.0, 1.0]}
        assert pickle.dumps(encoder) == before

    def test_lists_are_not_categories(self) -> None:
        with pytest.raises(DataError, match="'s' holds no categories: unhashable"):
            OneHot(("s",)).learn_many(pl.DataFrame({"s": [["a"], ["b"]]}))

    def test_columns_stand_in_the_order_of_learning(self) -> None:
        # Were it the order of a set, it would hang on the seed with which Python hashes text.
        encoder = OneHot(("s", "t"))
        x = pl.DataFrame({"t": list("abcdefgh"), "s": list("hgfedcba")})
        encoder.learn_many(x)
        encoder.learn_many(pl.DataFrame({"t": ["z"], "s": ["a"]}))
        names = [f"s_{s}" for s in "hgfedcba"] + [f"t_{t}" for t in "abcdefghz"]
        assert encoder.transform_many(x).columns == names
        assert list(encoder.transform_one({})) == names


class TestPipeline:
    def test_rows_and_batches_agree_on_flights(self, flights: pl.DataFrame) -> None:
        x = flights.drop("late")
        one = pipeline(Standardize(columns=("none",)), one_hot=FLIGHT_CATEGORIES)
        many = one.clone()
        for start in range(0, 1000, 128):
            batch = x[start : min(start + 128, 1000)]
            many.learn_many(batch)
            for row in batch.iter_rows(named=True):
                one.learn_one(row)
        encoded = many.transform_many(x[1000:1100])
        assert set(encoded.columns) == (set(x.columns) - set(FLIGHT_CATEGORIES)) | {
            f"{name}_{category}" for name in FLIGHT_CATEGORIES for category in set(x[:1000, name])
        }
        for row, expected in zip(
            x[1000:1100].iter_rows(named=True), encoded.iter_rows(named=True), strict=True
        ):
            assert one.transform_one(row) == pytest.approx(expected, rel=1e-9, abs=1e-12)

    def test_a_model_behind_it_learns_alike(self, flights: pl.DataFrame) -> None:
        x, y = flights.drop("late")[:200], flights["late"][:200]
        one = pipeline(linear_model.LinearRegression(), one_hot=FLIGHT_CATEGORIES)
        many = one.clone()
        for i, row in enumerate(x.iter_rows(named=True)):
            one.learn_one(row, y[i])
            many.learn_many(x[i : i + 1], y[i : i + 1])
        predicted = many.predict_many(x).to_list()
        assert predicted == pytest.approx([one.predict_one(row) for row in x.to_dicts()])
        assert np.std(predicted) > 0

    def test_what_is_asked_for(self) -> None:
        model = linear_model.LinearRegression()
        assert str(pipeline(model)) == "Standardize | LinearRegression"
        assert str(pipeline(model, scale=False)) == "LinearRegression"
        assert str(pipeline(model, scale=[])) == "LinearRegression"
        assert str(pipeline(model, scale=False, one_hot=["s"])) == "OneHot | LinearRegression"
        chosen = pipeline(model, scale=["a"], one_hot=["s"])
        chosen.learn_one({"a": 1.0, "b": 5.0, "s": "u"}, 0.0)
        assert chosen.transform_one({"a": 2.0, "b": 5.0, "s": "u"}) == {"a": 0, "b": 5, "s_u": 1}

    def test_a_feature_is_either_scaled_or_a_category(self) -> None:
        with pytest.raises(ConfigError, match="month: a feature cannot be in both"):
            pipeline(linear_model.LinearRegression(), scale=["month"], one_hot=["month"])


@pytest.mark.parametrize(
    "column",
    [
        pd.cut([1.0, 5.0, 9.0], [0, 4, 8, 12]),
        pd.period_range("2024-01", periods=3, freq="M"),
        [1 + 2j, 2j, 0j],
        [b"x", b"y", b"z"],
    ],
    ids=["interval", "period", "complex", "bytes"],
)
def test_any_value_that_is_not_nested_is_a_category(column: Any) -> None:
    frame = pd.DataFrame({"c": pd.Series(column, dtype=object)})
    encoder = OneHot(("c",))
    encoder.learn_many(frame)
    assert encoder.transform_many(frame).to_numpy().tolist() == np.eye(3).tolist()


@pytest.mark.parametrize("value", [(1, 2), [1], {"a": 1}])
def test_a_nested_value_is_no_category(value: Any) -> None:
    with pytest.raises(DataError, match="feature 'c' holds no categories"):
        OneHot(("c",)).learn_one({"c": value})


@pytest.mark.parametrize("learner", [OneHot(("a",)), Standardize(), FenchelClassifier()])
@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(np.ones((3, 2)), columns=["a", "a"]),
        pa.table([[1.0] * 3, [2.0] * 3], names=["a", "a"]),
    ],
    ids=["pandas", "pyarrow"],
)
def test_two_columns_of_one_name(learner: Any, frame: Any) -> None:
    arguments = (frame, [0, 1, 0]) if isinstance(learner, FenchelClassifier) else (frame,)
    with pytest.raises(DataError, match="two columns of a frame have one name"):
        learner.learn_many(*arguments)
