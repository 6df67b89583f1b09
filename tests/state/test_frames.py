"""Frames of any type of column survive the way into a checkpoint and back."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from polars.testing.parametric import dataframes

from fenchel_stream.state.frames import freeze_frame, thaw_frame


@given(frame=dataframes(max_cols=4, max_size=6, excluded_dtypes=[pl.Object, pl.Extension]))
def test_a_frame_comes_back(frame: pl.DataFrame) -> None:
    assert_frame_equal(thaw_frame(freeze_frame(frame)), frame)


@given(count=st.integers(0, 9))
def test_a_frame_without_columns_keeps_its_height(count: int) -> None:
    assert thaw_frame(freeze_frame(pl.DataFrame(height=count))).shape == (count, 0)


@pytest.mark.parametrize("column", [[1.5, None, 2.5], ["a", None, "ü"], [True, None, False]])
def test_equal_columns_give_equal_bytes(column: list[object]) -> None:
    # The second column has other values in the memory under its null, and other neighbours.
    whole = pl.DataFrame({"a": column})
    same = pl.DataFrame({"a": [column[2], *column, column[0]]})[1:4]
    chunks = pl.concat([whole[:1], whole[1:]], rechunk=False)
    parts = [freeze_frame(frame)["columns"]["a"] for frame in (whole, same, chunks)]
    assert parts[0]
    for name, array in parts[0].items():
        assert {other[name].tobytes() for other in parts} == {array.tobytes()}
