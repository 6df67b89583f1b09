from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenchel_connectors import JsonlSink
from fenchel_stream.errors import CheckpointError, ConfigError
from fenchel_stream.streams import Sink, open_sink


def written(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_is_a_sink(tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / "a.jsonl"))
    assert isinstance(sink, Sink)
    assert isinstance(sink, JsonlSink)
    sink.close()
    with pytest.raises(ConfigError, match="no installed package provides the scheme 'xml'"):
        open_sink("xml:a.xml")


def test_values(tmp_path: Path) -> None:
    sink = JsonlSink(str(tmp_path / "a.jsonl"))
    sink.write([{"a": np.float64(1.5), "b": math.nan, "c": {True: 0.5, 2: 0.5}, "d": "é\n"}])
    sink.write([{"a": np.arange(2), "b": {1.5}}, {}])
    sink.close()
    sink.close()
    assert written(sink.path) == [
        {"a": 1.5, "b": None, "c": {"true": 0.5, "2": 0.5}, "d": "é\n"},
        {"a": [0, 1], "b": "{1.5}"},
        {},
    ]


def test_appends_until_told_to_start_afresh(tmp_path: Path) -> None:
    for number in range(2):
        sink = JsonlSink(str(tmp_path / "a.jsonl"))
        sink.write([{"a": number}])
        sink.close()
    assert written(sink.path) == [{"a": 0}, {"a": 1}]
    sink = JsonlSink(str(tmp_path / "a.jsonl"))
    sink.truncate(None)
    sink.write([{"a": 2}])
    sink.close()
    assert written(sink.path) == [{"a": 2}]


def test_flush_reaches_the_file(tmp_path: Path) -> None:
    sink = JsonlSink(str(tmp_path / "a.jsonl"))
    sink.write([{"a": 1}])
    sink.flush()
    assert sink.position == {"bytes": sink.path.stat().st_size} == {"bytes": 8}
    sink.close()


def test_shorter_file_than_the_checkpoint_saw(tmp_path: Path) -> None:
    sink = JsonlSink(str(tmp_path / "a.jsonl"))
    sink.write([{"a": 1}])
    with pytest.raises(CheckpointError, match=r"holds 8 bytes, .* when it held 9"):
        sink.truncate({"bytes": 9})
    with pytest.raises(CheckpointError, match="another kind"):
        sink.truncate({"line": 1})
    sink.close()


def test_refused_addresses(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for address in (str(tmp_path), str(tmp_path / "file" / "a.jsonl")):
        with pytest.raises(ConfigError, match="cannot be written"):
            JsonlSink(address)
    with pytest.raises(ConfigError, match="needs a path"):
        JsonlSink("")


def test_killed_writer_leaves_each_line_once(tmp_path: Path) -> None:
    path, saved = tmp_path / "a.jsonl", tmp_path / "position.json"
    code = (
        "import itertools, json, os, pathlib, sys\n"
        "from fenchel_connectors import JsonlSink\n"
        "sink, saved = JsonlSink(sys.argv[1]), pathlib.Path(sys.argv[2])\n"
        "state = json.loads(saved.read_text()) if saved.exists() else {'next': 0, 'end': None}\n"
        "sink.truncate(state['end'])\n"
        "for number in itertools.count(state['next']):\n"
        "    sink.write([{'number': number, 'text': 'x' * 500}])\n"
        "    if number % 50 == 0:\n"
        "        sink.flush()\n"
        "        new = saved.with_suffix('.new')\n"
        "        new.write_text(json.dumps({'next': number + 1, 'end': sink.position}))\n"
        "        os.replace(new, saved)\n"
        "        print(flush=True)\n"
    )
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", code, str(path), str(saved)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            for _ in range(5):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
    state = json.loads(saved.read_text())
    sink = JsonlSink(str(path))
    sink.truncate(state["end"])
    sink.close()
    assert [row["number"] for row in written(path)] == list(range(state["next"]))
    assert state["next"] > 200


actions = st.lists(
    st.sampled_from(["write", "mark", "back", "flush", "reopen"]), min_size=1, max_size=20
)


@given(actions=actions)
def test_going_back_drops_what_came_after(
    tmp_path_factory: pytest.TempPathFactory, actions: list[str]
) -> None:
    path = tmp_path_factory.mktemp("sink") / "a.jsonl"
    sink = JsonlSink(str(path))
    expected: list[int] = []
    mark, marked = sink.position, 0
    for number, action in enumerate(actions):
        match action:
            case "write":
                sink.write([{"n": number}])
                expected.append(number)
            case "mark":
                mark, marked = sink.position, len(expected)
            case "back":
                sink.truncate(mark)
                del expected[marked:]
            case "flush":
                sink.flush()
            case "reopen":
                sink.close()
                sink = JsonlSink(str(path))
    assert sink.position == {"bytes": sum(len(f'{{"n":{n}}}\n') for n in expected)}
    sink.close()
    assert [row["n"] for row in written(path)] == expected
    path.unlink()


@pytest.mark.parametrize("address", ["-", "/dev/stdout", "jsonl:-"])
def test_standard_output(address: str, tmp_path: Path) -> None:
    """Predictions go to a pipe, the summary elsewhere, and a resumed run goes on."""
    command = "from fenchel_stream.cli import main; raise SystemExit(main())"
    arguments = ["run", "--source", "river:Phishing", "--target", "target", "--checkpoint", "c"]

    def run(limit: str) -> tuple[list[Any], str]:
        done = subprocess.run(
            [sys.executable, "-c", command, *arguments, "--predictions", address, "--limit", limit],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    lines, summary = run("200")
    assert [line["where"] for line in lines] == [f"Phishing:{n}" for n in range(1, 201)]
    assert "over 200 rows" in summary
    lines, _ = run("300")
    assert [line["where"] for line in lines] == [f"Phishing:{n}" for n in range(201, 301)]


def test_a_named_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    sink = JsonlSink(str(tmp_path / "pipe"))
    sink.truncate(None)
    sink.write([{"a": 1}])
    sink.flush()
    sink.truncate(sink.position)
    sink.close()
    assert os.read(reader, 100) == b'{"a":1}\n'
    os.close(reader)
