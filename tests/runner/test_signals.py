"""Runs in processes of their own, under real signals: stopped, killed, and left waiting."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.runs import (
    PATIENCE,
    SEA,
    Process,
    assert_same,
    kept,
    learn,
    pipe,
    read_lines,
    rows,
    start,
    tables,
    to_toml,
    until,
    write_csv,
    write_jsonl,
)

KILLS = int(os.environ.get("FENCHEL_STREAM_KILLS", "10"))
"""Sudden deaths of one run; more of them make a longer test."""


class TestKill:
    def test_at_any_moment(self, tmp_path: Path) -> None:
        """However often a run is killed, it ends as if it never had been."""
        cut, whole = tmp_path / "cut", tmp_path / "whole"
        url = write_csv(tmp_path / "data.csv", rows(12 * max(KILLS, 10) * 10))
        changes: dict[str, Any] = {
            "run": {"batch_size": 10, "delay": 15},
            "checkpoint": {"every": 2},
        }
        learn(whole, url, **changes)
        rng = random.Random(0)
        done = 0
        for _ in range(KILLS):
            with start(cut, url, **changes) as process:
                # In each life at least one checkpoint, or the next would begin where this did.
                process.checkpoint_after(done + 1)
                time.sleep(rng.uniform(0, 0.1))
                process.signal(signal.SIGKILL)
                assert process.wait() == -signal.SIGKILL
            done = kept(cut).meta["records"]
        assert done < 12 * max(KILLS, 10) * 10
        with start(cut, url, **changes) as process:
            assert process.wait() == 0
        (tmp_path / "data.csv").unlink()
        assert_same(kept(cut), kept(whole))
        where = [record["where"] for record in read_lines(cut / "predictions.jsonl")]
        assert len(where) == len(set(where)) > 0

    def test_before_the_first_checkpoint_with_a_new_output(self, tmp_path: Path) -> None:
        learn(tmp_path, SEA, run={"limit": 60})
        new = tmp_path / "new.jsonl"
        new.write_text('{"where": "before", "prediction": 1, "model": "of another run"}\n')
        rare = {"every": 10**9}
        with start(tmp_path, SEA, "--predictions", str(new), checkpoint=rare) as process:
            process.until(lambda: new.stat().st_size > 100)
            process.signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        learn(tmp_path, SEA, run={"limit": 120}, output={"predictions": str(new)})
        where = [record["where"] for record in read_lines(new)]
        assert where == ["before", *[f"SEA:{number}" for number in range(61, 121)]]


class TestStop:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_an_endless_stream(self, number: signal.Signals, tmp_path: Path) -> None:
        cut, whole = tmp_path / "cut", tmp_path / "whole"
        changes: dict[str, Any] = {"checkpoint": {"every": 1000}, "run": {"batch_size": 10}}
        with start(cut, SEA, **changes) as process:
            process.checkpoint_after(0)
            process.until(lambda: (cut / "predictions.jsonl").stat().st_size)
            process.signal(number)
            assert process.wait() == 0
            assert f"{number.name}: ended after" in process.err.read_text()
            assert re.fullmatch(
                r"Accuracy .* over [\d,]+ rows, .* rows/s\n", process.out.read_text()
            )
        records = kept(cut).meta["records"]
        assert records > 0
        learn(whole, SEA, run={"batch_size": 10, "limit": records})
        assert_same(kept(cut), kept(whole))
        for folder in (cut, whole):
            learn(folder, SEA, run={"batch_size": 10, "limit": records + 100})
        assert_same(kept(cut), kept(whole))

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_the_batch_at_hand_is_finished(self, number: signal.Signals, tmp_path: Path) -> None:
        with _slow(tmp_path) as process:
            process.signal(number)
            process.until(lambda: not process.catches(signal.SIGTERM))
            (tmp_path / "go").touch()
            assert process.wait() == 0
        assert kept(tmp_path).meta["records"] == 20
        written = [read_lines(tmp_path / f"{name}.jsonl") for name in ("predictions", "rejects")]
        assert sum(map(len, written)) == 20

    @pytest.mark.parametrize(
        ("first", "second", "code"),
        [
            (signal.SIGTERM, signal.SIGTERM, -signal.SIGTERM),
            (signal.SIGINT, signal.SIGTERM, -signal.SIGTERM),
            (signal.SIGTERM, signal.SIGINT, 130),
            (signal.SIGINT, signal.SIGINT, 130),
        ],
    )
    def test_the_second_signal_ends_at_once(
        self, first: int, second: int, code: int, tmp_path: Path
    ) -> None:
        with _slow(tmp_path) as process:
            process.signal(first)
            process.until(lambda: not process.catches(signal.SIGTERM))
            process.signal(second)
            assert process.wait() == code
        assert kept(tmp_path).meta["records"] == 0

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    @pytest.mark.parametrize("count", [0, 50])
    def test_a_wait_for_input_is_broken_off(
        self, count: int, number: signal.Signals, tmp_path: Path
    ) -> None:
        data = tmp_path / "data.jsonl"
        write_jsonl(data, rows(60))
        lines = data.read_text().splitlines(keepends=True)
        with pipe(tmp_path) as stdin, start(tmp_path, "jsonl:-", stdin=stdin) as process:
            process.checkpoint_after(0)
            stdin.write_text("".join(lines[:count]))
            process.checkpoint_after(count // 20 * 20)
            process.signal(number)
            assert process.wait() == 0, process.err.read_text()
        assert kept(tmp_path).meta["records"] == count // 20 * 20
        # The stream is sent again from its beginning, and nothing of it is learnt twice.
        stdin.unlink()
        with start(tmp_path, "jsonl:-", stdin=data) as process:
            assert process.wait() == 0, process.err.read_text()
        labels = [record["where"] for record in read_lines(tmp_path / "predictions.jsonl")]
        assert len(labels) == len(set(labels))
        assert kept(tmp_path).meta["records"] == 60

    def test_one_that_had_just_gone_on(self, tmp_path: Path) -> None:
        """It does not know whether there would have been anything new."""
        write_jsonl(tmp_path / "data.jsonl", rows(20))
        with pipe(tmp_path) as stdin:
            with start(tmp_path, "jsonl:-", stdin=stdin) as process:
                stdin.write_text((tmp_path / "data.jsonl").read_text())
                process.checkpoint_after(20)
                process.signal(signal.SIGTERM)
                assert process.wait() == 0
            with start(tmp_path, "jsonl:-", stdin=stdin) as process:
                process.until(lambda: "resumed from checkpoint" in process.err.read_text())
                process.signal(signal.SIGTERM)
                assert process.wait() == 0
                assert process.out.read_text().startswith("Accuracy")

    @pytest.mark.parametrize("library", ["_multiarray_umath", "_polars_runtime"])
    def test_while_libraries_are_imported(self, library: str, tmp_path: Path) -> None:
        command = [str(Path(sys.executable).with_name("fenchel-stream")), "run", "none.toml"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            try:
                maps = Path(f"/proc/{process.pid}/maps")
                until(lambda: library in maps.read_text(), lambda: process.poll() is None)
                process.send_signal(signal.SIGINT)
                _, err = process.communicate(timeout=PATIENCE)
            finally:
                process.kill()
        assert (process.returncode, err) == (130, "")

    def test_the_installed_command(self, tmp_path: Path) -> None:
        """No server, no fork: what a user starts in a shell."""
        file = tmp_path / "run.toml"
        file.write_text(to_toml(tables(tmp_path, "jsonl:-")))
        command = (str(Path(sys.executable).with_name("fenchel-stream")), "run", str(file))
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            try:
                until(
                    (tmp_path / "checkpoints" / "00000001").exists, lambda: process.poll() is None
                )
                process.send_signal(signal.SIGTERM)
                # Standard input stays open.
                assert process.wait(PATIENCE) == 0
            finally:
                process.kill()
        assert kept(tmp_path).meta["records"] == 0


@contextmanager
def _slow(folder: Path) -> Iterator[Process]:
    """Start a run, and wait until it has a batch at hand."""
    url = write_csv(folder / "data.csv", [{**row, "y": row["y"] == "yes"} for row in rows(60)])
    model = {"factory": "tests.models:slow", "folder": str(folder)}
    settings = tables(
        folder,
        url,
        source={"positive": "True"},
        metrics={"names": ["Accuracy"]},
        checkpoint={"allow_pickle": True},
    )
    file = folder / "run.toml"
    file.write_text(to_toml(settings | {"model": model}))
    with Process(folder, "run", str(file)) as process:
        process.until((folder / "at hand").exists)
        yield process
