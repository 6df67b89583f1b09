"""Any value at any key of a configuration is used, or refused in one line: never a traceback."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fenchel_stream.cli import main
from fenchel_stream.runner.config import Config

BASE: dict[str, dict[str, Any]] = {
    "source": {"url": "csv:data.csv", "target": "y"},
    "run": {"progress": False, "limit": 20},
    "model": {"hidden": [2]},
}

KEYS = [
    f"{field.name}.{entry.name}"
    for field in msgspec.structs.fields(Config)
    for kind in (field.type, *get_args(field.type))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    for entry in msgspec.structs.fields(kind)
    # A port is opened and a group waits for its members: other tests try them.
    if (field.name, entry.name) not in {("run", "group"), ("metrics", "port"), ("run", "limit")}
] + [
    "model.factory",
    "model.activation",
    "model.lam",
    "model.gamma",
    "model.seed",
    "model.experts",
    "kafka.bootstrap_servers",
    "source.options.delimiter",
    "labels.options.delimiter",
    "no.such",
    "source",
    "model",
]

ODD = [
    '"a\\u0000b"',
    '""',
    '" "',
    '"."',
    '"/proc/x"',
    '".x:y"',
    '"x:"',
    '":"',
    '"::"',
    '"os:environ"',
    '"math:sqrt"',
    '"json:loads"',
    '"fenchel_stream:no"',
    '"csv:"',
    '"river:synth.SEA?n=-1"',
    '"river:synth.SEA?variant=99999"',
    '"river:?="',
    '"parquet:data.csv"',
    '"jsonl:data.csv"',
    '"kafka://"',
    '"kafka://[/t"',
    '"\\u001b[31m"',
    '"\\u202e"',
    '"' + "x" * 5000 + '"',
    "9" * 5000,
    "-" + "9" * 5000,
    "9" * 25,
    "9223372036854775807",
    "2147483648",
    "-1",
    "0",
    "1e400",
    "nan",
    "-inf",
    "0x" + "f" * 5000,
    "true",
    "[]",
    "[[]]",
    "[1, 'a']",
    "{}",
    "{a = {b = 1}}",
    "{'' = 1}",
    "1979-05-27T07:32:00Z",
    "07:32:00",
    "[" * 3000 + "]" * 3000,
]

values = st.one_of(
    st.sampled_from(ODD),
    st.text(max_size=20).map(json.dumps),
    st.integers(-(10**30), 10**30).map(str),
    st.floats().map(repr),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("odd")
    lines = [f"{i % 7},{i * 3 % 11},{'p' if i % 7 > 3 else 'q'}" for i in range(20)]
    (made / "data.csv").write_text("a,b,y\n" + "\n".join(lines) + "\n")
    return made


def outcome(folder: Path, key: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    tables = "".join(
        f"{table}.{name} = {json.dumps(one)}\n"
        for table, entries in BASE.items()
        for name, one in entries.items()
        if key not in {f"{table}.{name}", table}
    )
    if key.startswith("labels.") and key != "labels.source":
        tables += 'labels.source = "csv:data.csv"\nlabels.key = "a"\n'
    if key.startswith("checkpoint.") and key != "checkpoint.directory":
        tables += 'checkpoint.directory = "checkpoints"\n'
    (folder / "run.toml").write_text(f"{tables}{key} = {value}\n", errors="surrogatepass")
    code = main(["run", "run.toml"])
    err = capsys.readouterr().err
    assert code in {0, 2, 3, 4}, err
    assert code == 0 or err.count("\n") >= 1
    if code:
        *_, last = err.splitlines()
        assert last.startswith("fenchel-stream: ")
        assert len(last) > len("fenchel-stream: ") + 10
        assert last.isprintable()


@given(key=st.sampled_from(KEYS), value=values)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value(
    key: str,
    value: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    outcome(folder, key, value, capsys)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("source.url", '"csv:a\\u0000b"', r"source: url: 'csv:a\x00b' holds a NUL character"),
        ("run.limit", "9" * 5000, "is not TOML"),
        ("run.limit", "0x" + "f" * 5000, "an integer has at most 64 bits"),
        ("run.threads", "9223372036854775807", "run.threads"),
        ("model.factory", '".x:y"', r"model.factory '.x:y' is not of the form"),
        ("model.factory", '"os:environ"', "cannot be called"),
        ("model.factory", '"sys:exit"', "SystemExit"),
    ],
)
def test_the_message(
    key: str,
    value: str,
    message: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    (folder / "run.toml").write_text(f'source.target = "y"\n{key} = {value}\n')
    if key != "source.url":
        with (folder / "run.toml").open("a") as file:
            file.write('source.url = "csv:data.csv"\n')
    assert main(["run", "run.toml"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run.limit=" + "9" * 5000, "its value cannot be read"),
        ("run.limit=" + "[" * 5000, "its value cannot be read|run.limit"),
        ("run.\0=1", "NUL"),
        ("model.seed=0x" + "f" * 5000, "64 bits"),
    ],
)
def test_a_setting(text: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--source", "river:Phishing", "--target", "target", "--set", text]
    assert main(["run", *flags]) == 2
    assert re.search(message, capsys.readouterr().err)
