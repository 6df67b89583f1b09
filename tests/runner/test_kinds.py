"""Runs on records whose classes, categories, ids and targets are easily taken for one another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fenchel_stream.cli import main

SMALL = ["--set", "run.progress=false", "--set", "model.hidden=[4]"]


def run(folder: Path, rows: list[dict[str, Any]], *flags: str) -> list[dict[str, Any]]:
    """Run twice from one checkpoint; return the predictions."""
    source = folder / "a.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    outputs = "--checkpoint", str(folder / "c"), "--predictions", str(folder / "p.jsonl")
    for _ in range(2):
        arguments = "run", "--source", f"jsonl:{source}", "--target", "y", *outputs, *SMALL, *flags
        assert main(list(arguments)) == 0
    return list(map(json.loads, (folder / "p.jsonl").read_text().splitlines()))


def test_a_huge_target_is_set_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, Any]] = [{"a": i % 7, "y": i % 5} for i in range(60)]
    rows[30]["y"] = 1e300
    predictions = run(tmp_path, rows, "--set", "source.kind=regression")
    assert len(predictions) == 59
    assert "1 rejected" in capsys.readouterr().out


@pytest.mark.parametrize("delay", [0, 20])
@pytest.mark.parametrize("labels", [(1, "1"), (True, "true"), (1, "none"), (2**70, 2**70 + 1)])
def test_classes_differ_by_value_and_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], labels: tuple[Any, Any], delay: int
) -> None:
    rows = [{"a": 5 if i % 2 else -5, "y": labels[i % 2]} for i in range(300)]
    predictions = run(tmp_path, rows, "--set", f"run.delay={delay}")
    assert {type(row["prediction"]) for row in predictions[200:]} == set(map(type, labels))
    assert {row["prediction"] for row in predictions[200:]} == set(labels)
    assert "Accuracy 1 " in capsys.readouterr().out


@pytest.mark.parametrize(
    "rows",
    [
        [{"os": "version_1", "os_version": "2"}, {"os": "x", "os_version": "1"}],
        [{"os": "1", "os_1": 3, "os_version": "a"}, {"os": "x", "os_1": 4, "os_version": "b"}],
    ],
)
def test_columns_of_categories_are_their_own(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    records = [{**rows[i % 2], "y": i % 2} for i in range(100)]
    one_hot = "--set", 'features.one_hot=["os","os_version"]'
    assert len(run(tmp_path, records, *one_hot)) == 100


def test_long_ids_join_their_own_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = [{"id": 2**64 + i, "t": 1000 + i, "a": 5 if i % 2 else -5} for i in range(100)]
    labels = [{"id": 2**64 + i, "t": 1100 + i, "y": i % 2} for i in range(100)]
    for name, rows in (("e", events), ("l", labels)):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = tmp_path / "c.toml"
    config.write_text(
        f'[source]\nurl = "jsonl:{tmp_path}/e"\ntarget = "y"\n[labels]\n'
        f'source = "jsonl:{tmp_path}/l"\nkey = "id"\ntime = "t"\n'
        "[model]\nhidden = [4]\n[run]\nprogress = false\n"
    )
    assert main(["run", str(config)]) == 0
    assert "100 matched" in capsys.readouterr().out
