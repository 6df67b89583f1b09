"""What a configuration may not say, and how the error names it."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenchel_stream.errors import ConfigError
from fenchel_stream.runner.config import difference, load, parse, setting

SOURCE = {"url": "csv:a.csv", "target": "y"}


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({}, "missing key `source`"),
        ({"source": {}}, "source: missing key `url`"),
        ({"source": {"url": "csv:a.csv"}}, "source: missing key `target`"),
        ({"source": 3}, "source: Expected a table, got `int`"),
        ({"sauce": {}}, "unknown key `sauce`"),
        ({"source": SOURCE | {"colour": 1}}, "source: unknown key `colour`"),
        ({"source": SOURCE | {"target": 3}}, "source.target: Expected `str | list`, got `int`"),
        ({"source": SOURCE | {"target": ["y", 3]}}, "source.target[1]: Expected `str`, got `int`"),
        ({"source": SOURCE | {"positive": 1.5}}, "source.positive: Expected"),
        ({"source": SOURCE | {"kind": "clustering"}}, "source.kind: must be classification, reg"),
        ({"source": SOURCE | {"options": []}}, "source.options: Expected a table, got `list`"),
        ({"features": {"scale": "a"}}, "features.scale: Expected `bool | list`, got `str`"),
        ({"features": {"one_hot": "a"}}, "features.one_hot: Expected `list`, got `str`"),
        ({"model": 3}, "model: Expected a table, got `int`"),
        ({"metrics": {"names": "MAE"}}, "metrics.names: Expected `list`, got `str`"),
        ({"metrics": {"window": 0}}, "metrics.window: Expected `int` >= 1"),
        ({"metrics": {"port": -1}}, "metrics.port: Expected `int` >= 0"),
        ({"run": {"batch_size": 0}}, "run.batch_size: Expected `int` >= 1"),
        ({"run": {"batch_size": "many"}}, "run.batch_size: Expected `int`, got `str`"),
        ({"run": {"batch_size": 1.5}}, "run.batch_size: Expected `int`, got `float`"),
        ({"run": {"batch_size": True}}, "run.batch_size: Expected `int`, got `bool`"),
        ({"run": {"limit": 0}}, "run.limit: Expected `int` >= 1"),
        ({"run": {"delay": -1}}, "run.delay: Expected `int` >= 0"),
        ({"run": {"max_error_rate": 1.01}}, "run.max_error_rate: Expected `float` <= 1"),
        ({"run": {"max_error_rate": float("nan")}}, "run.max_error_rate: Expected `float` >= 0"),
        ({"run": {"progress": "no"}}, "run.progress: Expected `bool`, got `str`"),
        ({"output": {"plot": dt.date(2020, 1, 1)}}, "output.plot: Expected `str`, got `date`"),
        ({"output": {"predictions": "a", "rejects": "a"}}, "output: predictions and rejects"),
        ({"checkpoint": {}}, "checkpoint: missing key `directory`"),
        ({"checkpoint": {"directory": "a", "every": 0}}, "checkpoint.every: Expected `int` >= 1"),
        ({"checkpoint": {"directory": "a", "keep": 0}}, "checkpoint.keep: Expected `int` >= 1"),
    ],
)
def test_errors_name_the_key(tables: dict[str, Any], message: str) -> None:
    whole = tables if {"source", "sauce"} & tables.keys() or not tables else {"source": SOURCE}
    with pytest.raises(ConfigError) as error:
        parse({**whole, **tables})
    assert str(error.value).startswith(f"configuration: {message}")


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('[source]\nurl = "csv:a.csv"\ntarget = ["y", "z"]\nkind = "multi-target"\n')
    config = load(path)
    assert config.source.target == ["y", "z"]
    assert config.checkpoint is None
    assert (config.run.batch_size, config.run.max_error_rate) == (100, 1.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[source\n", r"run\.toml is not TOML: .*line 1"),
        (b"a = 1\na = 2\n", r"run\.toml is not TOML: Cannot overwrite a value .*line 2"),
        (b"a = '\xff'\n", r"run\.toml is not TOML: .*utf-8"),
        (b"a = " + b"[" * 100_000, r"run\.toml is not TOML"),
        (b"[run]\nbatchsize = 3\n", r"run\.toml: .*`(batchsize|source)`"),
    ],
)
def test_a_file_that_is_none(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        load(path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: No such file"):
        load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path)


def test_settings_go_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('[source]\nurl = "csv:a.csv"\ntarget = "y"\n[run]\nlimit = 10\ndelay = 3\n')
    config = load(path, {"run.limit": 20, "source.options.delimiter": ";", "model.lam": 2})
    assert (config.run.limit, config.run.delay) == (20, 3)
    assert config.source.options == {"delimiter": ";"}
    assert config.model == {"lam": 2}
    config = load(None, {"source.url": "csv:b.csv", "source.target": "z"})
    assert config.source.url == "csv:b.csv"
    with pytest.raises(ConfigError, match=r"run\.toml: run\.limit: Expected `int`, got `str`"):
        load(path, {"run.limit": "many"})
    with pytest.raises(ConfigError, match="setting run.limit.most: limit is not a table"):
        load(path, {"run.limit.most": 1})


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("run.limit=10", "run.limit", 10),
        ("run.max_error_rate = 0.5", "run.max_error_rate", 0.5),
        ("run.progress=false", "run.progress", False),
        ("model.hidden=[32, 16]", "model.hidden", [32, 16]),
        ("source.options={delimiter = ';'}", "source.options", {"delimiter": ";"}),
        ("source.target=late", "source.target", "late"),
        ('source.target="1"', "source.target", "1"),
        ("source.url=river:synth.SEA?n=3&seed=1", "source.url", "river:synth.SEA?n=3&seed=1"),
        ("source.options.delimiter=;", "source.options.delimiter", ";"),
        ("output.plot=", "output.plot", ""),
    ],
)
def test_a_setting(text: str, key: str, value: Any) -> None:
    assert setting(text) == (key, value)


@pytest.mark.parametrize("text", ["", "a", "a=1", ".=1", "a.=1", ".a=1", "a..b=1", "a.b", "=1"])
def test_a_setting_that_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match=r"is not of the form table\.key=value"):
        setting(text)


values = st.recursive(
    st.booleans() | st.integers(-(2**60), 2**60) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(value=values)
def test_a_setting_takes_any_value(value: Any) -> None:
    # JSON's way to write these is TOML's too, but for the one control character it lets through.
    text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    assert setting(f"a.b={text}") == ("a.b", value)


class TestIdentity:
    def test_it_holds_what_decides_what_is_learnt(self) -> None:
        config = parse({"source": SOURCE})
        same = parse(
            {
                "source": SOURCE | {"options": {"password": "hidden"}},
                "run": {"limit": 3, "progress": False, "max_error_rate": 0.5},
                "output": {"plot": "a.png"},
                "metrics": {"port": 1},
                "checkpoint": {"directory": "a"},
            }
        )
        assert same.identity() == config.identity()
        assert "hidden" not in json.dumps(same.identity())

    @pytest.mark.parametrize(
        ("tables", "message"),
        [
            ({"source": SOURCE | {"positive": "1"}}, "source.positive = None, and this run has '1"),
            ({"source": SOURCE | {"kind": "regression"}}, "source.kind = 'classification', and"),
            ({"features": {"scale": False}}, "features.scale = True, and this run has False"),
            ({"model": {"lam": 3}}, "model.lam = None, and this run has 3"),
            ({"metrics": {"names": ["F1"]}}, "metrics.names = [], and this run has ['F1']"),
            ({"run": {"delay": 2}}, "run.delay = 0, and this run has 2"),
        ],
    )
    def test_it_tells_runs_apart(self, tables: dict[str, Any], message: str) -> None:
        one, other = parse({"source": SOURCE}), parse({"source": SOURCE} | tables)
        stored = json.loads(json.dumps(one.identity()))
        assert difference(stored, other.identity()).startswith(message)
        assert difference(other.identity(), one.identity())
        assert difference(stored, one.identity()) == ""
