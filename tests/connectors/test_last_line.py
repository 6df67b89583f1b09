"""A last line that is still being written: nothing of it is taken, and nothing of it is lost."""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenchel_connectors import CsvSource, JsonlSource, lines
from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.runner.config import parse
from fenchel_stream.runner.learner import Learner
from fenchel_stream.streams.source import Batch, Position
from tests.connectors.streams import plain, read
from tests.runs import learn, read_lines, tables

CSV = b'a,b\n1,long\n\n"2,\r\n3",x\n4,lo""ng\n5,\r\n'
JSONL = b'{"a": 1, "b": "long"}\n\n{"a": [2, {"c": "\xc3\xa9"}]}\r\n[3]\n{"a": 4}\n'


def growing(source: CsvSource | JsonlSource) -> CsvSource | JsonlSource:
    source.growing = True
    return source


def csv_file(path: Path) -> CsvSource | JsonlSource:
    return growing(CsvSource(str(path)))


def jsonl_file(path: Path) -> CsvSource | JsonlSource:
    return growing(JsonlSource(str(path)))


def pack(content: bytes) -> bytes:
    return gzip.compress(content, 1)


@given(
    cuts=st.lists(st.integers(0, 60), max_size=4),
    size=st.integers(1, 3),
    packed=st.booleans(),
    kind=st.sampled_from([(csv_file, CSV), (jsonl_file, JSONL)]),
)
def test_runs_while_a_file_grows_read_what_one_run_reads_at_its_end(
    tmp_path_factory: pytest.TempPathFactory,
    cuts: list[int],
    size: int,
    packed: bool,
    kind: tuple[Callable[[Path], CsvSource | JsonlSource], bytes],
) -> None:
    path = tmp_path_factory.mktemp("grow") / "a"
    source_of, content = kind
    found: list[Any] = []
    position: Position | None = None
    for end in [*sorted(cuts), len(content)]:
        path.write_bytes(pack(content[:end]) if packed else content[:end])
        try:
            for batch in source_of(path).batches(size, position):
                position = batch.position
                found += places(batch)
        except DataError as error:
            assert "the first line" in str(error)  # noqa: PT017 - a header without its end
    path.write_bytes(content)
    whole = [place for batch in source_of(path).batches(size) for place in places(batch)]
    assert sorted(found) == sorted(whole)


def places(batch: Batch) -> list[tuple[str, str]]:
    """Return each record with its place; null is not distinguished from a column that lacks."""
    rows = [{k: v for k, v in row.items() if v is not None} for row in batch.rows.to_dicts()]
    good = zip(batch.where, map(repr, rows), strict=True)
    return [*good, *((reject.where, reject.reason) for reject in batch.rejects)]


def test_half_a_last_line_is_told_and_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,y\n1,long\n5,lo")
    (batch,) = csv_file(path).batches(10)
    assert (batch.where, batch.rejects) == (["a.csv:2"], [])
    (message,) = caplog.messages
    assert message.startswith("a.csv:3: the last record, which begins here, may be incomplete")
    assert "source.options.finished = true" in message
    assert read(csv_file(path), 10, batch.position) == []


@pytest.mark.parametrize("source", [CsvSource, JsonlSource])
def test_a_finished_file_is_read_whole(tmp_path: Path, source: Any) -> None:
    path = tmp_path / "a"
    path.write_text('a\n{"a":1}' if source is CsvSource else '{"a":1}\n{"a":')
    without = [plain(batch) for batch in source(str(path)).batches(10)]
    finished = growing(source(str(path), finished=True))
    assert read(finished, 10) == without
    assert len(without[0][3]) + len(without[0][5]) == (1 if source is CsvSource else 2)
    with pytest.raises(ConfigError, match="finished must be true or false, not 'no'"):
        source(str(path), finished="no")


