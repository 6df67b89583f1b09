from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenchel_connectors import CsvSource, IterableSource, RiverSource
from fenchel_connectors.records import to_frame
from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.streams.source import Batch
from fenchel_stream.validation.row_check import CheckedRows, Kind, RowCheck


def batch_of(frame: pl.DataFrame, **options: Any) -> Batch:
    return Batch(frame, [f"row {number}" for number in range(frame.height)], {}, **options)


def check(
    frame: pl.DataFrame | dict[str, Any],
    target: str | list[str] = "y",
    kind: Kind = "classification",
    **options: Any,
) -> CheckedRows:
    frame = pl.DataFrame(frame) if isinstance(frame, dict) else frame
    return RowCheck(target, kind, **options)(batch_of(frame))


def labels(checked: CheckedRows) -> pl.Series:
    assert isinstance(checked.y, pl.Series)
    return checked.y


def reasons(checked: CheckedRows) -> list[tuple[str, str]]:
    return [(reject.where, reject.reason) for reject in checked.rejects]


def test_text_becomes_numbers_and_nothing_is_copied_without_need() -> None:
    batch = batch_of(pl.DataFrame({"a": ["1", "2.5e-3"], "b": [None, " 7"], "y": ["x", "z"]}))
    checked = RowCheck("y", "classification")(batch)
    assert checked.X.rows() == [(1.0, None), (0.0025, 7.0)]
    assert checked.X.schema == {"a": pl.Float64, "b": pl.Float64}
    assert labels(checked).to_list() == ["x", "z"]
    assert checked.where is batch.where
    assert checked.rejects == []


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        ([True, None, False], [1.0, None, 0.0]),
        (["True", "FALSE", "  "], [1.0, 0.0, None]),
        ([1, 2**60, None], [1.0, float(2**60), None]),
        ([1.5, None, -0.0], [1.5, None, -0.0]),
        ([None, None, None], [None, None, None]),
        (["", " ", None], [None, None, None]),
        ([1, "2.5", True], [1.0, 2.5, 1.0]),
        ([1.5, "", " 3 "], [1.5, None, 3.0]),
        ([1.5, math.nan], [1.5, None]),
        (["1.5", "NaN", 2], [1.5, None, 2.0]),
    ],
)
def test_what_counts_as_a_number(values: list[Any], numbers: list[float | None]) -> None:
    frame = to_frame([{"a": value, "y": 0} for value in values])
    checked = check(frame)
    assert checked.X["a"].to_list() == numbers
    assert checked.X["a"].dtype == pl.Float64
    assert checked.rejects == []


@pytest.mark.parametrize(
    ("value", "reason", "shown"),
    [
        ("UA", "non_numeric", "'UA'"),
        ("1_000", "non_numeric", "'1_000'"),
        ("0x1f", "non_numeric", "'0x1f'"),
        ("1,5", "non_numeric", "'1,5'"),
        ("x" * 1000, "non_numeric", "'xxx"),
        ([1.5], "non_numeric", "[1.5]"),
        ({"deep": 1}, "non_numeric", "{'deep': 1}"),
        (dt.date(2013, 1, 1), "non_numeric", "datetime.date(2013, 1, 1)"),
        (-math.inf, "non_finite", "-inf"),
        ("-Infinity", "non_finite", "'-Infinity'"),
        ("1e999", "non_finite", "'1e999'"),
        (10**400, "non_finite", "1000"),
        (b"1", "non_numeric", "b'1'"),
        ("\ud800", "non_numeric", "'\\ud800'"),
    ],
)
@pytest.mark.parametrize("neighbour", [2.5, "2.5", 3, None])
def test_what_does_not(value: Any, reason: str, shown: str, neighbour: Any) -> None:
    frame = to_frame([{"a": neighbour, "y": 0}, {"a": value, "y": 1}])
    checked = check(frame)
    assert reasons(checked) == [("row 1", reason)]
    (reject,) = checked.rejects
    assert reject.detail.startswith(f"column 'a' holds {shown}")
    assert len(reject.detail) < 100
    assert json.loads(reject.raw)["y"] == 1
    assert checked.X["a"].to_list() == [None if neighbour is None else float(neighbour)]
    assert labels(checked).to_list() == [0]
    assert checked.where == ["row 0"]


