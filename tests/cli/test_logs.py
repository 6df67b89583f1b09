"""What the command logs as JSON, in processes of its own: pytest has set up logging in this."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fenchel_stream.cli.logs import JsonFormatter
from tests.runs import Process, rows, tables, to_toml, write_csv

JSON = ("--log-format", "json", "run", "run.toml")


def logged(folder: Path, *arguments: str) -> tuple[int, str, list[dict[str, Any]]]:
    """Run the command, and return its exit code, its output, and its log."""
    with Process(folder, *JSON, *arguments) as process:
        code = process.wait()
    lines = process.err.read_text().splitlines()
    return code, process.out.read_text(), [json.loads(line) for line in lines]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    url = write_csv(tmp_path / "data.csv", rows(60))
    (tmp_path / "run.toml").write_text(to_toml(tables(tmp_path, url, run={"progress": True})))
    return tmp_path


def test_a_run_and_its_end(folder: Path) -> None:
    before = datetime.now(UTC)
    code, out, lines = logged(folder)
    assert (code, out[:9]) == (0, "Accuracy ")
    assert "data.csv:19: rejected as non_numeric (column 'a' holds 'far')" in {
        line["message"] for line in lines
    }
    for line in lines:
        assert line["level"] in {"INFO", "WARNING"}
        assert line["logger"].startswith("fenchel_stream.")
        assert before <= datetime.fromisoformat(line["time"]) <= datetime.now(UTC)
    code, out, lines = logged(folder)
    assert (code, out[:25]) == (0, "no new records: Accuracy ")
    assert lines[0]["checkpoint"].endswith("/00000004")
    assert lines[0]["records"] == 60
    code, out, (line,) = logged(folder, "--set", "model.hidden=[9]")
    assert (code, line["exit_code"], line["level"], out) == (4, 4, "CRITICAL", "")
    assert "was made with model.hidden = [8]" in line["message"]


def test_a_fault_of_the_program(folder: Path) -> None:
    (folder / "faulty.py").write_text("import math\nmath.sqrt(-1)\n")
    command = "from fenchel_stream.cli import main; raise SystemExit(main())"
    done = subprocess.run(
        [sys.executable, "-c", command, *JSON, "--set", "model.factory=faulty:make"],
        capture_output=True,
        text=True,
        check=False,
    )
    line = json.loads(done.stderr)
    assert (done.returncode, line["exit_code"]) == (1, 1)
    assert 'faulty.py", line 2' in line["exception"]


def test_what_is_no_json_becomes_text() -> None:
    record = logging.makeLogRecord({"msg": "%s", "args": ("a\nb",), "path": Path("c")})
    line = json.loads(JsonFormatter().format(record))
    assert (line["message"], line["path"]) == ("a\nb", "c")
