"""The command line: its exit codes, what it prints, and the care of checkpoints."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fenchel_connectors import CsvSource
from fenchel_stream.checkpoint import CheckpointStore
from fenchel_stream.cli import main
from fenchel_stream.cli.parser import FLAGS
from fenchel_stream.runner.config import load
from fenchel_stream.streams.source import Batch
from tests.runs import assert_same, kept, learn, read_lines, rows, tables, to_toml, write_csv

Capture = pytest.CaptureFixture[str]

NEEDS_TORCH = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")


@pytest.fixture
def run(tmp_path: Path, capsys: Capture) -> Any:
    """Write a configuration, run the command with it, return its exit code and its output."""

    def started(*arguments: str, count: int = 60, **changes: Any) -> tuple[int, str, str]:
        url = write_csv(tmp_path / "data.csv", rows(count))
        file = tmp_path / "run.toml"
        file.write_text(to_toml(tables(tmp_path, url, **changes)))
        code = main(["run", str(file), *arguments])
        output = capsys.readouterr()
        return code, output.out, output.err

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
            (["--set", "model.device=gpu9"], r"model: device 'gpu9' cannot be used: "),
            (["--set", "model.device=cuda:77"], r"model: device 'cuda:77' cannot be used: "),
            (["--source", "csv:none.csv"], r"csv: no such file: none\.csv"),
            (["--source", "river:Fishing"], r"did you mean Phishing\?"),
            (["--set", "source.options.delimeter=;"], r"unknown option 'delimeter'; csv takes: de"),
            (["--kind", "clustering"], r"source\.kind: must be classification, regression or"),
            (["--positive", "1", "--kind", "regression"], r"positive = '1' names a class, and r"),
            (["--set", "model.hiden=[8]"], r"model: unknown parameter 'hiden'; known: hidden"),
            (["--set", "model.factory=nowhere:f"], r"model\.factory 'nowhere:f': No module named"),
            (
                ["--set", "metrics.names=['Acuracy']"],
                r"river\.metrics has no metric 'Acuracy', did you mean Accuracy\?",
            ),
            (
                ["--set", "metrics.names=['MAE']"],
                r"MAE does not work with the classifier F.*, which needs .* Accuracy",
            ),
            (["--set", "metrics.names=['F1']"], r'as in source\.positive = "(yes|no)"'),
            (
                ["--set", "features.ignore=['y']"],
                r"column 'y' has two roles of target, one_hot and ig",
            ),
            (["--plot", "plot.abc"], r"plot plot\.abc: "),
            (["--positive", "no", "--set", "source.positive=yes"], r"remove one"),
            (["--metrics-port", "70000"], r"metrics cannot be served at 127\.0\.0\.1, port 70000"),
        ],
    )
    def test_2_configuration(self, arguments: list[str], message: str, run: Any) -> None:
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("fenchel-stream: ")
        assert re.search(message, err)
        assert err.count("\n") == 1, "one line, and no traceback"

    def test_0_and_a_positive_class_that_never_came(self, run: Any) -> None:
        code, out, err = run("--positive", "maybe")
        assert code == 0
        note = "none of 57 labels equals source.positive = 'maybe'"
        assert out.endswith(f" rows/s; {note}\n")
        assert f"{note}; the labels are: 'no', 'yes'" in err

    def test_2_a_positive_class_in_other_letters(self, run: Any) -> None:
        code, out, err = run("--positive", "YES")
        assert (code, out) == (2, "")
        assert "none of 57 labels equals source.positive = 'YES', but some equal 'yes'" in err

    @pytest.mark.parametrize("command", ["run", "check"])
    def test_2_nothing_to_learn(self, command: str, capsys: Capture) -> None:
        assert main([command]) == 2
        assert capsys.readouterr().err == (
            "fenchel-stream: no stream to learn is given: name a TOML file, or use flags, as in "
            "--source csv:flights.csv --target late\n"
        )

    def test_0_what_was_not_scored_is_not_called_wrong(
        self, tmp_path: Path, capsys: Capture
    ) -> None:
        (tmp_path / "one.csv").write_text("a,y\n1,2\n")
        assert main(["run", "--source", f"csv:{tmp_path / 'one.csv'}", "--target", "y"]) == 0
        assert capsys.readouterr().out.startswith("Accuracy undefined over 1 rows")

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
        (tmp_path / "faulty.py").write_text("import math\nmath.sqrt(-1)\n")
        command = "from fenchel_stream.cli import main; raise SystemExit(main())"
        arguments = ["run", "--source", "river:Phishing", "--target", "target"]
        done = subprocess.run(
            [sys.executable, "-c", command, *arguments, "--set", "model.factory=faulty:make"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert 'faulty.py", line 2' in done.stderr


class TestFlags:
    def test_flags_and_settings_go_over_the_file(self, run: Any, tmp_path: Path) -> None:
        assert run("--limit", "40", "--set", "run.limit=40", run={"limit": 5})[0] == 0
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
            "--from": f"{tmp_path}/other/checkpoints/00000002",
            "--predictions": str(tmp_path / "p.jsonl"),
            "--rejects": str(tmp_path / "r.jsonl"),
            "--plot": str(tmp_path / "plot.svg"),
            "--metrics-port": "0",
        }
        assert arguments.keys() == FLAGS.keys()
        others = ["--set", "features.one_hot=['c']", "--set", "model.hidden=[8]"]
        source = {"positive": "yes"}
        metrics = {"names": [], "window": 1000}
        run = {"batch_size": 7, "limit": 7}
        learn(tmp_path / "other", url, source=source, metrics=metrics, run=run)
        assert main(["run", *sum(arguments.items(), ()), *others]) == 0
        output = capsys.readouterr()
        assert output.out.startswith("Accuracy ")
        # The progress bar.
        assert re.search(r"21\.0/21\.0 \[.*rows/s, Accuracy 0\.\d+\]", output.err)
        assert (
            len(read_lines(tmp_path / "p.jsonl")) + len(read_lines(tmp_path / "r.jsonl")) == 21 - 7
        )
        assert kept(tmp_path).meta["identity"]["run"] == {"batch_size": 7, "delay": 0}
        assert "<svg" in (tmp_path / "plot.svg").read_text()

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (
                ["--help"],
                [
                    "run",
                    "check",
                    "status",
                    "checkpoint",
                    "exit codes: 0 done",
                    "3 data, 4 checkpoint",
                ],
            ),
            (["run", "--help"], [*FLAGS, "--set", "(source.url)", "exit codes"]),
            (["checkpoint", "--help"], ["list", "verify", "export", "alias", "rollback", "sha256"]),
            (["checkpoint", "export", "--help"], ["directory", "NAME", "path", "tar"]),
        ],
    )
    def test_help(self, arguments: list[str], words: list[str], capsys: Capture) -> None:
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0
        output = capsys.readouterr().out
        assert [word for word in words if word not in output] == []

    def test_version(self, capsys: Capture) -> None:
        with pytest.raises(SystemExit) as end:
            main(["--version"])
        assert end.value.code == 0
        assert capsys.readouterr().out == f"fenchel-stream {version('fenchel-stream')}\n"

    def test_the_example(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(root)
        config = load(Path("examples/demo.toml"))
        assert config.source.positive == "1"


class TestCheck:
    @pytest.fixture
    def check(self, tmp_path: Path, capsys: Capture) -> Any:
        def checked(*arguments: str, url: str = "", **changes: Any) -> tuple[int, str, str]:
            url = url or write_csv(tmp_path / "data.csv", rows(60))
            file = tmp_path / "run.toml"
            file.write_text(to_toml(tables(tmp_path / "made", url, **changes)))
            code = main(["check", str(file), *arguments])
            output = capsys.readouterr()
            return code, output.out, output.err

        return checked

    def test_all_is_shown_and_nothing_written(self, check: Any, tmp_path: Path) -> None:
        code, output, _ = check(features={"ignore": ["b"]})
        assert code == 0
        record = rows(60)[0]
        for line in (
            r"configuration  .*run\.toml: well-formed",
            r"model          Pipeline .*FenchelClassifier.*",
            r"checkpoint     .*checkpoints: none yet, a run begins anew",
            r"source         csv:.*data\.csv: reachable, 60 records",
            r"record         data\.csv:2",
            rf"               a = '{record['a']}': number",
            rf"               b = '{record['b']}': ignored",
            rf"               c = '{record['c']}': category",
            rf"               y = '{record['y']}': target",
            r"records        20, 2 of them rejected",
            r"               1 non_numeric: data\.csv:19, column 'a' holds 'far'",
            r"dry run        predicts '(yes|no)' for data\.csv:2",
        ):
            assert re.search(f"^{line}$", output, re.MULTILINE), line
        assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv", "run.toml"]

    def test_where_a_run_would_go_on(self, check: Any, tmp_path: Path) -> None:
        learn(tmp_path / "made", write_csv(tmp_path / "data.csv", rows(60)))
        before = kept(tmp_path / "made")
        code, output, _ = check()
        assert code == 0
        assert "00000004: a run resumes from it, after 60 records" in output
        assert_same(kept(tmp_path / "made"), before)
        code, _, error = check(model={"hidden": [9]})
        assert code == 4
        assert "was made with model.hidden = [8]" in error

    def test_standard_input_is_left_alone(self, check: Any) -> None:
        code, output, _ = check(url="jsonl:-")
        assert code == 0
        assert "jsonl:-: not read" in output

    def test_an_idle_source(self, check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def idle(*_: object) -> Iterator[Batch]:
            while True:
                yield Batch(pl.DataFrame(), [], {})

        monkeypatch.setattr(CsvSource, "batches", idle)
        code, output, _ = check("--wait", "0.01")
        assert code == 0
        assert "reachable, but no record within 0.01 s" in output

    def test_what_would_fail_fails(self, check: Any, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        (tmp_path / "empty.csv").write_text("a,b,c,y\n")
        (tmp_path / "bad.csv").write_text("a,b,c,y\nx,1,u,no\n")
        for code, message, changes in (
            (3, "target column 'z' does not exist", {"source": {"target": "z"}}),
            (2, "no such file", {"url": "csv:none.csv"}),
            (3, "ends without a record", {"url": f"csv:{tmp_path / 'empty.csv'}"}),
            (3, "no record of the first batch", {"url": f"csv:{tmp_path / 'bad.csv'}"}),
            (2, "output.plot: ", {"output": {"plot": str(tmp_path / "file" / "p.png")}}),
            (4, "Not a directory", {"checkpoint": {"directory": f"{tmp_path}/file/c"}}),
        ):
            result, _, error = check(**changes)
            assert (result, message in error) == (code, True), error


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
        output = capsys.readouterr().out
        assert output == "00000004: intact\n00000005: intact\n00000006: intact\n"
        assert main(["checkpoint", "verify", str(directory), "00000005"]) == 0
        assert capsys.readouterr().out == "00000005: intact\n"
        for name in ("00000004", "00000006"):
            path = directory / name / "arrays.npz"
            content = bytearray(path.read_bytes())
            content[100] ^= 1
            path.write_bytes(content)
        assert main(["checkpoint", "verify", str(directory)]) == 4
        output, error = capsys.readouterr()
        assert output == "00000005: intact\n"
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

    def test_alias(self, directory: Path, tmp_path: Path, capsys: Capture) -> None:
        assert main(["checkpoint", "alias", str(directory), "champion", "00000005"]) == 0
        assert main(["checkpoint", "alias", str(directory), "challenger"]) == 0
        assert capsys.readouterr().out == "champion: 00000005\nchallenger: 00000006\n"
        learn(tmp_path, write_csv(tmp_path / "data.csv", rows(200)))
        assert main(["checkpoint", "list", str(directory)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.partition("  ")[0] for line in lines] == [
            "00000005", "00000006", "00000009", "00000010", "00000011",
        ]  # fmt: skip
        assert [line.rpartition(" ")[2] for line in lines[:3]] == [
            "champion", "challenger", "bytes",
        ]  # fmt: skip
        assert main(["checkpoint", "verify", str(directory), "champion"]) == 0
        assert main(["checkpoint", "alias", str(directory), "champion", "challenger"]) == 0
        learn(tmp_path, write_csv(tmp_path / "data.csv", rows(220)))
        names = [info.name for info in CheckpointStore(directory).list()]
        assert names == ["00000006", "00000010", "00000011", "00000012"]
        capsys.readouterr()
        for alias, code in (("7up", 2), ("a/b", 2), ("", 2), (".lock", 2)):
            assert main(["checkpoint", "alias", str(directory), alias]) == code
            assert "a letter, then letters" in capsys.readouterr().err
        (directory / "taken").write_text("")
        assert main(["checkpoint", "alias", str(directory), "taken"]) == 2
        assert main(["checkpoint", "alias", str(directory), "winner", "loser"]) == 4
        assert "only 00000006, 00000010, 00000011, 00000012, challenger, champion" in (
            capsys.readouterr().err
        )

    @pytest.mark.parametrize("where", [["00000004"], ["--back", "2"], ["champion"]])
    def test_rollback_and_learning_again_is_as_if_never(
        self, where: list[str], directory: Path, tmp_path: Path, capsys: Capture
    ) -> None:
        before = kept(tmp_path)
        CheckpointStore(directory).alias("champion", "00000004")
        assert main(["checkpoint", "rollback", str(directory), *where]) == 0
        assert capsys.readouterr().out == (
            "00000007: the next run resumes from it after 60 records\n"
        )
        names = [info.name for info in CheckpointStore(directory).list()]
        assert names == ["00000004", "00000005", "00000006", "00000007"]
        assert kept(tmp_path).meta["records"] == 60
        for path in (directory / "00000004").iterdir():
            assert (directory / "00000007" / path.name).read_bytes() == path.read_bytes()
        learn(tmp_path, f"csv:{tmp_path / 'data.csv'}")
        assert_same(kept(tmp_path), before)

    def test_a_rollback_that_cannot_be(self, directory: Path, capsys: Capture) -> None:
        command = ["checkpoint", "rollback", str(directory)]
        for arguments, message in (
            (["--back", "3"], "holds 3 checkpoints: one cannot go back 3"),
            (["--back", "0"], "one cannot go back 0"),
            (["00000001"], "holds no checkpoint '00000001'"),
        ):
            assert main([*command, *arguments]) == 4
            assert message in capsys.readouterr().err
        with CheckpointStore(directory):
            assert main([*command, "--back", "1"]) == 4
            assert "is writing checkpoints there" in capsys.readouterr().err
        (directory / "00000005" / "arrays.npz").write_bytes(b"")
        assert main([*command, "--back", "1"]) == 4
        assert "00000005 is damaged" in capsys.readouterr().err
        assert [info.name for info in CheckpointStore(directory).list()] == [
            "00000004", "00000005", "00000006",
        ]  # fmt: skip

    def test_a_run_from_the_checkpoint_of_another(
        self, directory: Path, tmp_path: Path, capsys: Capture
    ) -> None:
        """It ends as its origin did, whose files it leaves alone, and resumes its own state."""
        url, whole = f"csv:{tmp_path / 'data.csv'}", kept(tmp_path)
        CheckpointStore(directory).alias("champion", "00000004")
        challenger = tmp_path / "challenger"
        start = {"start": str(directory / "champion")}
        learn(challenger, url, checkpoint=start, run={"limit": 80})
        learn(challenger, url, checkpoint=start)
        result = kept(challenger)
        assert (result.arrays, result.state) == (whole.arrays, whole.state)
        assert len(read_lines(challenger / "predictions.jsonl")) < 40
        assert kept(tmp_path).files == whole.files
        (tmp_path / "run.toml").write_text(to_toml(tables(tmp_path / "third", url)))
        run = ["run", str(tmp_path / "run.toml"), "--from", f"{directory}/none"]
        assert main(run) == 4
        assert "holds no checkpoint 'none'" in capsys.readouterr().err
        assert main([*run[:-1], f"{directory}/champion", "--set", "model.hidden=[9]"]) == 4
        assert "00000004 was made with model.hidden = [8]" in capsys.readouterr().err

    def test_status(self, directory: Path, tmp_path: Path, capsys: Capture) -> None:
        CheckpointStore(directory).alias("champion", "00000005")
        assert main(["status", str(directory), "--json"]) == 0
        result = json.loads(capsys.readouterr().out)
        meta = kept(tmp_path).meta
        assert 0 <= result.pop("age_seconds") < 600
        assert datetime.fromisoformat(result.pop("created")) <= datetime.now(UTC)
        assert result == {
            "checkpoint": "00000006",
            "records": 100,
            "accepted": len(read_lines(tmp_path / "predictions.jsonl")),
            "rejected": dict(Counter(r["reason"] for r in read_lines(tmp_path / "rejects.jsonl"))),
            "metrics": meta["metrics"],
            "position": meta["position"],
            "checkpoints": ["00000004", "00000005", "00000006"],
            "aliases": {"champion": "00000005"},
            "writer": None,
        }
        with CheckpointStore(directory):
            assert main(["status", str(directory)]) == 0
            output = capsys.readouterr().out
        for line in (
            r"checkpoint   00000006",
            r"records      100",
            r"metrics      Accuracy 0\.\d+, CrossEntropy [\d.]+",
            r"aliases      champion 00000005",
            rf"writer       {os.getpid()}",
        ):
            assert re.search(f"^{line}$", output, re.MULTILINE), line
        (directory / "00000006" / "manifest.json").write_text("{}")
        assert main(["status", str(directory)]) == 4
        assert "00000006 is damaged" in capsys.readouterr().err

    def test_asking_for_the_status_never_keeps_a_run_from_starting(self, directory: Path) -> None:
        ended = threading.Event()

        def ask() -> None:
            while not ended.is_set():
                assert CheckpointStore(directory).writer in {None, "unknown", str(os.getpid())}

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            for _ in range(200):
                with CheckpointStore(directory):
                    pass
        finally:
            ended.set()
            asking.join()

    def test_no_checkpoints(self, tmp_path: Path, capsys: Capture) -> None:
        for action in ("list", "verify"):
            assert main(["checkpoint", action, str(tmp_path / "none")]) == 2
            assert "none is not a directory of checkpoints" in capsys.readouterr().err
        assert main(["status", str(tmp_path / "none")]) == 2
        assert main(["status", str(tmp_path)]) == 4
        assert "holds no checkpoint" in capsys.readouterr().err
        assert main(["checkpoint", "list", str(tmp_path)]) == 0
        assert main(["checkpoint", "verify", str(tmp_path)]) == 4
        assert "holds no checkpoint" in capsys.readouterr().err


class TestImports:
    """``--help`` and ``--version`` answer without importing what only a run needs."""

    @pytest.mark.parametrize("argument", ["--help", "--version"])
    def test_nothing_that_is_slow(self, argument: str) -> None:
        code = (
            "import runpy, sys\n"
            f"sys.argv = ['fenchel-stream', {argument!r}]\n"
            "try:\n"
            "    runpy.run_module('fenchel_stream', run_name='__main__')\n"
            "finally:\n"
            "    print({name.partition('.')[0] for name in sys.modules})\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        *text, modules = done.stdout.splitlines()
        assert text[0].startswith(("usage: fenchel-stream", "fenchel-stream 0"))
        assert "'fenchel_stream'" in modules
        slow = ("kafka", "msgspec", "numba", "numpy", "polars", "river", "scipy", "torch", "tqdm")
        assert [name for name in slow if f"'{name}'" in modules] == []

    def test_the_module_is_the_command(self, tmp_path: Path) -> None:
        command = Path(sys.executable).with_name("fenchel-stream")
        for arguments in (["--help"], ["status", "--help"], ["status", str(tmp_path / "none")]):
            first, second = (
                subprocess.run([*program, *arguments], capture_output=True, text=True, check=False)
                for program in ([command], [sys.executable, "-m", "fenchel_stream"])
            )
            assert (first.stdout, first.stderr) == (second.stdout, second.stderr)
            assert first.returncode == second.returncode
