"""The figures for Prometheus, compared with the outputs of the run."""

from __future__ import annotations

import math
import re
import signal
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fenchel_stream.errors import ConfigError
from fenchel_stream.runner.monitor import open_monitor
from tests.runs import Process, assert_same, kept, pipe, read_lines, rows, start, write_jsonl

LAST = "last_checkpoint_timestamp_seconds"


def served(process: Process) -> dict[str, float]:
    """Return what a run serves now, by name and label."""
    match = process.until(lambda: re.search(r"metrics at (\S+)", process.err.read_text()))
    url = match[1]
    assert url.startswith("http://127.0.0.1:")
    with urlopen(url) as answer:
        page = answer.read().decode()
    return {
        ",".join((sample.name.removeprefix("fenchel_stream_"), *sample.labels.values())): float(
            sample.value
        )
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def expected(folder: Path, first: int = 0) -> dict[str, Any]:
    """Return the counters by what was written of the records after the `first`, counted anew."""
    truth = (folder / "data.jsonl").read_text().splitlines()
    counts: Counter[str] = Counter()
    loss = 0.0
    for record in read_lines(folder / "predictions.jsonl"):
        line = int(record["where"].partition(":")[2])
        if line <= first:
            continue
        counts["records_total"] += 1
        if record["prediction"] is None:
            continue
        label = re.search(r'"y": "(\w+)"', truth[line - 1])
        assert label is not None
        counts["predictions_total"] += 1
        counts["predictions_correct_total"] += record["prediction"] == label[1]
        loss -= math.log(max(record["probabilities"][label[1]], 1e-15))
    for record in read_lines(folder / "rejects.jsonl"):
        if int(record["where"].partition(":")[2]) > first:
            counts["records_total"] += 1
            counts[f"rejected_total,{record['reason']}"] += 1
    return {**counts, "loss_sum_total": pytest.approx(loss)}


class TestFigures:
    def test_they_agree_with_what_the_run_writes(self, tmp_path: Path) -> None:
        data = tmp_path / "data.jsonl"
        write_jsonl(data, rows(140))
        lines = data.read_text().splitlines(keepends=True)
        changes: dict[str, Any] = {"metrics": {"port": 0}, "checkpoint": {"every": 2}}
        with pipe(tmp_path) as stdin:
            with start(tmp_path, "jsonl:-", stdin=stdin, **changes) as process:
                before = served(process)
                assert before["records_total"] == before["last_batch_timestamp_seconds"] == 0
                stdin.write_text("".join(lines[:100]))
                process.checkpoint_after(80)
                # This figure of the last batch comes last, since one of its records is malformed.
                process.until(lambda: served(process).get("rejected_total,malformed") == 3)
                now = served(process)
                process.signal(signal.SIGTERM)
                assert process.wait() == 0
                output = process.out.read_text()
            counts = expected(tmp_path)
            assert {name: now[name] for name in counts} == counts
            assert counts["rejected_total,malformed"] == 3
            assert now["batch_learn_seconds_count"] == 5
            assert now[LAST] > 0
            assert now["last_batch_timestamp_seconds"] > 0
            assert now["objective"] > 0
            assert now["fenchel_divergence,1"] >= 0
            assert now["weight_displacement,1"] > 0
            assert now["weight_displacement,2"] > 0
            accuracy = now["predictions_correct_total"] / now["predictions_total"]
            assert f"Accuracy {accuracy:.4g}, " in output
            # A resumed run counts from 0 what it reads itself, as Prometheus wants it.
            with start(tmp_path, "jsonl:-", stdin=stdin, **changes) as process:
                stdin.write_text("".join(lines))
                process.until(lambda: served(process).get("rejected_total,malformed", 0) >= 1)
                now = served(process)
                process.signal(signal.SIGTERM)
                assert process.wait() == 0
            counts = expected(tmp_path, first=100)
            assert counts["rejected_total,malformed"] == 1
            assert {name: now[name] for name in counts} == counts


class TestCheckpointsThatCannotBeWritten:
    @pytest.mark.parametrize("recovers", [False, True])
    def test_learning_goes_on(self, recovers: bool, tmp_path: Path) -> None:
        cut, whole = tmp_path / "cut", tmp_path / "whole"
        write_jsonl(tmp_path / "data.jsonl", rows(120))
        lines = (tmp_path / "data.jsonl").read_text().splitlines(keepends=True)
        directory, aside = cut / "checkpoints", cut / "aside"
        changes: dict[str, Any] = {"metrics": {"port": 0}}
        with pipe(tmp_path) as stdin, start(cut, "jsonl:-", stdin=stdin, **changes) as process:
            stdin.write_text("".join(lines[:40]))
            process.checkpoint_after(40)
            written = (directory / "00000003").stat().st_mtime
            process.until(lambda: served(process)[LAST] > written)
            directory.rename(aside)
            directory.write_text("no directory")
            stdin.write_text("".join(lines[40:80]))
            process.until(lambda: served(process)["checkpoint_failures_total"] == 2)
            assert served(process)["records_total"] == 80
            if recovers:
                directory.unlink()
                aside.rename(directory)
            process.signal(signal.SIGTERM)
            code, output = process.wait(), process.err.read_text()
        assert code == (0 if recovers else 4)
        assert output.count("learning goes on, and the previous checkpoint stays valid") == 2
        assert ("fenchel-stream: " in output) is not recovers
        if not recovers:
            directory.unlink()
            aside.rename(directory)
        assert kept(cut).meta["records"] == (80 if recovers else 40)
        with start(cut, "jsonl:-", stdin=tmp_path / "data.jsonl") as process:
            assert process.wait() == 0
        with start(whole, "jsonl:-", stdin=tmp_path / "data.jsonl") as process:
            assert process.wait() == 0
        assert_same(kept(cut), kept(whole))


@pytest.mark.parametrize(("port", "host"), [(9, "192.0.2.1"), (70000, "127.0.0.1")])
def test_an_address_that_cannot_be_served(port: int, host: str) -> None:
    with pytest.raises(ConfigError, match=f"metrics cannot be served at {host}, port {port}"):
        open_monitor(port, host)
