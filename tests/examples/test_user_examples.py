"""The five scripts for users run, and show what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


def output(root: Path, name: str, *arguments: str | Path) -> str:
    """Return what a script printed."""
    command = [sys.executable, "-W", "error", root / "examples" / f"{name}.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def numbers(pattern: str, text: str) -> list[float]:
    return [float(number.replace(",", "")) for number in re.findall(pattern, text)]


def test_classify_follows_the_change(root: Path) -> None:
    printed = output(root, "classify")
    recent = numbers(r"last 500 ([\d.]+)", printed)
    assert len(recent) == 8
    assert recent[-1] > 0.84  # a tenth of the labels are wrong: nothing gets beyond 0.9
    assert recent[4] < min(recent[3], recent[5])  # the rows after the threshold has changed


def test_several_targets_come_near_their_noise(root: Path) -> None:
    printed = output(root, "several_targets")
    (power,) = numbers(r"power: +(\d+) W", printed)
    (temperature,) = numbers(r"temperature: ([\d.]+)", printed)
    # The spreads of the targets are 2,700 W and 14 degrees.
    assert power < 150
    assert temperature < 1.0


def test_evaluate_and_plot_writes_a_picture(root: Path, tmp_path: Path) -> None:
    picture = tmp_path / "accuracy.png"
    printed = output(root, "evaluate_and_plot", picture)
    ours, linear = numbers(r"Accuracy ([\d.]+) over 10,000 rows", printed)
    assert ours > linear > 0.55
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_convolutions_learn_the_shapes_again(root: Path) -> None:
    pytest.importorskip("torch", reason="convolutions need the extra torch")
    recent = numbers(r"last 500 ([\d.]+)", output(root, "convolutions"))
    assert recent[3] > 0.7  # chance is 0.33
    assert recent[4] < recent[3]
    assert recent[7] > 0.65


def test_run_from_python_goes_on(root: Path, tmp_path: Path) -> None:
    printed = output(root, "run_from_python", tmp_path)
    assert numbers(r"over ([\d,]+) rows", printed) == [500, 1250]
    assert "1,250 predictions" in printed
    assert re.search(r"the model of the checkpoint says (True|False)", printed)
