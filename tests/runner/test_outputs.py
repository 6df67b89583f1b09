from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest

from fenchel_stream.errors import CheckpointError, ConfigError
from fenchel_stream.runner.outputs import Outputs
from tests.runs import read_lines


def write(outputs: Outputs, *values: int) -> None:
    for name, sink in outputs.sinks.items():
        sink.write([{name: value} for value in values])


def test_what_came_after_a_mark_is_dropped(tmp_path: Path) -> None:
    urls = {"a": str(tmp_path / "a.jsonl"), "b": f"jsonl:{tmp_path / 'b.jsonl'}"}
    with Outputs(urls) as outputs:
        write(outputs, 1)
        marks = json.loads(json.dumps(outputs.mark()))
        assert read_lines(tmp_path / "a.jsonl") == [{"a": 1}], "the disk has it"
        write(outputs, 2)
    with Outputs(urls) as outputs:
        assert outputs.go_back(marks)
        write(outputs, 3)
    for name in urls:
        assert read_lines(tmp_path / f"{name}.jsonl") == [{name: 1}, {name: 3}]
    with Outputs(urls) as outputs:
        outputs.clear()
    assert [(tmp_path / f"{name}.jsonl").read_text() for name in urls] == ["", ""]


def test_one_that_rests_keeps_its_mark(tmp_path: Path) -> None:
    urls = {"a": str(tmp_path / "a.jsonl"), "b": str(tmp_path / "b.jsonl")}
    with Outputs(urls) as outputs:
        write(outputs, 1)
        marks = outputs.mark()
        write(outputs, 2)
    with Outputs({**urls, "b": None}) as outputs:
        assert outputs.sinks.keys() == {"a"}
        assert outputs.go_back(marks)
        write(outputs, 3)
        marks = outputs.mark()
    with Outputs(urls) as outputs:
        assert outputs.go_back(marks)
    assert read_lines(tmp_path / "a.jsonl") == [{"a": 1}, {"a": 3}]
    assert read_lines(tmp_path / "b.jsonl") == [{"b": 1}]


def test_one_that_is_new_or_elsewhere_is_written_on(tmp_path: Path) -> None:
    with Outputs({"a": str(tmp_path / "a.jsonl")}) as outputs:
        marks = outputs.mark()
        write(outputs, 1)
    (tmp_path / "other.jsonl").write_text('{"other": 1}\n')
    with Outputs({"a": str(tmp_path / "other.jsonl"), "b": str(tmp_path / "b.jsonl")}) as outputs:
        assert not outputs.go_back(marks)
        write(outputs, 2)
    assert read_lines(tmp_path / "a.jsonl") == [{"a": 1}]
    assert read_lines(tmp_path / "other.jsonl") == [{"other": 1}, {"a": 2}]
    assert read_lines(tmp_path / "b.jsonl") == [{"b": 2}]


def test_one_that_lost_something(tmp_path: Path) -> None:
    urls = {"a": str(tmp_path / "a.jsonl")}
    with Outputs(urls) as outputs:
        write(outputs, 1)
        marks = outputs.mark()
    (tmp_path / "a.jsonl").write_text("")
    with Outputs(urls) as outputs, pytest.raises(CheckpointError, match=r"a\.jsonl: holds 0 bytes"):
        outputs.go_back(marks)


def test_a_full_disk() -> None:
    outputs = Outputs({"a": "/dev/full"}).__enter__()
    with pytest.raises(OSError, match="No space left"):
        write(outputs, 1)
    with pytest.raises(CheckpointError, match="/dev/full: No space left") as error:
        outputs.mark()
    assert isinstance(error.value.__cause__, OSError)
    with pytest.raises(OSError, match="No space left"):
        outputs.__exit__(None, None, None)


def test_a_full_disk_does_not_hide_what_went_wrong_before() -> None:
    def fail() -> None:
        with Outputs({"a": "/dev/full", "b": "/dev/full"}) as outputs:
            with suppress(OSError):
                write(outputs, 1)
            raise KeyError

    with pytest.raises(KeyError):
        fail()


def test_those_before_one_that_cannot_be_opened_are_closed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    urls = {"a": str(tmp_path / "a.jsonl"), "b": str(tmp_path / "file" / "b.jsonl")}
    outputs = Outputs(urls)
    with pytest.raises(ConfigError, match="cannot be written"):
        outputs.__enter__()
    with pytest.raises(ValueError, match="closed file"):
        outputs.sinks["a"].write([{}])