@pytest.mark.parametrize(
    ("values", "positive", "truth"),
    [
        (["1", "0", "1.0", " 1"], "1", [True, False, False, False]),
        (["1", "0"], 1, [True, False]),
        ([1, 0, 2], "1", [True, False, False]),
        ([1.0, 0.5], 1, [True, False]),
        ([True, False], True, [True, False]),
        ([True, False], False, [False, True]),
        (["true", "false"], True, [True, False]),
        ([1, "1", True], 1, [True, True, False]),
        (["UA", "DL"], "AA", [False, False]),
    ],
)
def test_the_positive_class_becomes_true(
    values: list[Any], positive: str | int, truth: list[bool]
) -> None:
    rows = [{"a": 1.0, "y": value} for value in [*values, None]]
    checked = check(to_frame(rows), positive=positive)
    assert labels(checked).dtype == pl.Boolean
    assert labels(checked).to_list() == truth
    assert reasons(checked) == [(f"row {len(values)}", "missing_target")]
    assert checked.rejects[0].detail == "column 'y' is empty"


@pytest.mark.parametrize("value", [[1], {"b": 1}, b"1", "\ud83d"])
def test_what_is_no_class_is_not_negative(value: Any) -> None:
    checked = check(to_frame([{"a": 1.0, "y": 1.5}, {"a": 1.0, "y": value}]), positive=1)
    assert labels(checked).to_list() == [False]
    assert reasons(checked) == [("row 1", "unparsable_target")]


@pytest.mark.parametrize("kind", ["regression", "multi-target"])
def test_only_a_classification_has_a_positive_class(kind: Kind) -> None:
    with pytest.raises(ConfigError, match=f"positive = '1' names a class, and {kind} has none"):
        RowCheck("y", kind, positive="1")


def test_first_fault_of_a_row_counts_and_order_is_kept() -> None:
    frame = pl.DataFrame(
        {
            "a": ["1", "x", "x", "inf", "2"],
            "b": ["x", "1", "nan", "2", "3"],
            "y": ["1", "2", None, "3", "4"],
        }
    )
    checked = check(frame)
    assert [(r.where, r.reason, r.detail) for r in checked.rejects] == [
        ("row 0", "non_numeric", "column 'b' holds 'x'"),
        ("row 1", "non_numeric", "column 'a' holds 'x'"),
        ("row 2", "missing_target", "column 'y' is empty"),
        ("row 3", "non_finite", "column 'a' holds 'inf'"),
    ]
    assert json.loads(checked.rejects[2].raw) == {"a": "x", "b": "nan", "y": None}
    assert checked.X.rows() == [(2.0, 3.0)]


def test_classes_are_kept_as_they_are() -> None:
    for values in (["a", "1"], [1, 2], [True, False], [1.5, 2.0]):
        checked = check({"a": [0, 0], "y": values})
        assert list(map(repr, labels(checked).to_list())) == list(map(repr, values))
    mixed = to_frame([{"y": value} for value in (1, "1", True, None, [1], math.nan, 2.5)])
    checked = check(mixed)
    assert list(map(repr, labels(checked).to_list())) == ["1", "'1'", "True", "2.5"]
    assert reasons(checked) == [
        ("row 3", "missing_target"),
        ("row 4", "unparsable_target"),
        ("row 5", "missing_target"),
    ]
    words = check({"y": ["a", None]}, kind="classification")
    assert labels(words).to_list() == ["a"]
    known = pl.DataFrame({"y": pl.Series(["a", "b"], dtype=pl.Enum(["a", "b"]))})
    assert labels(check(known)).dtype == pl.String
    assert reasons(check({"y": [math.nan, 1.0]})) == [("row 0", "missing_target")]
    assert len(check({"y": [[1], [2]]}).rejects) == 2


def test_regression_target() -> None:
    values = ["1.5", "", None, "x", "nan", "1e999", " -2 ", "1e300"]
    checked = check({"a": ["1"] * 8, "y": values}, kind="regression")
    assert labels(checked).to_list() == [1.5, -2.0]
    assert reasons(checked) == [
        ("row 1", "missing_target"),
        ("row 2", "missing_target"),
        ("row 3", "unparsable_target"),
        ("row 4", "missing_target"),
        ("row 5", "unparsable_target"),
        ("row 7", "unparsable_target"),
    ]
    assert labels(check({"y": [1, 2]}, kind="regression")).dtype == pl.Float64


