"""No file that a user has is lost to a run: whatever it is, however it is named."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fenchel_stream.cli import main
from fenchel_stream.errors import ConfigError
from fenchel_stream.evaluation.result import MARKED, Evaluation
from fenchel_stream.runner.config import parse
from fenchel_stream.runner.files import check_files
from fenchel_stream.runner.learner import Learner
from tests.runs import learn, pipe, read_lines, rows, saved, start, write_csv, write_jsonl

PREDICTION = b'{"where": "a:1", "prediction": 1, "model": "b"}\n'
LETTER = b'{"where": "a:1", "reason": "b", "raw": "c", "detail": ""}\n'

FOREIGN = {
    "text": b"three years of work\n",
    "a line end": b"\n",
    "a space": b" ",
    "JSON": b'{"a": 1}\n',
    "other fields": b'{"where": 1, "prediction": 2}\n',
    "JSON without an object": b"[1]\n",
    "deep JSON": b"[" * 50_000 + b"\n",
    "TOML": b'[source]\nurl = "csv:d.csv"\n',
    "NUL bytes": bytes(1000),
    "no UTF-8": b"\xff\xfe\n",
    "a long line": b"x" * 200_000,
    "a picture of somebody else": b"\x89PNG\r\n\x1a\n" + bytes(100),
}


def spelt(folder: Path, file: Path, how: str) -> str:
    """Return another path to `file`."""
    other = folder / f"other{file.suffix}"
    match how:
        case "dots":
            (folder / "below").mkdir()
            return f"{folder}/below/.././{file.name}"
        case "link":
            other.symlink_to(file)
        case "hard link":
            other.hardlink_to(file)
        case "folder that is a link":
            other.symlink_to(folder)
            return f"{other}/{file.name}"
        case _:
            return str(file)
    return str(other)


SPELLINGS = ("itself", "dots", "link", "hard link", "folder that is a link")


@pytest.mark.parametrize("how", SPELLINGS)
@pytest.mark.parametrize("key", ["predictions", "rejects", "plot"])
def test_the_stream_is_no_output(key: str, how: str, tmp_path: Path) -> None:
    """Even where its records look like those of an output."""
    file = tmp_path / f"data.{'svg' if key == 'plot' else 'jsonl'}"
    row = json.loads(PREDICTION) | json.loads(LETTER) | {"y": "yes"}
    content = (json.dumps(row) + "\n").encode() * 30
    file.write_bytes(content)
    output = {key: spelt(tmp_path, file, how)}
    with pytest.raises(ConfigError, match=rf"output\.{key}: .* is the file of the stream too"):
        learn(tmp_path, f"jsonl:{file}", output=output)
    assert file.read_bytes() == content
    assert not (tmp_path / "predictions.jsonl").exists() or key != "predictions"


@pytest.mark.parametrize("how", SPELLINGS)
def test_late_labels_are_no_output(how: str, tmp_path: Path) -> None:
    events, labels = tmp_path / "e.jsonl", tmp_path / "labels.jsonl"
    events.write_text('{"k": 1, "a": 1}\n')
    labels.write_bytes(content := PREDICTION[:-2] + b', "k": 1, "y": "p"}\n')
    late = {"source": f"jsonl:{labels}", "key": "k"}
    output = {"predictions": spelt(tmp_path, labels, how)}
    with pytest.raises(ConfigError, match="is the file of the stream too"):
        learn(tmp_path, f"jsonl:{events}", labels=late, output=output)
    assert labels.read_bytes() == content


def assert_it_stays(file: Path, key: str, content: bytes) -> None:
    """Assert that a run does not begin if a file with this content is to be its output."""
    file.write_bytes(content)
    url = write_csv(file.with_name("data.csv"), rows(30))
    with pytest.raises(ConfigError, match="exists and is no output of a run"):
        learn(file.parent, url, output={key: str(file)})
    assert file.read_bytes() == content


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("key", ["predictions", "rejects", "plot"])
def test_a_file_that_no_run_has_written_stays(key: str, content: bytes, tmp_path: Path) -> None:
    assert_it_stays(tmp_path / "mine.png", key, content)


@given(content=st.binary(min_size=1) | st.text(min_size=1).map(str.encode))
@settings(max_examples=50)
def test_nor_does_any_other_content(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assume(not b'{"where":'.startswith(content))  # as of a run that was killed
    file = tmp_path_factory.getbasetemp() / "any.jsonl"
    file.write_bytes(content)
    source = {"url": "river:Phishing", "target": "target"}
    with pytest.raises(ConfigError, match="exists and is no output of a run"):
        check_files(parse({"source": source, "output": {"predictions": str(file)}}), {})


@pytest.mark.parametrize(("key", "content"), [("rejects", PREDICTION), ("predictions", LETTER)])
def test_the_output_of_another_kind_stays(key: str, content: bytes, tmp_path: Path) -> None:
    assert_it_stays(tmp_path / "earlier.jsonl", key, content)


def test_mended_letters_stay(tmp_path: Path) -> None:
    """A run writes no corrections: they are the work of a person."""
    url = write_jsonl(tmp_path / "data.jsonl", rows(100))
    with (tmp_path / "data.jsonl").open("a") as file:
        file.write('{"a": 1, "mended": {"y": 1}, "y": null}\n')
    changes: dict[str, Any] = {"features": {"ignore": ["mended"], "one_hot": ["c"]}}
    for limit in (50, 200, 200):
        learn(tmp_path, url, run={"limit": limit}, **changes)
    letters = tmp_path / "rejects.jsonl"
    assert "mended" in letters.read_text()
    first, *others = read_lines(letters)
    content = [{**first, "mended": {"y": "yes"}}, *others]
    letters.write_text("".join(json.dumps(one) + "\n" for one in content))
    for directory in ("checkpoints", "anew"):
        checkpoint = {"directory": str(tmp_path / directory)}
        with pytest.raises(ConfigError, match="letters that somebody has mended"):
            learn(tmp_path, url, checkpoint=checkpoint, **changes)
    assert read_lines(letters) == content


@pytest.mark.parametrize("cut", [0, 1, 5, 40, len(PREDICTION)])
def test_an_output_of_an_earlier_run_begins_anew(cut: int, tmp_path: Path) -> None:
    """Even one that a crash has cut off."""
    url = write_csv(tmp_path / "data.csv", rows(60))
    (tmp_path / "predictions.jsonl").write_bytes(PREDICTION[:cut])
    whole: list[list[str]] = []
    for _ in range(2):
        learn(tmp_path, url, checkpoint={"directory": str(tmp_path / f"{len(whole)}")})
        whole.append([one["where"] for one in read_lines(tmp_path / "predictions.jsonl")])
    assert whole[0] == whole[1]
    assert "a:1" not in whole[0]


@pytest.mark.parametrize("suffix", MARKED)
def test_a_plot_is_drawn_again(suffix: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    url = write_csv(tmp_path / "data.csv", rows(40))
    plot = tmp_path / f"plot.{suffix}"
    for limit in (20, 40):
        learn(tmp_path, url, output={"plot": str(plot)}, run={"limit": limit})
    assert plot.stat().st_size > 1000
    assert [path for path in tmp_path.iterdir() if path.suffix == ".new"] == []


def test_a_plot_replaces_no_link(tmp_path: Path, empty_evaluation: Evaluation) -> None:
    (tmp_path / "target.png").write_text("mine")
    (tmp_path / "plot.png").symlink_to("target.png")
    with pytest.raises(ConfigError, match=r"plot\.png: "):
        empty_evaluation.save_plot(tmp_path / "plot.png")
    assert (tmp_path / "target.png").read_text() == "mine"


@pytest.fixture
def empty_evaluation() -> Evaluation:
    pytest.importorskip("matplotlib")
    source = {"url": "river:Phishing", "target": "target"}
    return Learner(parse({"source": source}))._outcome()


@pytest.mark.parametrize("place", ["checkpoints", "checkpoints/.lock", "checkpoints/00000001/p"])
def test_no_output_is_among_the_checkpoints(place: str, tmp_path: Path) -> None:
    url = write_csv(tmp_path / "data.csv", rows(30))
    with pytest.raises(ConfigError, match="is among the checkpoints"):
        learn(tmp_path, url, output={"predictions": str(tmp_path / place)})
    learn(tmp_path, url, output={"predictions": str(tmp_path / "checkpoints" / "p.jsonl")})
    assert saved(tmp_path) == 30


@pytest.mark.parametrize("other", ["p.jsonl", "./p.jsonl", "jsonl:p.jsonl", "link.jsonl"])
def test_two_outputs_are_two_files(
    other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url = write_csv(tmp_path / "data.csv", rows(30))
    Path("link.jsonl").symlink_to("p.jsonl")
    with pytest.raises(ConfigError, match="is being written already|same file|is a link"):
        learn(tmp_path, url, output={"predictions": "p.jsonl", "rejects": other})


def test_the_configuration_is_no_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = write_csv(tmp_path / "data.csv", rows(30))
    file = tmp_path / "run.toml"
    content = f'source.url = "{url}"\nsource.target = "y"\noutput.predictions = "{file}"\n'
    file.write_text(content)
    for command in ("run", "check"):
        assert main([command, str(file)]) == 2
        assert f"{file} is the file of the configuration too" in capsys.readouterr().err
    assert file.read_text() == content


def test_a_stream_from_standard_input_is_no_output(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    write_jsonl(data, rows(50))
    content = data.read_bytes()
    arguments = ("--predictions", str(data))
    with start(tmp_path / "run", "jsonl:-", *arguments, stdin=data) as process:
        assert process.wait() == 2
        assert "is the file of the stream too" in process.err.read_text()
    assert data.read_bytes() == content


def test_of_two_runs_the_second_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    write_jsonl(data, rows(40))
    lines = data.read_text().splitlines(keepends=True)
    one, two = tmp_path / "one", tmp_path / "two"
    with pipe(tmp_path) as stdin, start(one, "jsonl:-", stdin=stdin) as first:
        stdin.write_text("".join(lines[:20]))
        first.checkpoint_after(20)
        file = one / "predictions.jsonl"
        content = file.read_bytes()
        with pytest.raises(ConfigError, match="is being written already"):
            learn(two, f"jsonl:{data}", output={"predictions": str(file)})
        assert file.read_bytes() == content


def test_pipes_and_devices_are_written(tmp_path: Path) -> None:
    url = write_csv(tmp_path / "data.csv", rows(40))
    (tmp_path / "null").symlink_to(os.devnull)
    output: dict[str, Any] = {"predictions": str(tmp_path / "null"), "rejects": os.devnull}
    assert learn(tmp_path, url, output=output).rows > 0


def test_a_resumed_run_cuts_only_what_a_run_has_written(tmp_path: Path) -> None:
    url = write_csv(tmp_path / "data.csv", rows(100))
    learn(tmp_path, url, run={"limit": 40})
    file = tmp_path / "predictions.jsonl"
    file.write_text("three years of work\n" * 1000)
    with pytest.raises(ConfigError, match="exists and is no output of a run"):
        learn(tmp_path, url)
    assert file.read_text() == "three years of work\n" * 1000


class TestReplay:
    @pytest.fixture
    def letters(self, tmp_path: Path) -> Path:
        learn(tmp_path, write_csv(tmp_path / "data.csv", rows(150)))
        return tmp_path / "rejects.jsonl"

    @pytest.mark.parametrize("how", SPELLINGS)
    def test_onto_the_letters(self, how: str, letters: Path, tmp_path: Path) -> None:
        content = letters.read_bytes()
        assert main(["dlq", "replay", str(letters), spelt(tmp_path, letters, how)]) == 2
        assert letters.read_bytes() == content

    @pytest.mark.parametrize("how", SPELLINGS)
    def test_onto_the_stream(self, how: str, letters: Path, tmp_path: Path) -> None:
        data = tmp_path / "data.csv"
        content = data.read_bytes()
        assert main(["dlq", "replay", str(letters), spelt(tmp_path, data, how)]) == 2
        assert data.read_bytes() == content

    def test_again(self, letters: Path, tmp_path: Path) -> None:
        target, neighbour = tmp_path / "back.csv", tmp_path / "back.csv.new"
        neighbour.write_text("mine")
        replay = ["dlq", "replay", str(letters), str(target)]
        assert main([*replay, "--reason", "ragged"]) == 0
        assert main(replay) == 0
        assert len(target.read_text().splitlines()) == len(read_lines(letters))
        assert main([*replay, "--reason", "ragged"]) == 2, "it would lose the others"
        assert neighbour.read_text() == "mine"
