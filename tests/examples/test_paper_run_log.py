"""Runs of the paper's figures: kept, cut and resumed, and told apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")

from numpy.testing import assert_array_equal

from examples.paper import run_log
from examples.paper.cli import main
from examples.paper.data import Images, Labels, Split
from examples.paper.learners import Gradient, Learner, Lifted, dense_model, dense_network
from examples.paper.report import write_report
from examples.paper.run_log import Entry, Figure, Store, run_figure
from examples.paper.sweeps import Sweeps

SIZES = [16, 8, 3]


def lifted(passes: int, seed: int) -> Learner:
    network = dense_network(SIZES, seed, 1.0)
    return Lifted(network, passes, 20, gamma=(0.1, 1.0), extrapolation=(0.5, 0.0), seed=seed)


def gradient(name: str) -> Callable[[int, int], Learner]:
    return lambda passes, seed: Gradient(
        dense_model(SIZES, seed), name, 0.05, passes, 20, seed=seed
    )


def sweeps(anew: bool) -> Callable[[int, int], Learner]:
    def make(passes: int, seed: int) -> Learner:
        settings = {"loss": "squared_error", "lam": 1.0, "rho": 0.01}
        return Sweeps(dense_network([16, 32, 3], seed, 1.0, **settings), anew, (0.5, 0.0))

    return make


MAKERS = {
    "lifted": lifted,
    "X anew": sweeps(anew=True),
    "X kept": sweeps(anew=False),
    "Adam": gradient("Adam"),
    "SGD": gradient("SGD"),
}


@pytest.fixture(autouse=True)
def states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_log, "STATES", tmp_path / "states")


@pytest.fixture
def split() -> Split:
    """Three classes of images, each with a bright band."""
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=300)
    x = rng.integers(120, size=(300, 4, 4, 1))
    x[np.arange(300), y] += 100
    whole = Split(x.astype(np.uint8), y, x.astype(np.uint8), y)
    return whole.held_out(100)


def figure(**makers: Callable[[int, int], Learner]) -> Figure:
    entries = {name: Entry(make, {}, 3, 0.9) for name, make in makers.items()}
    return Figure(9, "a test", "MNIST", "epoch", 0.95, entries)


@pytest.mark.parametrize("name", MAKERS)
def test_a_cut_run_goes_on_as_if_it_were_not_cut(name: str, split: Split, tmp_path: Path) -> None:
    whole, cut = Store(tmp_path / "whole.jsonl"), Store(tmp_path / "cut.jsonl")
    run_figure(figure(**{name: MAKERS[name]}), split, [1], "here", whole)

    def stopping(passes: int, seed: int) -> Learner:
        learner = MAKERS[name](passes, seed)
        learn = learner.learn

        def stop(x: Images, y: Labels, number: int) -> None:
            if number == 2:
                raise KeyboardInterrupt
            learn(x, y, number)

        learner.learn = stop  # type: ignore[method-assign]
        return learner

    with pytest.raises(KeyboardInterrupt):
        run_figure(figure(**{name: stopping}), split, [1], "here", cut)
    assert not cut.read()
    run_figure(figure(**{name: MAKERS[name]}), split, [1], "here", cut)
    (first,), (second,) = whole.read(), cut.read()
    assert first["accuracy"] == second["accuracy"]
    assert not list((tmp_path / "states").iterdir())


def test_finished_runs_are_not_repeated(split: Split, tmp_path: Path) -> None:
    store = Store(tmp_path / "figure9.jsonl")
    run_figure(figure(Adam=MAKERS["Adam"]), split, [0, 1], "here", store)
    kept = store.path.read_text()

    def never(passes: int, seed: int) -> Learner:
        pytest.fail("a finished run was made again")

    run_figure(figure(Adam=never), split, [0, 1], "here", store)
    assert store.path.read_text() == kept
    assert [json.loads(line)["seed"] for line in kept.splitlines()] == [0, 1]


def test_other_settings_are_another_run(split: Split, tmp_path: Path) -> None:
    def at(rate: float) -> Figure:
        def make(passes: int, seed: int, rate: float) -> Learner:
            return Gradient(dense_model(SIZES, seed), "Adam", rate, passes, 20, seed=seed)

        return replace(figure(), entries={"Adam": Entry(make, {"rate": rate}, 3)})

    store = Store(tmp_path / "figure9.jsonl")
    run_figure(at(0.05), split, [0], "here", store, passes=4)
    run_figure(at(0.01), split, [0, 1], "here", store, passes=2)
    assert [run["settings"]["rate"] for run in store.read()] == [0.05, 0.01, 0.01]
    assert "| Adam | 2 of 3 | 2 |" in write_report(at(0.01), store.read(), tmp_path, "")
    assert "| Adam | 4 | 1 |" in write_report(at(0.05), store.read(), tmp_path, "")


@pytest.mark.parametrize("other", ["rate", "rows", "folder"])
def test_what_is_not_the_cut_run_begins_anew(
    other: str, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at(rate: float, stop: bool = False) -> Figure:
        def make(passes: int, seed: int, rate: float) -> Learner:
            learner = Gradient(dense_model(SIZES, seed), "Adam", rate, passes, 20, seed=seed)
            learn = learner.learn

            def stopping(x: Images, y: Labels, number: int) -> None:
                if stop and number == 2:
                    raise KeyboardInterrupt
                learn(x, y, number)

            learner.learn = stopping  # type: ignore[method-assign]
            return learner

        return replace(figure(), entries={"Adam": Entry(make, {"rate": rate}, 3)})

    first, second = (Store(tmp_path / name / "figure9.jsonl") for name in "ab")
    with pytest.raises(KeyboardInterrupt):
        run_figure(at(0.05, stop=True), split, [0], "here", first)
    rate = 0.01 if other == "rate" else 0.05
    rows = split.first(20) if other == "rows" else split
    run_figure(at(rate), rows, [0], "here", second if other == "folder" else first)
    states = run_log.STATES
    monkeypatch.setattr(run_log, "STATES", tmp_path / "none")
    alone = Store(tmp_path / "c" / "figure9.jsonl")
    run_figure(at(rate), rows, [0], "here", alone)
    (found,) = (second if other == "folder" else first).read()
    assert found["accuracy"] == alone.read()[0]["accuracy"]
    assert len(list(states.iterdir())) == 1, "the state of the cut run is left alone"


@pytest.mark.parametrize("name", MAKERS)
def test_every_learner_learns(name: str, split: Split) -> None:
    learner = MAKERS[name](10, 0)
    for number in range(10):
        learner.learn(split.x_train, split.y_train, number)
    assert (learner.predict(split.x_test) == split.y_test).mean() > 0.9


def test_seeds_differ_and_repeat(split: Split) -> None:
    weights = []
    for seed in (0, 0, 1):
        learner = lifted(1, seed)
        learner.learn(split.x_train, split.y_train, 0)
        weights.append(learner.state()["now.0"])
    assert_array_equal(weights[0], weights[1])
    assert (weights[0] != weights[2]).any()


def test_gamma_grows_as_the_passes_end(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    learner = lifted(4, 0)
    assert isinstance(learner, Lifted)
    seen = []
    configure = learner.network.configure

    def spy(lam: float, gamma: list[float], *rest: object) -> None:
        seen.append(gamma)
        configure(lam, gamma, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(learner.network, "configure", spy)
    for number in range(4):
        learner.learn(split.x_train, split.y_train, number)
    steps = 1.0 - np.arange(40) / 40
    np.testing.assert_allclose(seen, np.outer(1.0 / steps, [0.1, 1.0]))


def test_the_command_writes_table_and_picture(shared_data: Path, tmp_path: Path) -> None:
    small = Figure(
        9,
        "a test",
        "MNIST",
        "epoch",
        0.5,
        {
            "Adam": Entry(
                lambda passes, seed, rate: Gradient(
                    dense_model([784, 10], seed), "Adam", rate, passes, 50, seed=seed
                ),
                {"rate": 0.01},
                5,
                0.9,
            )
        },
    )
    trial = ["--data", str(shared_data), "--results", str(tmp_path), "--rows", "500"]
    assert main(small, [*trial, "--passes", "2", "--seeds", "0", "1"]) == 0
    table = (tmp_path / "figure9.md").read_text()
    assert "| Adam | 2 of 5 | 2 | 0." in table
    assert (tmp_path / "figure9.png").stat().st_size > 10_000


def test_the_command_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(figure(lifted=lifted), ["--data", str(tmp_path)]) == 3
    assert "download the four IDX files" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(figure(lifted=lifted), ["--only", "Adam"])
    assert 'no such learner: Adam; there are\n    "lifted"' in capsys.readouterr().err
    for option in ("--passes", "--rows"):
        with pytest.raises(SystemExit):
            main(figure(lifted=lifted), [option, "0"])
        assert "at least 1, not '0'" in capsys.readouterr().err


def test_fewer_rows_are_another_run(split: Split, tmp_path: Path) -> None:
    store = Store(tmp_path / "figure9.jsonl")
    for rows in (20, 100, 100):
        run_figure(figure(Adam=MAKERS["Adam"]), split.first(rows), [0], "here", store)
    assert [run["rows"] for run in store.read()] == [20, 100]
    write_report(figure(Adam=MAKERS["Adam"]), store.read(), tmp_path, "")
    assert "; 100 training images" in (tmp_path / "figure9.md").read_text()
