"""The examples of CONTRIBUTING.md do what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats

from fenchel_stream import LiftedNetwork
from fenchel_stream.network.activations import ACTIVATIONS
from fenchel_stream.streams.source import Source
from tests.house.pages import run_page

Guide = dict[str, Any]


@pytest.fixture(scope="module")
def guide(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Guide:
    """Return the names that the code of CONTRIBUTING.md defines."""
    return run_page(root / "CONTRIBUTING.md", tmp_path_factory.mktemp("guide"))


@given(v=floats(-0.99, 0.99), u=floats(-50, 50))
def test_its_activation_is_a_fenchel_pair(guide: Guide, v: float, u: float) -> None:
    example = guide["Algebraic"]()
    at, value = np.array([u]), np.array([v])
    assert example.inverse(example.phi(at)) == pytest.approx(u)
    assert example.divergence(example.phi(at), at) == pytest.approx(0, abs=1e-9)
    assert example.divergence(value, at) >= -1e-12
    slope = (example.phi(at + 1e-4) - example.phi(at)) / 1e-4
    assert slope <= example.curvature + 1e-9


def test_a_network_learns_with_its_activation(
    guide: Guide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ACTIVATIONS, "algebraic", guide["Algebraic"]())
    network = LiftedNetwork.dense([2, 16, 2], activation="algebraic", dtype="float64")
    X = np.random.default_rng(0).normal(size=(50, 2))
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    for _ in range(120):
        network.learn_batch(X, y)
    assert (network.predict(X).argmax(axis=1) == y).mean() > 0.95  # a linear model gets 0.4


def test_its_source_resumes(guide: Guide) -> None:
    source = guide["CountSource"]("7")
    assert isinstance(source, Source)
    whole = list(source.batches(3))
    assert [batch.rows["last"].to_list() for batch in whole] == [[0, 1, 2], [3, 4, 5], [6]]
    (*_, last) = source.batches(3, json.loads(json.dumps(whole[1].position)))
    assert last.rows.equals(whole[2].rows)
    assert last.where == whole[2].where == ["count:6"]
