"""The command line: its exit codes, what it prints, and the care of checkpoints."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fenchel_stream.checkpoint import CheckpointStore
from fenchel_stream.cli import main
from fenchel_stream.cli.run import FLAGS
from fenchel_stream.config import load
from tests.runs import kept, learn, read_lines, rows, tables, to_toml, write_csv

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def run(tmp_path: Path, capsys: Capture) -> Any:
    """Write a configuration, run the command with it, return its exit code and what it said."""

    def started(*arguments: str, count: int = 60, **changes: Any) -> tuple[int, str, str]:
        url = write_csv(tmp_path / "data.csv", rows(count))
        file = tmp_path / "run.toml"
        file.write_text(to_toml(tables(tmp_path, url, **changes)))
        code = main(["run", str(file), *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return started


class TestExitCodes:
    def test_0_and_a_summary(self, run: Any) -> None:
        code, out, err = run()
        assert code == 0
        figures = r"Accuracy 0\.\d+, CrossEntropy [\d.]+"
        assert re.fullmatch(rf"{figures} over 56 rows, 4 rejected, [\d,]+ rows/s\n", out)
        assert "Traceback" not in err

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                ["--set", "run.batchsize=3"],
                r"run: unknown key `batchsize`, did you mean `batch_size`",
            ),
            (["--batch-size", "0"], r"run\.toml: run\.batch_size: Expected `int` >= 1"),
            (["--set", "run"], r"setting 'run' is not of the form table\.key=value"),
            (
                ["--set", "run.window=3"],
                r"run: unknown key `window`, did you mean `metrics\.window`",
            ),
            (["--set", "run.zzz=3"], r"unknown key `zzz`; known: batch_size, limit, "),
            (["--source", "cvs:a"], r"did you mean csv:a\? known schemes: csv, "),
            (["--source", "a.csv.gz"], r"did you mean csv:a\.csv\.gz\? known schemes: csv, "),
            (["--source", "a.ndjson"], r"did you mean jsonl:a\.ndjson\?"),
            (["--source", "a"], r"source 'a': it has no scheme; known schemes: csv, "),
            (["--set", "model.seed=-1"], r"model: seed must be at least 0, not -1"),
            (["--set", "model.hidden=[8, 0]"], r"model: hidden must be at least 1, not 0"),
            (["--set", "model.device=gpu9"], r"model: device 'gpu9': torch knows no such"),
            (["--set", "model.device=cuda:77"], r"model: device 'cuda:77' cannot be used: "),
            (["--source", "csv:none.csv"], r"csv: no such file: none\.csv"),
            (["--source", "river:Fishing"], r"did you mean Phishing\?"),
            (["--set", "source.options.delimeter=;"], r"unknown option 'delimeter'; csv takes: de"),
            (["--kind", "clustering"], r"source\.kind: must be classification, regression or"),
            (["--positive", "1", "--kind", "regression"], r"positive = '1' names a class, and r"),
            (["--set", "model.hiden=[8]"], r"model: unknown parameter 'hiden'; known: hidden"),
            (["--set", "model.factory=nowhere:f"], r"model\.factory 'nowhere:f': No module named"),
            (["--set", "metrics.names=['Acuracy']"], r"river\.metrics has no metric 'Acuracy'"),
            (["--set", "metrics.names=['MAE']"], r"metric MAE does not work with"),
            (["--set", "metrics.names=['F1']"], r'as in source\.positive = "(yes|no)"'),
            (["--set", "features.ignore=['y']"], r"column 'y' is two of target, one_hot and ig"),
            (["--plot", "plot.abc"], r"plot plot\.abc: "),
            (["--metrics-port", "70000"], r"metrics cannot be served at 127\.0\.0\.1, port 70000"),
        ],
    )
    def test_2_configuration(self, arguments: list[str], message: str, run: Any) -> None:
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("fenchel-stream: ")
        assert re.search(message, err)
        assert err.count("\n") == 1, "one line, and no traceback"

    def test_2_no_such_file(self, capsys: Capture) -> None:
        assert main(["run", "none.toml"]) == 2
        assert capsys.readouterr().err == (
            "fenchel-stream: configuration none.toml: No such file or directory\n"
        )

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--target", "z"], r"target column 'z' does not exist; the stream has: a, b, c, y"),
            (["--set", "features.one_hot=['d']"], r"one_hot column 'd' does not exist"),
            (["--set", "features.one_hot=[]"], r"column 'c': a number is needed, but none of its"),
            (["--set", "run.max_error_rate=0"], r"max_error_rate = 0 allows; the last one is data"),
        ],
    )
    def test_3_data(self, arguments: list[str], message: str, run: Any) -> None:
        code, out, err = run(*arguments)
        assert (code, out) == (3, "")
        assert re.search(f"fenchel-stream: .*{message}", err)
        assert "Traceback" not in err

    def test_4_checkpoints(self, run: Any, tmp_path: Path) -> None:
        assert run()[0] == 0
        code, out, err = run("--set", "model.hidden=[9]")
        assert (code, out) == (4, "")
        assert "was made with model.hidden = [8], and this run has [9]" in err
        with CheckpointStore(tmp_path / "checkpoints"):
            code, _, err = run()
        assert code == 4
        assert f"process {os.getpid()} is writing checkpoints there" in err
        newest = CheckpointStore(tmp_path / "checkpoints").list()[-1].path
        (newest / "state.json").write_text("{}")
        code, _, err = run()
        assert code == 4
        assert "state.json: 2 bytes instead of" in err
        assert f"to go on from there, move {newest} out of the way" in err
        assert main(["run", str(tmp_path / "run.toml"), "--checkpoint", str(newest / "x")]) == 0

    def test_4_the_last_checkpoint(self, run: Any, tmp_path: Path) -> None:
        (tmp_path / "checkpoints").write_text("")
        code, _, err = run()
        assert code == 4
        assert re.search(r"checkpoints: (File exists|Not a directory)", err)

    @pytest.mark.parametrize(
        "arguments",
        [[], ["learn"], ["run", "--limit", "many"], ["run", "--colour"], ["checkpoint"]],
    )
    def test_2_usage(self, arguments: list[str], capsys: Capture) -> None:
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 2
        assert capsys.readouterr().err.startswith("usage: fenchel-stream")

    def test_1_what_is_nobody_s_plan(self, tmp_path: Path) -> None:
        """A factory with a fault of its own: its author needs the traceback."""
        (tmp_path / "mine.py").write_text("import math\nmath.sqrt(-1)\n")
        command = "from fenchel_stream.cli import main; raise SystemExit(main())"
        arguments = ["run", "--source", "river:Phishing", "--target", "target"]
        done = subprocess.run(
            [sys.executable, "-c", command, *arguments, "--set", "model.factory=mine:make"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert 'mine.py", line 2' in done.stderr


class TestFlags:
    def test_flags_go_over_settings_and_settings_over_the_file(
        self, run: Any, tmp_path: Path
    ) -> None:
        assert run("--limit", "40", "--set", "run.limit=20", run={"limit": 5})[0] == 0
        assert kept(tmp_path).meta["records"] == 40
        assert run("--set", "run.limit=60", "--set", "run.limit=50", run={"limit": 5})[0] == 0
        assert kept(tmp_path).meta["records"] == 60, "up to the end of a batch"

    def test_without_a_file(self, tmp_path: Path, capsys: Capture) -> None:
        url = write_csv(tmp_path / "data.csv", rows(60))
        arguments = {
            "--source": url,
            "--target": "y",
            "--kind": "classification",
            "--positive": "yes",
            "--batch-size": "7",
            "--limit": "21",
            "--checkpoint": str(tmp_path / "checkpoints"),
            "--predictions": str(tmp_path / "p.jsonl"),
            "--rejects": str(tmp_path / "r.jsonl"),
            "--plot": str(tmp_path / "plot.svg"),
            "--metrics-port": "0",
        }
        assert arguments.keys() == FLAGS.keys()
        others = ["--set", "features.one_hot=['c']", "--set", "model.hidden=[8]"]
        assert main(["run", *sum(arguments.items(), ()), *others]) == 0
        said = capsys.readouterr()
        assert said.out.startswith("Accuracy ")
        # The progress bar.
        assert re.search(r"21\.0/21\.0 \[.*rows/s, Accuracy 0\.\d+\]", said.err)
        assert len(read_lines(tmp_path / "p.jsonl")) + len(read_lines(tmp_path / "r.jsonl")) == 21
        assert kept(tmp_path).meta["identity"]["run"] == {"batch_size": 7, "delay": 0}
        assert "<svg" in (tmp_path / "plot.svg").read_text()

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--help"], ["run", "checkpoint", "exit codes: 0 done", "3 data, 4 checkpoint"]),
            (["run", "--help"], [*FLAGS, "--set", "(source.url)", "exit codes"]),
            (["checkpoint", "--help"], ["list", "verify", "export", "sha256"]),
            (["checkpoint", "export", "--help"], ["directory", "name", "path", "tar"]),
        ],
    )
    def test_help(self, arguments: list[str], words: list[str], capsys: Capture) -> None:
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0
        said = capsys.readouterr().out
        assert [word for word in words if word not in said] == []

    def test_version(self, capsys: Capture) -> None:
        with pytest.raises(SystemExit) as end:
            main(["--version"])
        assert end.value.code == 0
        assert capsys.readouterr().out == f"fenchel-stream {version('fenchel-stream')}\n"

    def test_the_example(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(root)
        config = load(Path("examples/demo.toml"))
        assert config.source.positive == "1"


class TestCheckpoint:
    @pytest.fixture
    def directory(self, tmp_path: Path) -> Path:
        learn(tmp_path, write_csv(tmp_path / "data.csv", rows(100)))
        return tmp_path / "checkpoints"

    def test_list(self, directory: Path, capsys: Capture) -> None:
        assert main(["checkpoint", "list", str(directory)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 3
        for line, number, count in zip(lines, (4, 5, 6), (60, 80, 100), strict=True):
            assert re.fullmatch(
                rf"0000000{number}  \d{{4}}-.* UTC  {count} records  [\d,]+ bytes", line
            )
        (directory / "00000005" / "manifest.json").write_text("{}")
        assert main(["checkpoint", "list", str(directory)]) == 0
        assert "00000005  damaged: manifest.json: " in capsys.readouterr().out

    def test_verify(self, directory: Path, capsys: Capture) -> None:
        assert main(["checkpoint", "verify", str(directory)]) == 0
        said = capsys.readouterr().out
        assert said == "00000004: intact\n00000005: intact\n00000006: intact\n"
        assert main(["checkpoint", "verify", str(directory), "00000005"]) == 0
        assert capsys.readouterr().out == "00000005: intact\n"
        for name in ("00000004", "00000006"):
            path = directory / name / "arrays.npz"
            content = bytearray(path.read_bytes())
            content[100] ^= 1
            path.write_bytes(content)
        assert main(["checkpoint", "verify", str(directory)]) == 4
        said, error = capsys.readouterr()
        assert said == "00000005: intact\n"
        assert re.search("00000004 is damaged: arrays.npz: its sha256 .* no older one", error)
        assert re.search("00000006 is damaged: .* checkpoint 00000005 is whole", error)
        assert main(["checkpoint", "verify", str(directory), "00000005"]) == 0
        assert main(["checkpoint", "verify", str(directory), "00000006"]) == 4
        assert main(["checkpoint", "verify", str(directory), "7"]) == 4
        assert "holds no checkpoint '7', only 00000004, " in capsys.readouterr().err

    def test_export(self, directory: Path, tmp_path: Path, capsys: Capture) -> None:
        arguments = ["checkpoint", "export", str(directory), "00000006", str(tmp_path / "6.tar")]
        assert main(arguments) == 0
        assert capsys.readouterr().out == f"00000006: written to {tmp_path / '6.tar'}\n"
        assert main(arguments) == 4, "it never writes over a file"
        assert "6.tar cannot be written: File exists" in capsys.readouterr().err
        with tarfile.open(tmp_path / "6.tar") as archive:
            archive.extractall(tmp_path / "elsewhere" / "checkpoints", filter="data")
        assert kept(tmp_path / "elsewhere").arrays == kept(tmp_path).arrays
        # Weights, for someone who has NumPy alone.
        with np.load(tmp_path / "elsewhere/checkpoints/00000006/arrays.npz") as arrays:
            assert any(name.startswith("test.model.model") for name in arrays)
        (directory / "00000005" / "state.json").write_text(json.dumps({}))
        arguments[3:] = ["00000005", str(tmp_path / "5.tar")]
        assert main(arguments) == 4
        assert not (tmp_path / "5.tar").exists()

    def test_no_checkpoints(self, tmp_path: Path, capsys: Capture) -> None:
        for action in ("list", "verify"):
            assert main(["checkpoint", action, str(tmp_path / "none")]) == 2
            assert "none is not a directory of checkpoints" in capsys.readouterr().err
        assert main(["checkpoint", "list", str(tmp_path)]) == 0
        assert main(["checkpoint", "verify", str(tmp_path)]) == 4
        assert "holds no checkpoint" in capsys.readouterr().err
