from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenchel_connectors import IterableSource
from fenchel_stream.errors import CheckpointError, ConfigError, DataError
from fenchel_stream.streams.source import Batch
from tests.connectors.streams import assert_resumable, plain, read


def only(source: IterableSource) -> Batch:
    (batch,) = source.batches(100)
    return batch


def test_pairs_and_dicts() -> None:
    items = [({"a": 1}, True), {"a": 2, "target": False}, ({"b": 3}, {"y": 1.5, "z": 2.5})]
    batch = only(IterableSource(items, name="records"))
    assert batch.rows.to_dicts() == [
        {"a": 1, "target": True, "b": None, "y": None, "z": None},
        {"a": 2, "target": False, "b": None, "y": None, "z": None},
        {"a": None, "target": None, "b": 3, "y": 1.5, "z": 2.5},
    ]
    assert batch.where == ["records:1", "records:2", "records:3"]


def test_target_can_have_another_name() -> None:
    items = [({"target": 1}, "x")]
    assert only(IterableSource(items, target="y")).rows.to_dicts() == [{"target": 1, "y": "x"}]
    with pytest.raises(DataError, match=r"iterable:1: 'target' is a feature and a target"):
        only(IterableSource(items))


def test_keys_become_text_and_numpy_values_plain() -> None:
    items = [({0: np.float64(1.5), 1: np.int64(2)}, np.bool_(True)), ({0: 2.5}, False)]
    rows = only(IterableSource(items)).rows
    assert rows.schema == {"0": pl.Float64, "1": pl.Int64, "target": pl.Boolean}
    assert rows.rows() == [(1.5, 2, True), (2.5, None, False)]


def test_caller_keeps_its_records() -> None:
    x = {"a": 1}
    only(IterableSource([(x, 2), x]))
    assert x == {"a": 1}


def test_anything_else_is_set_aside() -> None:
    items: list[Any] = [{"a": 1}, None, 5, ({"a": 1}, 2, 3), "text", {"a": 2}]
    batch = only(IterableSource(items))
    assert batch.rows["a"].to_list() == [1, 2]
    assert batch.where == ["iterable:1", "iterable:6"]
    assert [reject.reason for reject in batch.rejects] == ["non_object"] * 4
    assert batch.rejects[1].where == "iterable:3"
    assert (batch.rejects[1].raw, batch.rejects[1].detail[:4]) == ("5", "int ")


def test_values_of_any_type_stay(tmp_path: object) -> None:
    values = [2**200, "\ud800", tmp_path, {1, 2}]
    assert only(IterableSource([{"a": value} for value in values])).rows["a"].to_list() == values
    for value in values:
        assert only(IterableSource([{"a": value}])).rows["a"].to_list() == [value]


def test_generator_passes_over_what_was_learnt() -> None:
    def items() -> Iterator[dict[str, int]]:
        yield from ({"a": number} for number in range(10))

    again = read(IterableSource(items), 3, {"record": 6})
    once = read(IterableSource(items()), 3, {"record": 6})
    assert again == once == read(IterableSource(items), 3)[2:]
    with pytest.raises(CheckpointError, match="ends after 10 records"):
        read(IterableSource(items()), 3, {"record": 11})
    with pytest.raises(CheckpointError, match="ends after 0 records"):
        read(IterableSource([]), 3, {"record": 1})


def test_generator_is_not_read_ahead() -> None:
    items = iter([{"a": number} for number in range(10)])
    batches = IterableSource(items).batches(3)
    next(batches)
    assert next(items) == {"a": 3}


@pytest.mark.parametrize("wrong", ["flights.csv", b"x", 5, None])
def test_what_holds_no_records(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="holds no records"):
        IterableSource(wrong)


def test_total() -> None:
    assert IterableSource([{"a": 1}] * 3).total == 3
    assert IterableSource([]).total == 0
    assert IterableSource(iter([])).total is None
    assert IterableSource(pl.DataFrame({"a": [1, 2]})).total == 2
    assert IterableSource([pa.table({"a": [1, 2]}), pa.table({"a": [1]})]).total == 3


@pytest.mark.parametrize("make", [pl.DataFrame, pd.DataFrame, pa.table])
def test_frames(make: Callable[[dict[str, list[Any]]], Any]) -> None:
    frame = make({"a": [1.5, None, 2.5], "b": ["x", None, "y"]})
    batch = only(IterableSource(frame))
    assert batch.rows.rows() == [(1.5, "x"), (None, None), (2.5, "y")]
    assert batch.where == ["iterable:1", "iterable:2", "iterable:3"]


def test_frames_are_cut_but_not_joined() -> None:
    sizes = [5, 0, 1, 4]
    frames = [pl.DataFrame({"a": range(size)}, schema={"a": pl.Int64}) for size in sizes]
    source = IterableSource(frames)
    whole = [plain(batch) for batch in source.batches(3)]
    assert [len(rows) for _, _, rows, *_ in whole] == [3, 2, 1, 3, 1]
    assert [position["record"] for *_, position, _ in whole] == [3, 5, 6, 9, 10]
    for done, (*_, position, _) in enumerate(whole, 1):
        assert read(source, 3, position) == whole[done:]
    with pytest.raises(CheckpointError, match="ends after 10 records"):
        read(source, 3, {"record": 11})


items = st.dictionaries(
    st.sampled_from("abc"), st.none() | st.integers() | st.floats() | st.text(), max_size=3
)


@given(
    records=st.lists(items | st.tuples(items, st.booleans()) | st.integers(), max_size=15),
    size=st.integers(1, 6),
)
def test_any_records_can_be_resumed(records: list[Any], size: int) -> None:
    assert_resumable(IterableSource(records), size)
