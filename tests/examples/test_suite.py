"""The benchmark suite measures what it says it measures."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch
from river import datasets, evaluate, metrics, tree

from examples.benchmarks import report, suite
from examples.benchmarks.cell import Cell, Table, prequential, run
from examples.benchmarks.gradient import Networks, Recipe
from examples.benchmarks.learners import RiverLearner
from examples.benchmarks.models import MODELS
from examples.benchmarks.streams import STREAMS

ANYWHERE = Path()
SHIPPED = [stream for stream in STREAMS.values() if stream.group in {"bundled", "synth"}]


@pytest.mark.parametrize("stream", SHIPPED, ids=lambda stream: stream.name)
def test_a_stream_is_what_it_says(stream: Any) -> None:
    data = stream.load(ANYWHERE, 300)
    assert data.count == len(data.features) == 300
    encoded = Table(data, stream.categories).matrix
    assert np.isfinite(encoded).all()
    if stream.kind == "regression":
        assert np.std(data.targets) > 0
    else:
        assert len(set(data.targets)) > 1


@pytest.mark.parametrize("name", [name for name, s in STREAMS.items() if s.has_halves])
def test_the_halves_of_a_real_stream_share_no_row(name: str, shared_data: Path) -> None:
    stream = STREAMS[name]
    whole = stream.load(shared_data, 10**6)
    first, second = (stream.load(shared_data, 10**6, half=half) for half in ("first", "second"))
    assert first.targets + second.targets == whole.targets
    assert first.features.equals(whole.features[: first.count])
    assert second.features.equals(whole.features[first.count :])


@pytest.mark.parametrize("optimizer", ["Adam", "SGD"])
@pytest.mark.parametrize("classifies", [True, False])
def test_a_grid_of_rates_is_as_many_networks(optimizer: str, classifies: bool) -> None:
    rates, steps = (0.003, 0.1), 2
    outputs = 3 if classifies else 1
    together = Networks((4, 6, outputs), Recipe(optimizer, steps, rates), classifies=classifies)
    alone = []
    for number in range(len(rates)):
        w1, w2 = (torch.tensor(w[number]) for w in (together.hidden, together.last))
        layers = [torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, outputs)]
        network = torch.nn.Sequential(*layers)
        values = {"0.weight": w1[1:].T, "0.bias": w1[0], "2.weight": w2[1:].T, "2.bias": w2[0]}
        network.load_state_dict(values)
        alone.append(network)
    optimizers = [
        getattr(torch.optim, optimizer)(network.parameters(), lr=rate)
        for network, rate in zip(alone, rates, strict=True)
    ]
    rng = np.random.default_rng(0)
    for _ in range(20):
        x = rng.normal(size=(5, 4))
        y = rng.integers(0, 3, 5) if classifies else rng.normal(size=5)
        together.learn(x, y)
        inputs = torch.tensor(x, dtype=torch.float32)
        for network, stepper in zip(alone, optimizers, strict=True):
            for _ in range(steps):
                stepper.zero_grad()
                if classifies:
                    loss = torch.nn.functional.cross_entropy(network(inputs), torch.tensor(y))
                else:
                    errors = network(inputs)[:, 0] - torch.tensor(y, dtype=torch.float32)
                    loss = 0.5 * (errors**2).mean()
                torch.autograd.backward(loss)
                stepper.step()
    found = together.outputs(x)
    for said, network in zip(found, alone, strict=True):
        assert np.allclose(said, network(inputs).detach().numpy(), atol=1e-4)


def test_scores_are_those_of_river() -> None:
    table = Table(STREAMS["Phishing"].load(ANYWHERE, 1250), ())
    scores = prequential(RiverLearner(tree.HoeffdingTreeClassifier(), batches=False), table)
    metric = metrics.Accuracy()
    evaluate.progressive_val_score(datasets.Phishing(), tree.HoeffdingTreeClassifier(), metric)
    losses = scores.losses[0]
    assert 1 - losses[~np.isnan(losses)].mean() == pytest.approx(metric.get())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("stream", ["ImageSegments", "ChickWeights"])
def test_every_model_learns(name: str, stream: str) -> None:
    if name == "Vowpal Wabbit":
        pytest.importorskip("vowpalwabbit")
    for batch in (1, 32) if MODELS[name].batches else (1,):
        results = run(Cell(stream, name, batch, rows=60), ANYWHERE)
        assert len(results) == len(MODELS[name].settings)
        for result in results:
            assert result["learnt"] == result["of"] == 60
            assert result["rows_per_s"] > 0
            assert result.get("error", "diverged") == "diverged"
    assert any(result["score"] is not None for result in results)


def test_a_cell_ends_at_its_limit() -> None:
    (result,) = run(Cell("Phishing", "fenchel-stream", rows=1250, limit=0.01), ANYWHERE)
    assert 0 < result["learnt"] < result["of"] == 1250


def arguments(path: Path) -> list[str]:
    words = "--streams Phishing ChickWeights --models fenchel-stream linear --rows 150"
    return [*words.split(), "--batches", "1", "--processes", "1", "--results", str(path)]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("suite") / "suite.jsonl"
    suite.main(arguments(path))
    return path


class TestSuite:
    def test_it_runs_all_that_was_asked_for(self, results: Path) -> None:
        found = report.read(results)
        settings = sum(m.name in {"fenchel-stream", "linear"} for m in MODELS.values())
        assert len(found) == 2 * settings
        assert {result["stream"] for result in found} == {"Phishing", "ChickWeights"}
        assert all(result["peak_mb"] < 100 for result in found)

    def test_it_goes_on_where_it_was_stopped(self, results: Path) -> None:
        lines = results.read_text().splitlines()
        results.write_text("\n".join(lines[:-1]) + "\n")
        suite.main(arguments(results))
        again = results.read_text().splitlines()
        assert again[:-1] == lines[:-1]
        last, before = json.loads(again[-1]), json.loads(lines[-1])
        assert {**last, "rows_per_s": 0, "peak_mb": 0} == {**before, "rows_per_s": 0, "peak_mb": 0}

    def test_what_is_done_again_replaces_what_was(self, results: Path) -> None:
        before = report.read(results)
        suite.main([*arguments(results), "--models", "linear", "--again"])
        after = report.read(results)
        assert [r["score"] for r in after] == [r["score"] for r in before]
        assert len(results.read_text().splitlines()) > len(before)

    def test_it_writes_a_report(self, results: Path) -> None:
        text = (results.parent / "suite.md").read_text()
        assert "| fenchel-stream |" in text
        assert {path.suffix for path in results.parent.iterdir()} == {".jsonl", ".md", ".png"}


def result(stream: str, model: str, score: float | None, **more: Any) -> dict[str, Any]:
    return {
        "stream": stream,
        "model": model,
        "setting": "",
        "score": score,
        "curve": [score],
        "learnt": 9,
        "of": 9,
        "rows_per_s": 1.0,
        "peak_mb": 1.0,
    } | more


def test_the_best_setting_is_that_of_the_better_mean() -> None:
    found = report.choose(
        [
            result("Phishing", "SGD", 0.9, setting="fast"),
            result("Phishing", "SGD", 0.5, setting="fast"),
            result("Phishing", "SGD", 0.8, setting="slow"),
            result("Phishing", "SGD", 0.7, setting="slow"),
            result("ChickWeights", "SGD", 3.0, setting="fast"),
            result("ChickWeights", "SGD", 4.0, setting="slow"),
        ]
    )
    assert found["Phishing"]["SGD"]["setting"] == "slow"
    assert found["Phishing"]["SGD"]["score"] == pytest.approx(0.75)
    assert found["ChickWeights"]["SGD"]["setting"] == "fast"


def test_whoever_does_not_finish_is_last() -> None:
    found = report.choose(
        [
            result("Phishing", "good", 0.9),
            result("Phishing", "equal", 0.9),
            result("Phishing", "bad", 0.2),
            result("Phishing", "slow", 0.99, learnt=3),
            result("Phishing", "wild", None, error="diverged"),
            result("Phishing", "rash", None, error="OverflowError: x", learnt=0),
            result("Bananas", "good", 0.9),  # not run by the others: no ranks
        ]
    )
    expected = {"good": 1.5, "equal": 1.5, "bad": 3.0, "slow": 5.0, "wild": 5.0, "rash": 5.0}
    assert report.ranks(found) == {model: [rank] for model, rank in expected.items()}
    table = report.table(found)
    assert "| slow | too slow |" in table
    assert "| wild | diverged |" in table
    assert "| rash | failed |" in table
    assert "**0.900**" in table


def test_what_lacked_a_package_is_no_result(tmp_path: Path) -> None:
    absent = result("SEA", "tree", None, error="ModuleNotFoundError: No module named 'wood'")
    measured = result("SEA", "tree", 0.9, seed=2)
    path = tmp_path / "results.jsonl"
    path.write_text(f"{json.dumps(absent)}\n{json.dumps(measured)}\n")
    assert report.read(path) == [measured]


def test_models_that_ran_everywhere_are_ranked_over_all_streams() -> None:
    results = [
        result("SEA", report.OURS, 0.9),
        result("SEA", "Adam", 0.8, setting="0.1"),
        result("SEA", "Adam", 0.91, setting="0.3"),
        result("SEA", "tree", 0.99),
        result("Bananas", report.OURS, 0.7),
        result("Bananas", "Adam", None, setting="0.1", error="diverged"),
        result("Bananas", "Adam", 0.6, setting="0.3"),
    ]
    told = report.widest(report.choose(results))
    assert "all 2 streams" in told
    assert f"| {report.OURS} | 1.50 | 1 |" in told
    assert "| Adam | 1.50 | 1 |" in told
    assert "tree" not in told
    told = report.ahead(results)
    assert "| Adam (0.1) | 2 of 2 |" in told
    assert "| Adam (0.3) | 1 of 2 |" in told


def test_a_loss_that_is_no_number_is_the_worst() -> None:
    class Wild:
        def predict(self, part: Any) -> list[list[Any]]:
            return [[math.nan if part.targets[0] > 50 else 1.0]]

        def learn(self, part: Any) -> None:
            pass

    table = Table(STREAMS["ChickWeights"].load(ANYWHERE, 100), ("diet",))
    losses = prequential(Wild(), table).losses[0]
    assert np.isposinf(losses).sum() == sum(target > 50 for target in table.targets)
