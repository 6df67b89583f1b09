from __future__ import annotations

import csv
import gzip
import io
import os
import threading
from pathlib import Path
from typing import Literal

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fenchel_connectors import CsvSource, lines
from fenchel_stream.errors import CheckpointError, ConfigError, DataError
from fenchel_stream.streams.source import Batch, Reject
from tests.connectors.streams import assert_resumable, read

Rows = list[tuple[str | None, ...]]


def write(folder: Path, content: bytes | str, name: str = "a.csv") -> CsvSource:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return CsvSource(str(path))


def everything(source: CsvSource, size: int = 100) -> tuple[Rows, list[str], list[Reject]]:
    batches = list(source.batches(size))
    rows = [row for batch in batches for row in batch.rows.rows()]
    where = [label for batch in batches for label in batch.where]
    return rows, where, [reject for batch in batches for reject in batch.rejects]


def only(source: CsvSource) -> Batch:
    (batch,) = source.batches(100)
    return batch


def faults(rejects: list[Reject]) -> list[tuple[str, str]]:
    return [(reject.where, reject.reason) for reject in rejects]


def test_columns_are_text_and_empty_fields_missing(tmp_path: Path) -> None:
    batch = only(write(tmp_path, 'a,b\n1.50,\n"",x\n'))
    assert batch.rows.rows() == [("1.50", None), (None, "x")]
    assert batch.rows.schema == {"a": pl.String, "b": pl.String}
    assert batch.where == ["a.csv:2", "a.csv:3"]
    assert batch.fixed_columns


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "\n", "\r\n\r\n"])
def test_line_ends(tmp_path: Path, end: str, last: str) -> None:
    source = write(tmp_path, end.join(["a,b", "1,2", "3,4"]) + last)
    assert everything(source)[:2] == ([("1", "2"), ("3", "4")], ["a.csv:2", "a.csv:3"])


def test_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    source = write(tmp_path, b"\xef\xbb\xbfa,b\n1,2\n3,4\n")
    assert only(source).rows.columns == ["a", "b"]
    assert_resumable(source, 1)


def test_gzip_is_recognised_by_its_content(tmp_path: Path) -> None:
    text = "a,b\n" + "".join(f"{n},x\n" for n in range(1000))
    packed = write(tmp_path, gzip.compress(text.encode()), "packed.csv")
    assert everything(packed)[0] == everything(write(tmp_path, text))[0]
    assert_resumable(packed, 128)


