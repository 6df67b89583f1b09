from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing.parametric import dataframes

from fenchel_connectors import ParquetSource, parquet
from fenchel_stream.errors import CheckpointError, ConfigError, DataError
from tests.connectors.streams import assert_resumable, read


def write(folder: Path, frame: pl.DataFrame, group: int | None = None) -> ParquetSource:
    path = folder / "a.parquet"
    frame.write_parquet(path, row_group_size=group)
    return ParquetSource(str(path))


def test_types_and_labels(tmp_path: Path) -> None:
    day = dt.date(2013, 1, 1)
    frame = pl.DataFrame({"a": [1, None, 3], "b": [[1.5], [], None], "c": [day, day, None]})
    source = write(tmp_path, frame)
    (batch,) = source.batches(10)
    assert batch.rows.equals(frame)
    assert batch.rows.schema == frame.schema
    assert batch.where == ["a.parquet:1", "a.parquet:2", "a.parquet:3"]
    assert batch.fixed_columns
    assert source.total == 3


def test_no_rows(tmp_path: Path) -> None:
    source = write(tmp_path, pl.DataFrame({"a": []}, schema={"a": pl.Int64}))
    assert read(source, 10) == []
    assert source.total == 0


def test_refused_addresses(tmp_path: Path) -> None:
    (tmp_path / "b.parquet").write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match=r"b\.parquet is not a Parquet file"):
        ParquetSource(str(tmp_path / "b.parquet"))
    whole = write(tmp_path, pl.DataFrame({"a": range(1000)}))
    cut = whole.file.read_bytes()[:-100]
    (tmp_path / "c.parquet").write_bytes(cut)
    with pytest.raises(ConfigError, match="is not a Parquet file"):
        ParquetSource(str(tmp_path / "c.parquet"))
    with pytest.raises(ConfigError, match=r"no such file: .*\*\.parquet"):
        ParquetSource(str(tmp_path / "*.parquet"))


def test_damaged_file_is_a_data_error(tmp_path: Path) -> None:
    source = write(tmp_path, pl.DataFrame({"a": [f"text {number}" for number in range(10_000)]}))
    content = bytearray(source.file.read_bytes())
    content[50:2000] = b"\xff" * 1950
    source.file.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.parquet: cannot be read beyond row 0"):
        read(ParquetSource(str(source.file)), 100)


def test_brackets_in_a_name_are_no_pattern(tmp_path: Path) -> None:
    path = tmp_path / "a[1].parquet"
    pl.DataFrame({"a": [1]}).write_parquet(path)
    assert ParquetSource(str(path)).total == 1


def test_position_beyond_the_end(tmp_path: Path) -> None:
    source = write(tmp_path, pl.DataFrame({"a": [1, 2]}))
    assert read(source, 1, {"row": 2}) == []
    with pytest.raises(CheckpointError, match="has 2 rows"):
        read(source, 1, {"row": 3})


def test_memory_is_bounded_by_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "BLOCK", 100)
    frame = pl.DataFrame({"a": range(1050)})
    heights: list[int] = []
    cut = pl.DataFrame.iter_slices

    def counting(self: pl.DataFrame, size: int) -> Iterator[pl.DataFrame]:
        heights.append(self.height)
        return cut(self, size)

    monkeypatch.setattr(pl.DataFrame, "iter_slices", counting)
    parts_read = read(write(tmp_path, frame, 400), 30)
    assert heights == [90] * 11 + [60]
    assert [len(rows) for _, _, rows, *_ in parts_read] == [30] * 35


@settings(max_examples=30)
@given(
    frame=dataframes(min_cols=1, max_cols=3, max_size=20, excluded_dtypes=[pl.Categorical]),
    size=st.integers(1, 7),
    block=st.integers(1, 10),
    group=st.integers(1, 8),
)
def test_any_frame_is_read_back_and_resumed(
    tmp_path_factory: pytest.TempPathFactory,
    frame: pl.DataFrame,
    size: int,
    block: int,
    group: int,
) -> None:
    source = write(tmp_path_factory.mktemp("parquet"), frame, group)
    expected = pl.read_parquet(source.file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "BLOCK", block)
        assert_resumable(source, size)
        parts_read = [batch.rows for batch in source.batches(size)]
    if frame.height:
        assert pl.concat(parts_read).equals(expected)
