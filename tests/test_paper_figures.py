"""The figures of the paper, on a few images: every learner builds, learns and is compared fairly."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from examples.paper.data import LOADERS, Split
from examples.paper.runs import Figure

FIGURES: list[Figure] = [
    importlib.import_module(f"examples.paper.figure{number}").FIGURE for number in range(1, 5)
]
CURVES = [(figure, name) for figure in FIGURES for name in figure.entries]


@pytest.fixture(scope="module")
def splits(shared_data: Path) -> dict[str, Split]:
    """500 images of each set, to learn from and to judge by."""
    return {
        name: load(shared_data).first(500).held_out(100).first(400)
        for name, load in LOADERS.items()
    }


@pytest.mark.parametrize(("figure", "name"), CURVES, ids=lambda x: getattr(x, "number", x))
def test_every_learner_beats_chance(figure: Figure, name: str, splits: dict[str, Split]) -> None:
    split, entry = splits[figure.data], figure.entries[name]
    learner = entry.build(passes=4, seed=0, **entry.settings)
    before = (learner.predict(split.x_train) == split.y_train).mean()
    for number in range(4):
        learner.learn(split.x_train, split.y_train, number)
    found = (learner.predict(split.x_train) == split.y_train).mean()
    assert found > max(before, 0.1)