def test_delimiter(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a;b\n1,5;2\n")
    assert only(CsvSource(str(path), delimiter=";")).rows.rows() == [("1,5", "2")]


@pytest.mark.parametrize("delimiter", ["", ";;", "\n", '"', 5])
def test_impossible_delimiter_is_refused(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a\n")
    with pytest.raises(ConfigError, match="delimiter"):
        CsvSource(str(path), delimiter=delimiter)


def test_record_over_several_lines_is_found_by_its_first(tmp_path: Path) -> None:
    rows, where, rejects = everything(write(tmp_path, 'a,b\n"x\r\ny\n",1\n2,3\n'))
    assert rows == [("x\r\ny\n", "1"), ("2", "3")]
    assert where == ["a.csv:2", "a.csv:5"]
    assert rejects == []


def test_header_over_several_lines(tmp_path: Path) -> None:
    source = write(tmp_path, '\n"a\nb",c\n1,2\n3,4\n')
    assert only(source).rows.columns == ["a\nb", "c"]
    assert_resumable(source, 1)


def test_only_bad_records_are_lost(tmp_path: Path) -> None:
    content = (
        b"a,b\n"
        b"1,2\n"
        b"3\n"
        b"4,5,6\n"
        b"\xff,7\n"
        b"8,\0\n"
        b"9,10\n"
        b'"11"x,12\n'
        b"13,14\n"
        b"15\r16,17\n"
        b'"18\nb\xe9",1\n'
        b"19,20\n"
    )
    rows, where, rejects = everything(write(tmp_path, content))
    assert rows == [("1", "2"), ("9", "10"), ("13", "14"), ("19", "20")]
    assert where == ["a.csv:2", "a.csv:7", "a.csv:9", "a.csv:13"]
    assert faults(rejects) == [
        ("a.csv:3", "ragged"),
        ("a.csv:4", "ragged"),
        ("a.csv:5", "invalid_utf8"),
        ("a.csv:6", "nul"),
        ("a.csv:8", "malformed"),
        ("a.csv:10", "malformed"),
        ("a.csv:11", "invalid_utf8"),
    ]
    assert rejects[1].detail == "3 fields where the header has 2"
    assert rejects[2].raw == "\\xff,7"
    assert rejects[6].raw == '"18\nb\\xe9",1'


def test_stray_quote_costs_its_line_alone(tmp_path: Path) -> None:
    # Left to itself the csv module reads one garbled record up to the next quote.
    text = 'a,b,c\n1,"pipe,5\n2,x,6\n3,"y",7\n4,z,8\n5,"open,9\n6,w,10\n'
    rows, where, rejects = everything(write(tmp_path, text))
    assert rows == [("2", "x", "6"), ("3", "y", "7"), ("4", "z", "8"), ("6", "w", "10")]
    assert where == ["a.csv:3", "a.csv:4", "a.csv:5", "a.csv:7"]
    assert faults(rejects) == [("a.csv:2", "malformed"), ("a.csv:6", "malformed")]


def test_oversized_field(tmp_path: Path) -> None:
    huge = "x" * (csv.field_size_limit() + 1)
    rows, _, rejects = everything(write(tmp_path, f"a,b\n1,2\n{huge},3\n4,5\n"))
    assert rows == [("1", "2"), ("4", "5")]
    assert faults(rejects) == [("a.csv:3", "oversized")]
    assert len(rejects[0].raw) < len(huge)


@pytest.mark.parametrize("last", [b"\n2,3\n", b"", b"\n"])
def test_line_too_long_to_keep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: bytes
) -> None:
    monkeypatch.setattr(lines, "LINE_LIMIT", 64)
    monkeypatch.setattr("fenchel_connectors.csv.LINE_LIMIT", 64)
    source = write(tmp_path, b"a,b\n0,1\n" + b"5," * 100 + last)
    rows, _, rejects = everything(source)
    assert rows == [("0", "1"), *([("2", "3")] if b"2" in last else [])]
    assert faults(rejects) == [("a.csv:3", "oversized")]
    assert_resumable(source, 1)


def test_many_stray_quotes_do_not_cost_the_square_of_the_file(tmp_path: Path) -> None:
    text = "a,b\n" + '"x,1\n2,3\n' * 2000
    rows, _, rejects = everything(write(tmp_path, text))
    assert rows == [("2", "3")] * 2000
    assert {reject.reason for reject in rejects} == {"malformed"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"a,b,a\n1,2,3\n", "names 'a' twice"),
        (b"a,\xff\n", "invalid_utf8"),
        (b'"a,b\n1,2\n', "malformed"),
    ],
)
def test_useless_header(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=rf"a\.csv.*{message}"):
        everything(write(tmp_path, content))


def test_header_alone_is_an_empty_stream(tmp_path: Path) -> None:
    assert read(write(tmp_path, "a,b\n"), 10) == []


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file: .*nowhere\.csv"):
        CsvSource(str(tmp_path / "nowhere.csv"))
    with pytest.raises(ConfigError, match="is a folder"):
        CsvSource(str(tmp_path))
    with pytest.raises(ConfigError, match="needs a path"):
        CsvSource("")


