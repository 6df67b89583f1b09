"""Sources are found by their scheme, whichever package they come from."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import polars as pl
import pytest

from fenchel_connectors import CsvSource, JsonlSource, ParquetSource, RiverSource
from fenchel_stream.errors import ConfigError
from fenchel_stream.streams import Source, open_source


def test_schemes_that_come_along(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [1, 2], "y": ["u", "v"]})
    frame.write_csv(tmp_path / "a.csv", separator=";")
    frame.write_ndjson(tmp_path / "a.jsonl")
    frame.write_parquet(tmp_path / "a.parquet")
    sources = [
        open_source(f"csv:{tmp_path}/a.csv", delimiter=";"),
        open_source(f"jsonl:{tmp_path}/a.jsonl"),
        open_source(f"parquet:{tmp_path}/a.parquet"),
        open_source("river:synth.SEA?seed=1&n=2"),
    ]
    assert [type(source) for source in sources] == [
        CsvSource,
        JsonlSource,
        ParquetSource,
        RiverSource,
    ]
    for source in sources:
        assert isinstance(source, Source)
        assert source.total == 2
        (batch,) = source.batches(5)
        assert batch.rows.height == 2
        assert list(source.batches(5, batch.position)) == []


def test_scheme_of_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "other-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[fenchel_stream.sources]\nother = fenchel_other:OtherSource\n"
    )
    (tmp_path / "fenchel_other.py").write_text(
        "from fenchel_stream.streams import Source\n"
        "class OtherSource(Source):\n"
        "    def __init__(self, address, **options):\n"
        "        self.address, self.options = address, options\n"
        "    def batches(self, size, position=None):\n"
        "        return iter(())\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    source = open_source("other:a:b?c", colour="red")
    assert vars(source) == {"address": "a:b?c", "options": {"colour": "red"}}
    # Everything but `batches` has a default.
    assert (source.total, source.live, source.waits, source.partitions()) == (
        None,
        False,
        False,
        {},
    )
    source.saved({})
    with source.reading(10) as batches:
        assert list(batches) == []

    def replace_module(text: str) -> None:
        (tmp_path / "fenchel_other.py").write_text(text)
        monkeypatch.delitem(sys.modules, "fenchel_other")
        importlib.invalidate_caches()

    replace_module(
        "from fenchel_stream.streams import Source\n"
        "class OtherSource(Source):\n"
        "    def __init__(self, address):\n"
        "        self.limit = int(address)\n"
        "    def batches(self, size, position=None):\n"
        "        return iter(())\n"
    )
    with pytest.raises(ConfigError, match="source 'other:abc': invalid literal for int"):
        open_source("other:abc")
    info.joinpath("entry_points.txt").write_text(
        "[fenchel_stream.sources]\nother = fenchel_other:Nothing\n"
    )
    replace_module("class Nothing:\n    pass\n")
    with pytest.raises(ConfigError, match="fenchel_other:Nothing is not a subclass of fenchel_str"):
        open_source("other:a")


@pytest.mark.parametrize("url", ["flights.csv", "cvs:flights.csv", "", ":x"])
def test_unknown_scheme(url: str) -> None:
    with pytest.raises(ConfigError, match=r"known schemes: csv, .*jsonl, .*parquet, river"):
        open_source(url)


def test_unknown_option(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    with pytest.raises(ConfigError, match="unknown option 'delimeter'; csv takes: delimiter"):
        open_source(f"csv:{tmp_path}/a.csv", delimeter=";")
    with pytest.raises(ConfigError, match="river takes: no options"):
        open_source("river:Phishing", delimiter=";")
    with pytest.raises(ConfigError, match="unknown option 'address'"):
        open_source("river:Phishing", address="Bananas")
