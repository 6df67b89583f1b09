"""What reaches a terminal, or a file in its place: printable, whole, and nowhere else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenchel_stream.cli import main
from fenchel_stream.display import printable
from fenchel_stream.errors import DataError
from tests.runs import read_lines, rows, tables, to_toml, write_csv

COMMAND = "import sys; from fenchel_stream.cli import main; sys.exit(main())"
EVIL = "\x1b]0;owned\x07\x1b[31m\u202e\x9b2J\r\n\x00"


def clean(text: str) -> bool:
    return all(line.isprintable() for line in text.splitlines())


@given(st.text())
def test_any_text_is_one_printable_line(text: str) -> None:
    assert printable(text).isprintable()
    assert str(DataError(text)).isprintable()
    if text.isprintable():
        assert printable(text) == text


@pytest.mark.parametrize("form", ["text", "json"])
def test_escape_sequences_of_the_data(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """In values, keys, classes and names of files, through `run`, `check` and their log."""
    monkeypatch.chdir(tmp_path)
    name = f"a{EVIL[:-2]}.jsonl"
    records = [
        {"a": i % 3, f"b{EVIL}": 1, "y": f"p{EVIL}" if i % 2 else "q"} for i in range(30)
    ] + [{"a": EVIL, "y": "p"}, {"a": 1, "y": None}]
    Path(name).write_text("".join(json.dumps(record) + "\n" for record in records) + EVIL + "\n")
    flags = ["--source", f"jsonl:{name}", "--target", "y", "--set", "run.progress=false"]
    for command in ("run", "check"):
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, "--log-format", form, command, *flags],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert clean(done.stdout)
        assert clean(done.stderr)
    assert main(["run", "--source", f"csv:{EVIL[:-1]}", "--target", "y"]) == 2
    with pytest.raises(SystemExit):
        main(["run", "--no-such-flag", EVIL])
    assert clean(capfd.readouterr().err)


@pytest.mark.parametrize(
    "closed", ["1>&-", "2>&-", "1>&- 2>&-", "0<&-", "0<&- 1>&- 2>&-", "2>/dev/full"]
)
def test_closed_streams(closed: str, tmp_path: Path) -> None:
    """A run ends well, and nothing that is printed goes into a file that it opens."""
    url = write_csv(tmp_path / "data.csv", rows(60))
    source = (tmp_path / "data.csv").read_bytes()
    (tmp_path / "run.toml").write_text(to_toml(tables(tmp_path, url, run={"progress": True})))
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -c '{COMMAND}' run run.toml {closed}"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data.csv").read_bytes() == source
    assert all("prediction" in record for record in read_lines(tmp_path / "predictions.jsonl"))


@pytest.mark.parametrize(
    ("flags", "closed"),
    [("--source river:Phishing --predictions -", "1>&-"), ("--source jsonl:-", "0<&-")],
)
def test_a_closed_stream_that_is_needed(flags: str, closed: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -c '{COMMAND}' run {flags} --target target {closed}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("fenchel-stream: jsonl: ")


def test_a_stream_that_cannot_encode(tmp_path: Path) -> None:
    (tmp_path / "é.csv").write_text("a,y\n" + "1,é\n2,ü\n" * 10)
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "check", "--source", "csv:é.csv", "--target", "y"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "\\xe9.csv" in done.stdout
