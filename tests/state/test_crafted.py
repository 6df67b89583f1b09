"""A short share of the fuzzer of checkpoints, whose hour is in `make chaos`."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from river import datasets, drift, ensemble, forest, metrics, stats, tree

from fenchel_stream import FenchelClassifier
from fenchel_stream.errors import CheckpointError, FenchelStreamError
from fenchel_stream.evaluation.prequential import Prequential
from fenchel_stream.preprocessing.pipeline import pipeline
from fenchel_stream.runner.resume import using_state
from fenchel_stream.state import pack, restore
from tests.chaos.fuzz import SUBJECTS, fuzz
from tests.crafting import Crafter


def ours() -> Any:
    return pipeline(FenchelClassifier(hidden=(4,)), scale=True)


def trees() -> Any:
    return forest.ARFClassifier(n_models=2, grace_period=10, seed=1)


def bagging() -> Any:
    return ensemble.ADWINBaggingClassifier(tree.HoeffdingTreeClassifier(), n_models=2, seed=1)


def new_test(make: Callable[[], Any]) -> Prequential:
    return Prequential(make(), [metrics.Accuracy(), metrics.RollingROCAUC(window_size=9)], delay=9)


def step(test: Prequential, start: int, stop: int) -> None:
    rows = [row for _, row in zip(range(stop), datasets.Phishing(), strict=False)][start:]
    test.step(pl.DataFrame([x for x, _ in rows]), pl.Series([y for _, y in rows]))


@cache
def learnt(make: Callable[[], Any]) -> tuple[str, dict[str, Any]]:
    test = new_test(make)
    for start in range(0, 40, 8):
        step(test, start, start + 8)
    described, arrays = pack({"test": test})
    return json.dumps(described), {name: array.copy() for name, array in arrays.items()}


@pytest.mark.parametrize("make", [ours, trees, bagging])
def test_a_crafted_state_is_one_error_or_learns_on(make: Callable[[], Any]) -> None:
    crafter, refused, accepted = Crafter(Random(1)), 0, 0
    for _ in range(60):
        text, stored = learnt(make)
        described, arrays = json.loads(text), dict(stored)
        crafter.change_state(described, arrays)
        fresh = {"test": new_test(make)}
        try:
            test = restore(fresh, json.loads(json.dumps(described)), arrays)["test"]
        except CheckpointError:
            refused += 1
            continue
        try:
            with using_state(untried=True):
                step(test, 40, 48)
            accepted += 1
        except FenchelStreamError:
            refused += 1
    assert min(refused, accepted) > 5


@pytest.mark.parametrize("subject", list(SUBJECTS)[:3:2])
def test_a_run_from_a_crafted_checkpoint_ends_in_order(subject: str, tmp_path: Path) -> None:
    figures = fuzz(tmp_path, Random(1), make=SUBJECTS[subject], count=3)
    assert figures["died otherwise"] == 0
    assert figures["learnt on"] != 0


@pytest.mark.parametrize(
    "make", [drift.ADWIN, lambda: stats.RollingQuantile(0.3, 9), lambda: stats.RollingIQR(9)]
)
def test_crafted_bytes_of_a_compiled_object(make: Callable[[], Any]) -> None:
    sound = make()
    for value in range(40):
        sound.update(value % 7)
    text, _ = pack(sound)
    crafter = Crafter(Random(1))
    for _ in range(100):
        described = json.loads(json.dumps(text))
        crafter.change_state(described, {})
        try:
            with using_state(untried=True):
                restored = restore(make(), described, {})
                restored.update(1.0)
        except CheckpointError:
            pass
