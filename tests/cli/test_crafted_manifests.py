"""What a manifest says may be of any type: each command takes it, or ends with one error."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fenchel_stream.checkpoint.manifest import _text
from fenchel_stream.cli import main
from tests.runs import learn, rows, tables, to_toml, write_csv

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3)
    | st.sampled_from(["2026-11-30T07:00:00", "2026-11-30T07:00Z", "0001-01-01T00:00:00+14:00"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)  # fmt: skip


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of 40 records."""
    folder = tmp_path_factory.mktemp("learnt")
    url = write_csv(folder / "data.csv", rows(60))
    changes: dict[str, Any] = {"output": {}, "model": {"hidden": [2]}}
    learn(folder, url, run={"limit": 40}, **changes)
    (folder / "run.toml").write_text(to_toml(tables(folder, url, **changes)))
    return folder


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a JSON object."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, part in value.items():
            yield from places(part, (*path, key))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_each_command_takes_it_or_ends_with_one_error(data: st.DataObject, learnt: Path) -> None:
    checkpoints = learnt / "checkpoints"
    whole = learnt / "whole"
    if not whole.exists():
        shutil.copytree(checkpoints, whole)
    shutil.rmtree(checkpoints)
    shutil.copytree(whole, checkpoints)
    file = max(checkpoints.glob("0*")) / "manifest.json"
    body = json.loads(file.read_text())
    del body["sha256"]
    *path, last = data.draw(st.sampled_from(sorted(places(body), key=str)))
    holder = body
    for key in path:
        holder = holder[key]
    if data.draw(st.integers(0, 9)):
        holder[last] = data.draw(JSON)
    else:
        del holder[last]
    file.write_bytes(_text(body))
    directory = str(checkpoints)
    assert main(["checkpoint", "list", directory]) == 0
    for command in (
        ["checkpoint", "verify", directory],
        ["status", directory],
        ["status", "--json", directory],
        ["checkpoint", "rollback", directory, file.parent.name],
        ["run", str(learnt / "run.toml")],
    ):
        assert main(command) in {0, 2, 3, 4}
