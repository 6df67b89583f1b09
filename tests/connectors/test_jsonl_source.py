from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenchel_connectors import JsonlSource, lines
from fenchel_stream.errors import CheckpointError, ConfigError
from fenchel_stream.streams.source import Batch
from tests.connectors.streams import assert_resumable, read


def write(folder: Path, content: bytes | str, name: str = "a.jsonl") -> JsonlSource:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return JsonlSource(str(path))


def only(source: JsonlSource) -> Batch:
    (batch,) = source.batches(100)
    return batch


def test_rows_have_the_union_of_keys(tmp_path: Path) -> None:
    batch = only(write(tmp_path, '{"a":1,"b":"x"}\n\n{"c":true,"a":null}\n{}\n'))
    assert batch.rows.rows() == [(1, "x", None), (None, None, True), (None, None, None)]
    assert batch.rows.columns == ["a", "b", "c"]
    assert batch.where == ["a.jsonl:1", "a.jsonl:3", "a.jsonl:4"]
    assert not batch.fixed_columns


@pytest.mark.parametrize(
    "values",
    [
        [1.5, "abc", None, True, 3],
        [0.1, {"deep": [1, 2]}, [3]],
        [2**53 + 1, 0.5],
        [2**63, -1],
        [True, 1],
        ["1", 1],
    ],
)
def test_mixed_types_stay_what_they_are(tmp_path: Path, values: list[Any]) -> None:
    content = "".join(json.dumps({"a": value}) + "\n" for value in values)
    rows_read = only(write(tmp_path, content)).rows["a"].to_list()
    assert list(map(repr, rows_read)) == list(map(repr, values))


def test_types_of_columns(tmp_path: Path) -> None:
    content = '{"i":1,"f":1,"s":"","b":true,"n":null}\n{"i":2,"f":0.5,"s":"x","b":false,"n":null}\n'
    assert only(write(tmp_path, content)).rows.schema == {
        "i": pl.Int64,
        "f": pl.Float64,
        "s": pl.String,
        "b": pl.Boolean,
        "n": pl.Null,
    }


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "malformed"),
        (b'{"a":1} x', "malformed"),
        (b'{"a":"\0"}', "malformed"),
        (b'{"a":"\\ud800"}', "malformed"),
        (b'{"a":' * 100_000, "too_deep"),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "too_deep"),
        (b"[" * 100_000, "too_deep"),
        (b"[1]", "non_object"),
        (b"null", "non_object"),
        (b'"x"', "non_object"),
        (b'{"a":"\xff"}', "invalid_utf8"),
        (b"\xff", "invalid_utf8"),
        (b'{"a":1,"a":2}', "duplicate_keys"),
        (b'{"a":{"b" : 1,"b":1}}', "duplicate_keys"),
        (b'{"a":[{"b":":","\\u0062":1}]}', "duplicate_keys"),
        (b'{"a":NaN}', "non_finite"),
        (b'{"a":-Infinity}', "non_finite"),
        (b'{"a":1e999}', "non_finite"),
        (b'{"a":' + b"9" * 5000 + b"}", "non_finite"),
        (b'{"a":NaN,"b":' + b"[" * 100_000, "non_finite"),
        (b'{"b":' + b"[" * 100_000 + b'{"a":NaN', "too_deep"),
    ],
)
def test_bad_line_costs_itself_alone(tmp_path: Path, line: bytes, reason: str) -> None:
    batch = only(write(tmp_path, b'{"a":1}\n' + line + b'\n{"a":2}\n'))
    assert batch.rows["a"].to_list() == [1, 2]
    assert batch.where == ["a.jsonl:1", "a.jsonl:3"]
    (reject,) = batch.rejects
    assert (reject.where, reject.reason) == ("a.jsonl:2", reason)
    assert reject.raw[:3].encode() == line[:3] or "\\xff" in reject.raw
    assert len(reject.raw) <= 65_536