def test_damaged_gzip_is_a_data_error(tmp_path: Path) -> None:
    packed = gzip.compress(b"a,b\n" + os.urandom(100_000).hex().encode() + b",1\n" * 10)
    with pytest.raises(DataError, match=r"a\.csv: cannot be read beyond line"):
        everything(write(tmp_path, packed[: len(packed) // 2]))
    broken = bytearray(packed)
    broken[len(packed) // 2] ^= 0xFF
    with pytest.raises(DataError, match="cannot be read beyond line"):
        everything(write(tmp_path, bytes(broken)))


@pytest.mark.parametrize(
    "position", [{}, {"row": 3}, {"offset": -1, "line": 1}, {"offset": 4, "line": "1"}]
)
def test_position_of_another_source(tmp_path: Path, position: dict[str, object]) -> None:
    with pytest.raises(CheckpointError, match="another kind of source"):
        read(write(tmp_path, "a\n1\n"), 1, position)


@pytest.mark.parametrize("packed", [False, True])
def test_position_beyond_the_end(tmp_path: Path, packed: bool) -> None:
    content = gzip.compress(b"a\n1\n") if packed else b"a\n1\n"
    with pytest.raises(CheckpointError, match=r"a\.csv.*line 100, byte 5"):
        read(write(tmp_path, content), 1, {"offset": 5, "line": 99})


def test_resuming_seeks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path, "a\n" + "1\n" * 500_000 + "last\n")
    monkeypatch.setattr(lines.Lines, "_discard", None)
    taken: list[int] = []
    take = lines.Lines.take

    def counting(self: lines.Lines, count: int) -> None:
        taken.append(count)
        take(self, count)

    monkeypatch.setattr(lines.Lines, "take", counting)
    ((_, _, rows, where, *_),) = read(source, 10, {"offset": 1_000_002, "line": 500_001})
    assert (rows, where) == ([("'last'",)], ["a.csv:500002"])
    assert sum(taken) == 2  # the header and the last line


def test_named_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    feeder = threading.Thread(target=pipe.write_text, args=("a,b\n1,2\n3,4\n",))
    feeder.start()
    source = CsvSource(str(pipe))
    assert source.total is None
    assert everything(source)[0] == [("1", "2"), ("3", "4")]
    feeder.join()


def test_total(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert write(tmp_path, "a,b\n1,2\n\n3,4\n").total == 2
    assert write(tmp_path, 'a,b\n"1",2\n').total is None  # it would have to be parsed
    monkeypatch.setattr(lines, "COUNTED", 3)
    assert write(tmp_path, "a,b\n1,2\n").total is None


def test_flights(root: Path) -> None:
    (path,) = (root / "examples").rglob("*flights*.csv*")
    source = CsvSource(str(path))
    frame = pl.read_csv(path, infer_schema=False)
    batches = list(source.batches(1000))
    assert pl.concat([batch.rows for batch in batches]).equals(frame)
    assert not any(batch.rejects for batch in batches)
    assert source.total == frame.height


fields = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6) | st.text(
    'a1,"\r\n;\ufeff é', max_size=6
)


@given(
    rows=st.lists(st.tuples(fields, fields, fields), max_size=12),
    size=st.integers(1, 5),
    # Python's writer leaves a carriage return unquoted where lines end with "\n" alone.
    dialect=st.sampled_from(
        [(csv.QUOTE_MINIMAL, "\r\n"), (csv.QUOTE_ALL, "\n"), (csv.QUOTE_ALL, "\r\n")]
    ),
    packed=st.booleans(),
)
def test_what_csv_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, str]],
    size: int,
    dialect: tuple[Literal[0, 1], str],
    packed: bool,
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=dialect[0], lineterminator=dialect[1])
    writer.writerows([("a", "b", "c"), *rows])
    content = text.getvalue().encode()
    folder = tmp_path_factory.mktemp("csv")
    source = write(folder, gzip.compress(content) if packed else content)
    expected = [tuple(field or None for field in row) for row in rows]
    rows_read, _, rejects = everything(source, size)
    assert (rows_read, rejects) == (expected, [])
    assert_resumable(source, size)


pieces = st.sampled_from(
    [b"1", b"2", b",", b",", b"\n", b"\n", b"\r\n", b"\r", b'"', b'""', b"\xff", b"\xc3\xa9", b"\0"]
)


@given(content=st.lists(pieces, max_size=40).map(b"".join), size=st.integers(1, 6))
@example(content=b'1,2\n"1,2\n', size=2)
@example(content=b'1,"2\n"\n\n\n1\n1,2\n1,2', size=2)
def test_any_bytes_can_be_read_and_resumed(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, size: int
) -> None:
    source = write(tmp_path_factory.mktemp("csv"), b"a,b\n" + content)
    whole = assert_resumable(source, size)
    one_by_one = read(source, 1)  # the boundaries do not decide what is good
    for part in (2, 3, 5):  # rows, labels, rejects
        assert [item for batch in whole for item in batch[part]] == [
            item for batch in one_by_one for item in batch[part]
        ]
