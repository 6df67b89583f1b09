from __future__ import annotations

import inspect
from itertools import islice
from pathlib import Path

import pytest
from river import datasets
from river.datasets import synth
from river.datasets.base import FileDataset, RemoteDataset

from fenchel_connectors import RiverSource
from fenchel_stream.errors import CheckpointError, ConfigError
from tests.connectors.streams import assert_resumable, plain

REMOTE = [
    name
    for name in datasets.__all__
    if inspect.isclass(getattr(datasets, name))
    and issubclass(getattr(datasets, name), RemoteDataset)
]
BUNDLED = [
    name
    for name in datasets.__all__
    if inspect.isclass(getattr(datasets, name))
    and issubclass(getattr(datasets, name), FileDataset)
    and name not in REMOTE
]


def test_river_bundles_some_data_sets() -> None:
    assert {"Phishing", "SolarFlare", "ImageSegments"} <= set(BUNDLED)
    assert "Elec2" in REMOTE


# River does not close its file when it is not read to the end.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_data_set(name: str) -> None:
    source = RiverSource(name)
    assert source.total == getattr(datasets, name)().n_samples
    first = next(source.batches(20))
    rows = first.rows.to_dicts()
    for row, (x, y) in zip(rows, islice(getattr(datasets, name)(), 20), strict=True):
        targets = y if isinstance(y, dict) else {"target": y}
        assert row == {str(key): value for key, value in {**x, **targets}.items()}
    assert first.where[2] == f"{name}:3"
    second = next(islice(source.batches(20), 1, None))
    assert plain(next(RiverSource(name).batches(20, first.position))) == plain(second)


@pytest.mark.parametrize("name", synth.__all__)
def test_generator_is_the_same_on_every_run(name: str) -> None:
    tiles = "n_tiles=20&" if name == "Logical" else ""  # of four records each
    address = f"synth.{name}?{tiles}n=50"
    whole = assert_resumable(RiverSource(address), 15)
    assert [plain(batch) for batch in RiverSource(address).batches(15)] == whole
    assert RiverSource(address).total == 50


def test_parameters() -> None:
    source = RiverSource("synth.Agrawal?classification_function=2&perturbation=0.1&seed=3&n=5")
    (batch,) = source.batches(10)
    dataset = synth.Agrawal(classification_function=2, perturbation=0.1, seed=3)
    assert batch.rows["target"].to_list() == [y for _, y in dataset.take(5)]
    assert RiverSource("synth.Logical?shuffle=false").total == 4
    assert RiverSource("synth.SEA").total is None
    flipped = next(RiverSource("synth.SEA?variant=1&seed=3&noise=0.4").batches(50))
    assert not flipped.rows.equals(next(RiverSource("synth.SEA?variant=1&seed=3").batches(50)).rows)


def test_n_cuts_a_data_set() -> None:
    assert RiverSource("Phishing?n=7").total == 7
    assert sum(batch.rows.height for batch in RiverSource("Phishing?n=7").batches(3)) == 7
    assert RiverSource("Phishing?n=100000").total == 1250


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("Fishing", "did you mean Phishing"),
        ("", "no data set ''"),
        ("base", "no data set 'base'"),
        ("synth", "no data set 'synth'"),
        ("synth.SEA?sead=3", r"unknown parameter 'sead'; known: n, variant, noise, seed"),
        ("synth.SEA?variant=9", "synth.SEA"),
        ("synth.SEA?n=-1", "n must be a number"),
        ("synth.SEA?n=1.5", "n must be a number"),
        ("synth.SEA?n=true", "n must be a number"),
        ("synth.SEA?variant", "write parameters as"),
    ],
)
def test_wrong_address(address: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RiverSource(address)


def test_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RIVER_DATA", str(tmp_path))
    for name in REMOTE:
        with pytest.raises(ConfigError, match=f"river:{name} .*would need the network"):
            RiverSource(name)


def test_position_beyond_the_end() -> None:
    with pytest.raises(CheckpointError, match="SEA: ends after 5 records"):
        list(RiverSource("synth.SEA?n=5").batches(2, {"record": 6}))