def test_several_targets() -> None:
    frame = {"a": [1, 2, 3], "y": [1, None, 3], "z": ["4", "5", "x"]}
    checked = check(frame, ["z", "y"], "multi-target")
    assert isinstance(checked.y, pl.DataFrame)
    assert checked.y.to_dicts() == [{"z": 4.0, "y": 1.0}]
    assert checked.X.columns == ["a"]
    assert reasons(checked) == [("row 1", "missing_target"), ("row 2", "unparsable_target")]


def test_categories_do_not_depend_on_their_neighbours() -> None:
    values = [1, 1.0, True, "1", "a", "", None, 2.5, 0.1, 1e-7, 2**60, 1e300, -3]
    alone = [
        check(to_frame([{"c": value, "y": 0}]), one_hot=["c"]).X["c"].to_list() for value in values
    ]
    together = check(to_frame([{"c": value, "y": 0} for value in values]), one_hot=["c"])
    assert together.X["c"].to_list() == [value for (value,) in alone]
    assert together.X["c"].dtype == pl.String
    assert together.X["c"].to_list()[:8] == ["1", "1", "true", "1", "a", "", None, "2.5"]
    floats = check(to_frame([{"c": value, "y": 0} for value in (1, 2.5)]), one_hot=["c"])
    assert floats.X["c"].to_list() == ["1", "2.5"]


def test_nested_category_is_set_aside() -> None:
    mixed = to_frame([{"c": value, "y": 0} for value in ("a", [1], {"k": 1}, None)])
    checked = check(mixed, one_hot=["c"])
    assert checked.X["c"].to_list() == ["a", None]
    assert reasons(checked) == [("row 1", "nested"), ("row 2", "nested")]
    assert len(check({"c": [[1], [2]], "y": [0, 0]}, one_hot=["c"]).rejects) == 2


def test_ignored_columns_cost_nothing() -> None:
    frame = to_frame([{"junk": value, "a": 1, "y": 0} for value in ("x", [1], math.nan)])
    checked = check(frame, ignore=["junk"])
    assert checked.X.columns == ["a"]
    assert checked.rejects == []


def test_no_features_at_all() -> None:
    checked = check({"y": ["a", None, "b"]})
    assert checked.X.shape == (2, 0)
    assert labels(checked).to_list() == ["a", "b"]
    assert check({"y": ["a"]}).X.shape == (1, 0)


def test_no_rows_at_all() -> None:
    checked = check(pl.DataFrame())
    assert checked.X.shape == (0, 0)
    assert checked.rejects == []
    empty = pl.DataFrame(schema={"a": pl.String, "c": pl.String, "y": pl.String})
    checked = check(empty, kind="regression", one_hot=["c"])
    assert checked.X.schema == {"a": pl.Float64, "c": pl.String}
    assert labels(checked).dtype == pl.Float64


@pytest.mark.parametrize("part", ["target", "one_hot", "ignore"])
def test_header_without_a_column_that_is_needed(part: str) -> None:
    frame = pl.DataFrame({"a": ["1"], "b": ["2"]})
    options: dict[str, Any] = {part: "cc" if part == "target" else ["cc"]}
    checker = RowCheck(**{"target": "a", "kind": "classification"} | options)
    with pytest.raises(DataError, match=f"{part} column 'cc' does not exist; .* has: a, b"):
        checker(batch_of(frame, fixed_columns=True))


def test_open_stream_without_its_target() -> None:
    checker = RowCheck("z", "classification")
    batch = batch_of(to_frame([{"a": 1}] * 30))
    for _ in range(3):
        assert reasons(checker(batch)) == [(label, "missing_target") for label in batch.where]
    with pytest.raises(DataError, match="target column 'z' does not exist; the stream has: a"):
        checker(batch)


def test_open_stream_whose_labels_are_rare() -> None:
    checker = RowCheck("z", "classification")
    unlabelled = batch_of(to_frame([{"a": 1}] * 60))
    checker(unlabelled)
    checker(batch_of(to_frame([{"z": 1}])))
    checker(unlabelled)
    assert len(checker(unlabelled).rejects) == 60


