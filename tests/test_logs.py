"""What the command logs as JSON, from a process of its own: pytest has set up logging in this."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fenchel_stream.logs import JsonFormatter
from tests.runs import rows, tables, to_toml, write_csv

COMMAND = "from fenchel_stream.cli import main; raise SystemExit(main())"


def run(folder: Path, *arguments: str) -> tuple[int, str, list[dict[str, Any]]]:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "--log-format", "json", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, [json.loads(line) for line in done.stderr.splitlines()]


def test_a_run_its_end_by_an_error_and_a_fault(tmp_path: Path) -> None:
    url = write_csv(tmp_path / "data.csv", rows(60))
    (tmp_path / "run.toml").write_text(to_toml(tables(tmp_path, url, run={"progress": True})))
    before = datetime.now(UTC)
    code, said, lines = run(tmp_path, "run", "run.toml")
    assert code == 0
    assert said.startswith("Accuracy ")
    assert {line["message"].partition(": ")[2] for line in lines} > {
        "rejected as non_numeric (column 'a' holds 'far')"
    }
    for line in lines:
        assert line["level"] in {"INFO", "WARNING"}
        assert line["logger"].startswith("fenchel_stream.")
        assert before <= datetime.fromisoformat(line["time"]) <= datetime.now(UTC)
    code, said, lines = run(tmp_path, "run", "run.toml")
    assert code == 0
    assert said.startswith("nothing new: Accuracy ")
    assert (lines[0]["checkpoint"], lines[0]["records"]) == ("00000004", 60)
    code, said, (line,) = run(tmp_path, "run", "run.toml", "--set", "model.hidden=[9]")
    assert (code, line["exit_code"], line["level"], said) == (4, 4, "CRITICAL", "")
    assert "was made with model.hidden = [8]" in line["message"]
    (tmp_path / "mine.py").write_text("def make():\n    raise KeyError('a fault of its own')\n")
    code, _, (line,) = run(tmp_path, "run", "run.toml", "--set", "model.factory=mine:make",
                           "--set", "model.hidden=[8]")  # fmt: skip
    assert code == 2, line
    (tmp_path / "mine.py").write_text("import math\nmath.sqrt(-1)\n")
    code, _, (line,) = run(tmp_path, "run", "run.toml", "--set", "model.factory=mine:make")
    assert (code, line["exit_code"]) == (1, 1)
    assert 'mine.py", line 2' in line["exception"]


def test_what_is_no_json_becomes_text() -> None:
    record = logging.makeLogRecord({"msg": "%s", "args": ("a\nb",), "path": Path("c")})
    found = json.loads(JsonFormatter().format(record))
    assert (found["message"], found["path"]) == ("a\nb", "c")