def test_line_too_long_to_keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LINE_LIMIT", 64)
    monkeypatch.setattr("fenchel_connectors.decoding.LINE_LIMIT", 64)
    source = write(tmp_path, b'{"a":1}\n{"a":"' + b"x" * 1000 + b'"}\n{"a":2}\n')
    batch = only(source)
    assert batch.rows["a"].to_list() == [1, 2]
    assert [reject.reason for reject in batch.rejects] == ["oversized"]
    assert_resumable(source, 1)


def test_no_rows_at_all(tmp_path: Path) -> None:
    assert read(write(tmp_path, b""), 3) == []
    assert read(write(tmp_path, b"\n \n"), 3) == []
    batch = only(write(tmp_path, b"[]\n"))
    assert batch.rows.shape == (0, 0)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file: .*nowhere\.jsonl"):
        JsonlSource(str(tmp_path / "nowhere.jsonl"))


def test_total(tmp_path: Path) -> None:
    assert write(tmp_path, b"{}\n\n{}\n[").total == 3
    assert JsonlSource("-").total is None


def stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> JsonlSource:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    return JsonlSource("-")


def test_standard_input_passes_over_what_was_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"".join(b'{"a":%d}\n\n' % number for number in range(10_000)) + b"[]\n"
    whole = read(stdin(monkeypatch, content), 999)
    assert whole[0][3][1] == "stdin:3"
    assert whole[0][4] == {"line": 1997}
    for done in (1, 5, 10, 11):
        assert read(stdin(monkeypatch, content), 999, whole[done - 1][4]) == whole[done:]
    with pytest.raises(CheckpointError, match="ends after 3 lines"):
        read(stdin(monkeypatch, b"{}\n{}\n{}"), 1, {"line": 4})


def test_standard_input_gives_a_batch_as_soon_as_it_is_full() -> None:
    code = (
        "from fenchel_connectors import JsonlSource\n"
        "for batch in JsonlSource('-').batches(2): print(batch.where, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b'{"a":1}\n{"a":2}\n')
        process.stdin.flush()
        assert process.stdout.readline() == b"['stdin:1', 'stdin:2']\n"
        process.stdin.write(b'{"a":3}')
        process.stdin.close()
        assert process.stdout.readline() == b"['stdin:3']\n"


def test_deep_lines_are_refused_quickly(tmp_path: Path) -> None:
    source = write(tmp_path, (b"[" * 1_000_000 + b"\n") * 10)
    started = time.perf_counter()
    assert [reject.reason for reject in only(source).rejects] == ["too_deep"] * 10
    assert time.perf_counter() - started < 5


values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab"), inner, max_size=2),
    max_leaves=3,
)
records = st.dictionaries(st.sampled_from("abcé") | st.text(st.characters(codec="utf-8")), values)
bad = st.sampled_from([b"", b" ", b"{", b"[1]", b"\xff", b'{"a":NaN}', b"[" * 2000])


@given(items=st.lists(records | bad, max_size=12), size=st.integers(1, 5), packed=st.booleans())
def test_what_json_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    items: list[dict[str, Any] | bytes],
    size: int,
    packed: bool,
) -> None:
    content = b"\n".join(
        item if isinstance(item, bytes) else json.dumps(item).encode() for item in items
    )
    folder = tmp_path_factory.mktemp("jsonl")
    source = write(folder, gzip.compress(content) if packed else content)
    assert_resumable(source, size)
    batches = list(source.batches(size))
    good = [item for item in items if isinstance(item, dict)]
    assert sum(len(batch.rejects) for batch in batches) == sum(
        isinstance(item, bytes) and bool(item.strip()) for item in items
    )
    rows_read = [row for batch in batches for row in batch.rows.to_dicts()]
    assert len(rows_read) == len(good)
    for row, item in zip(rows_read, good, strict=True):
        # Beside floats an integer becomes the float that is equal to it; nothing else changes.
        assert {key: value for key, value in row.items() if value is not None} == {
            key: value for key, value in item.items() if value is not None
        }


def test_orjson_still_says_when_a_line_is_too_deep() -> None:
    with pytest.raises(orjson.JSONDecodeError, match=r"depth|ecursion"):
        orjson.loads(b"[" * 5000)
