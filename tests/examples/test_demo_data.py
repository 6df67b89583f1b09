"""The data of the demo is what its README says, and what another preparation gives."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import polars as pl


def test_its_readme_describes_it(root: Path) -> None:
    folder = root / "examples/data"
    packed = (folder / "flights.csv.gz").read_bytes()
    readme = (folder / "README.md").read_text()
    assert f"{hashlib.sha256(packed).hexdigest()}  flights.csv.gz" in readme
    assert f"{hashlib.sha256(gzip.decompress(packed)).hexdigest()}  flights.csv\n" in readme
    for column in pl.read_csv(folder / "flights.csv.gz", n_rows=1).columns:
        assert f"`{column}`" in readme


def test_it_equals_another_preparation_of_its_source(root: Path, shared_data: Path) -> None:
    other = pl.read_csv(shared_data / "flights_nyc13.csv.gz").rename({"label": "late"})
    ours = pl.read_csv(root / "examples/data/flights.csv.gz")
    assert ours.equals(other.select(ours.columns))