def test_an_object_is_whole_without_a_line_end(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a":1}\n{"a":2}')
    (batch,) = jsonl_file(path).batches(10)
    assert batch.where == ["a.jsonl:1", "a.jsonl:2"]
    path.write_text('{"a":1}\n{"a":2}\n{"a":3}\n')
    (batch,) = jsonl_file(path).batches(10, batch.position)
    assert batch.where == ["a.jsonl:3"]


def test_an_open_quote_waits_with_the_lines_that_it_spans(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('a,b\n1,x\n2,"one\ntwo\nthr')
    (batch,) = csv_file(path).batches(10)
    assert (batch.where, batch.rejects) == (["a.csv:2"], [])
    path.write_text('a,b\n1,x\n2,"one\ntwo\nthree"\n')
    (batch,) = csv_file(path).batches(10, batch.position)
    assert batch.rows.rows() == [("2", "one\ntwo\nthree")]
    # Where the file ends with a line end, the quote is a stray one.
    path.write_text('a,b\n1,x\n2,"one\n3,y\n')
    (batch,) = csv_file(path).batches(10)
    assert (batch.where, [one.where for one in batch.rejects]) == (
        ["a.csv:2", "a.csv:4"],
        ["a.csv:3"],
    )


def test_a_stray_quote_before_half_a_line_costs_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('a,y\n1,u\n2,"u\n' + "3,v\n" * 300 + "7,u")
    (batch,) = csv_file(path).batches(400)
    assert len(batch.where) == 301
    assert [one.where for one in batch.rejects] == ["a.csv:3"]


def test_half_a_header(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,la")
    with pytest.raises(DataError, match=r"a\.csv: the first line has no line end yet"):
        read(csv_file(path), 10)


def test_standard_input_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def stdin(content: bytes) -> CsvSource | JsonlSource:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        return growing(JsonlSource("-"))

    (first,) = read(stdin(b'{"a":1}\n{"a":'), 10)
    assert (first[3], first[5]) == (["stdin:1"], [])
    (second,) = read(stdin(b'{"a":1}\n{"a":2}\n'), 10, first[4])
    assert second[3] == ["stdin:2"]


def test_a_line_that_grows_while_it_is_read_is_one_line() -> None:
    class Growing(io.BytesIO):
        """Ends for a moment after each of its pieces."""

        pieces = iter([b"1,l", b"ong\n", b"2,x\n", b"3", b""])

        def readline(self, size: int | None = -1, /) -> bytes:
            return next(self.pieces, b"")

    stream = lines.Lines(Growing(), "a")
    assert stream.peek(10)[:10] == [b"1,long\n", b"2,x\n", b"3"]


def test_an_overlong_last_line_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LINE_LIMIT", 64)
    monkeypatch.setattr("fenchel_connectors.decoding.LINE_LIMIT", 64)
    path = tmp_path / "a.jsonl"
    path.write_text('{"a":1}\n{"a":"' + "x" * 200)
    (batch,) = jsonl_file(path).batches(10)
    path.write_text('{"a":1}\n{"a":"' + "x" * 300 + '"}\n{"a":2}\n')
    (rest,) = jsonl_file(path).batches(10, batch.position)
    assert (rest.where, [one.where for one in rest.rejects]) == (["a.jsonl:3"], ["a.jsonl:2"])


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_run_that_goes_on_learns_the_whole_record_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"data.{kind}"
    good = [{"a": -5 if n % 2 else 5, "y": "u" if n % 2 else "v"} for n in range(60)]
    texts = {
        "csv": ["a,y", *(f"{row['a']},{row['y']}" for row in good)],
        "jsonl": list(map(json.dumps, good)),
    }[kind]
    path.write_text("\n".join(texts) + "\n" + texts[-1][:-1])
    changes: dict[str, Any] = {"features": {"one_hot": []}}
    first = learn(tmp_path, f"{kind}:{path}", **changes)
    with path.open("a") as file:
        file.write(f"{texts[-1][-1]}\n{texts[-2]}\n")
    second = learn(tmp_path, f"{kind}:{path}", **changes)
    assert (first.rows, second.rows, second.rejected) == (60, 62, 0)
    published = read_lines(tmp_path / "predictions.jsonl")
    assert len({one["where"] for one in published}) == len(published) == 62
    assert set(published[-1]["probabilities"]) == {"u", "v"}


def test_a_run_without_checkpoints_reads_a_last_line_without_a_line_end(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("a,y\n" + "1,u\n2,v\n" * 20 + "5,u")
    settings = tables(tmp_path, f"csv:{path}", features={"one_hot": []})
    del settings["checkpoint"]
    assert Learner(parse(settings)).run().rows == 41