def test_column_that_never_holds_a_number_is_a_mistake() -> None:
    frame = pl.DataFrame({"carrier": ["UA", "DL"] * 5, "y": ["1"] * 10})
    with pytest.raises(DataError, match=r"'carrier'.*none of its first 10.*'UA'.*one_hot"):
        check(frame)
    with pytest.raises(DataError, match=r"'y'.*'x'.*classification"):
        check({"y": ["x"] * 10}, kind="regression")
    one_by_one = RowCheck("y", "classification")
    for number in range(9):
        assert len(one_by_one(batch_of(frame[number : number + 1])).rejects) == 1
    with pytest.raises(DataError, match="one_hot"):
        one_by_one(batch_of(frame[9:]))


def test_column_that_once_held_a_number_is_not() -> None:
    checker = RowCheck("y", "classification")
    bad = batch_of(pl.DataFrame({"a": ["x"] * 9, "y": ["1"] * 9}))
    checker(bad)
    checker(batch_of(pl.DataFrame({"a": ["x", "1"], "y": ["1"] * 2})))
    checker(bad)
    assert len(checker(bad).rejects) == 9
    resumed = RowCheck("y", "classification", resumed=True)
    for _ in range(20):
        assert len(resumed(bad).rejects) == 9


def test_parts_that_contradict_each_other() -> None:
    with pytest.raises(ConfigError, match="'y' has two roles of target, one_hot and ignore"):
        RowCheck("y", "classification", one_hot=["y"])
    with pytest.raises(ConfigError, match="'a' has two roles of"):
        RowCheck("y", "classification", one_hot=["a"], ignore=["a"])
    with pytest.raises(ConfigError, match="2 target columns"):
        RowCheck(["y", "z"], "regression")
    with pytest.raises(ConfigError, match="0 target columns"):
        RowCheck([], "multi-target")


def test_streams_as_they_come(root: Any) -> None:
    (flights,) = (root / "examples").rglob("*flights*.csv*")
    batches = CsvSource(str(flights)).batches(500)
    with pytest.raises(DataError, match="one_hot"):
        RowCheck("late", "classification")(next(batches))
    phishing = RowCheck("target", "classification")
    for batch in RiverSource("Phishing").batches(100):
        checked = phishing(batch)
        assert checked.X.to_dicts() == batch.rows.drop("target").cast(pl.Float64).to_dicts()
    outputs = ["c-class-flares", "m-class-flares", "x-class-flares"]
    flares = RowCheck(
        outputs, "multi-target", ignore=["zurich-class", "largest-spot-size", "spot-distribution"]
    )
    for batch in RiverSource("SolarFlare").batches(100):
        y = flares(batch).y
        assert isinstance(y, pl.DataFrame)
        assert y.columns == outputs


cells = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["1.5", " 2 ", "nan", "1e999", "true", "x", ""])
    | st.lists(st.integers(), max_size=1)
)


def a_number(value: Any) -> float | str | None:
    """Say in plain Python what the vectorised check must find: a number, None or a reason."""
    if isinstance(value, str):
        text = value.strip().lower()
        if not text:
            return None
        value = {"true": 1.0, "false": 0.0}.get(text, text)
        if isinstance(value, str) and "_" in value:
            return "non_numeric"
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return "non_numeric"
    except OverflowError:
        return "non_finite"
    if math.isnan(number):
        return None
    return number if math.isfinite(number) else "non_finite"


@given(records=st.lists(st.fixed_dictionaries({"a": cells, "b": cells, "y": cells}), max_size=12))
def test_agrees_with_plain_python(records: list[dict[str, Any]]) -> None:
    checker = RowCheck("y", "regression", resumed=True)
    (batch,) = list(IterableSource(records).batches(100)) or [batch_of(pl.DataFrame())]
    checked = checker(batch)
    expected: list[tuple[Any, ...]] = []
    faults: list[str] = []
    for record in records:
        target = a_number(record["y"])
        numbers = {name: a_number(record[name]) for name in "ab"}
        # The first fault counts, in the order of the columns: that of the first record.
        wrong = [numbers[name] for name in records[0] if isinstance(numbers.get(name), str)]
        if target is None:
            faults.append("missing_target")
        elif isinstance(target, str) or abs(target) >= 1e100:
            faults.append("unparsable_target")
        elif wrong:
            faults.append(str(wrong[0]))
        else:
            expected.append((*numbers.values(), target))
    if records:
        columns = checked.X["a"], checked.X["b"], labels(checked)
        assert list(zip(*columns, strict=True)) == expected
    assert [reject.reason for reject in checked.rejects] == faults
    assert len(checked.where) == len(expected)
