"""The figures of the paper on a few images: every learner learns, and rivals have our network."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch

from examples.paper import search
from examples.paper.data import LOADERS, Split
from examples.paper.lenet import LeNet5
from examples.paper.report import write_report
from examples.paper.run_log import RESULTS, Figure, Store
from fenchel_stream import LiftedNetwork

FIGURES: list[Figure] = [
    importlib.import_module(f"examples.paper.figure{number}").FIGURE for number in range(1, 5)
]
CURVES = [(figure, name) for figure in FIGURES for name in figure.entries]
SHAPES = {"MNIST": (28, 28, 1), "CIFAR-10": (32, 32, 3)}


def bands(shape: tuple[int, int, int], count: int) -> Split:
    """Return noise in ten classes: each has two bright rows of its own."""
    rng = np.random.default_rng(0)
    y = rng.integers(10, size=count)
    x = rng.integers(100, size=(count, *shape), dtype=np.uint8)
    for row in (0, 1):
        x[np.arange(count), 4 + 2 * y + row] += 150
    return Split(x, y, x, y)


@pytest.mark.parametrize(("figure", "name"), CURVES, ids=lambda x: getattr(x, "number", x))
def test_every_learner_fits_what_it_learns(figure: Figure, name: str) -> None:
    split = bands(SHAPES[figure.data], 1000 if figure.number == 1 else 40)
    entry = figure.entries[name]
    passes = 200 if name.startswith(("SGD", "Adam")) else 12
    learner = entry.build(passes=passes, seed=0, **entry.settings)
    for number in range(passes):
        learner.learn(split.x_train, split.y_train, number)
    assert (learner.predict(split.x_test) == split.y_test).mean() > 0.5, "chance is 0.1"


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.number)
def test_the_committed_table_is_that_of_the_committed_runs(figure: Figure, tmp_path: Path) -> None:
    runs = Store(RESULTS / f"figure{figure.number}.jsonl").read()
    table = write_report(figure, runs, tmp_path, "")
    assert table in (RESULTS / f"figure{figure.number}.md").read_text()
    assert "| ours, top-down |" in table


@pytest.mark.parametrize("inputs", SHAPES.values())
def test_the_rivals_lenet_is_ours(inputs: tuple[int, int, int]) -> None:
    ours = LiftedNetwork.lenet5(inputs, dtype="float64")
    theirs = LeNet5(inputs).double()
    maps = [m for m in theirs.layers if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    with torch.no_grad():
        for layer, w in zip(maps, ours.weights, strict=True):
            weights = torch.from_numpy(w[:, 1:])
            if isinstance(layer, torch.nn.Conv2d):
                k, c = layer.kernel_size[0], layer.in_channels
                weights = weights.reshape(-1, k, k, c).permute(0, 3, 1, 2)
            elif layer.in_features == 400:  # torch flattens channels first
                weights = weights.reshape(-1, 5, 5, 16).permute(0, 3, 1, 2).reshape(-1, 400)
            layer.weight.copy_(weights)
            assert layer.bias is not None
            layer.bias.copy_(torch.from_numpy(w[:, 0]))
        x = np.random.default_rng(0).random((3, int(np.prod(inputs))))
        found = theirs(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, ours.predict(x), atol=1e-10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["7", "Adam", "{}"], "invalid choice: .?7"),
        (["2", "Foo", "{}"], 'no such learner: Foo; there are\n    "ours, top-down"'),
        (["2", "Adam", '{"name": "Adam", "rat": 1}'], "'rat'; in the figure it has {\"name\": "),
        (["2", "Adam", "{"], "no JSON: "),
        (["2", "Adam", "[1]"], "settings are a JSON object"),
    ],
)
def test_the_search_says_what_it_cannot_use(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        search.main([*arguments, "--passes", "1"])
    assert re.search(message, capsys.readouterr().err)


def test_the_search_never_sees_the_test_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    split = bands((28, 28, 1), 300)
    hidden = Split(split.x_train, split.y_train, split.x_test[:0], split.y_test[:0])
    monkeypatch.setitem(LOADERS, "MNIST", lambda folder: hidden)
    monkeypatch.setattr(search, "HELD_OUT", 100)
    settings: dict[str, Any] = {"name": "Adam", "rate": 0.01}
    where = ["--results", str(tmp_path), "--passes", "3"]
    search.main(["2", "Adam", json.dumps(settings), *where])
    (line,) = (tmp_path / "search.jsonl").read_text().splitlines()
    run = json.loads(line)
    assert (run["rows"], run["settings"], len(run["accuracy"])) == (200, settings, 3)
