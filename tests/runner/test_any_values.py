"""Whatever the records hold: a run learns each, or names and counts it, and goes on."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fenchel_stream.errors import DataError
from fenchel_stream.runner.config import parse
from fenchel_stream.runner.learner import Learner
from tests.runs import read_lines, tables

texts = st.text(max_size=4) | st.sampled_from(
    ["", " ", "1", "1.0", "true", "nan", "inf", "1e999", "2024-01-01", "\x1b[31m", "u", "\ud800"]
)
atoms = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from([1e300, -1e308, 2**63, 2**64, 10**400, -0.0, 1e-320])
    | texts
)
values: st.SearchStrategy[Any] = st.recursive(
    atoms, lambda v: st.lists(v, max_size=2) | st.dictionaries(texts, v, max_size=2), max_leaves=4
)
lines = st.sampled_from(
    ["", "[1]", "{", '{"a": 1, "a": 2}', '{"a": NaN}', "\x00", '"x"', "[" * 3000]
)
COLUMNS = "acytk"


def good(number: int) -> dict[str, Any]:
    return {
        "k": number,
        "t": number,
        "a": float(number % 3),
        "c": "uvw"[number % 3],
        "y": number % 2,
        "z": number % 5,
    }


@st.composite
def streams(draw: st.DrawFn, first: int = 3) -> list[dict[str, Any] | str]:
    """Draw records of which some columns are anything, after some good ones."""
    made: list[dict[str, Any] | str] = [good(number) for number in range(first)]
    for number in range(first, first + draw(st.integers(1, 8))):
        if draw(st.integers(0, 5)) == 0:
            made.append(draw(lines))
            continue
        record = good(number)
        for name in draw(st.sets(st.sampled_from(COLUMNS), max_size=2)):
            record[name] = draw(values)
        if draw(st.integers(0, 5)) == 0:
            record[draw(texts)] = draw(values)
        made.append(record)
    return made


def write(path: Path, records: list[dict[str, Any] | str]) -> int:
    """Write records as JSON lines or CSV; return how many there are."""
    if path.suffix == ".jsonl":
        made = [one if isinstance(one, str) else json.dumps(one) for one in records]
        path.write_text("".join(line + "\n" for line in made))
        return sum(bool(line.strip()) for line in made)
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    names = list(good(0))
    writer.writerow(names)
    for one in records:
        row = [one] if isinstance(one, str) else [one.get(name) for name in names]
        writer.writerow(row)
    path.write_bytes(file.getvalue().encode("utf-8", "surrogatepass"))
    return 0


def run_in_parts(config: dict[str, Any], middle: int) -> Learner | None:
    """Run to the middle, and resume; None if the stream is wrong from its start."""
    for limit in (middle, None):
        config["run"]["limit"] = limit
        learner = Learner(parse(config))
        try:
            learner.run()
        except DataError as error:
            if "is needed, but none" in str(error) or "none of the first" in str(error):
                return None
            raise
    return learner


def assert_balanced(folder: Path, learner: Learner, waiting: int) -> None:
    rejected = learner.rejects.counts.total()
    assert learner.records == learner.rejects.accepted + rejected
    letters = read_lines(folder / "rejects.jsonl")
    assert len(letters) == rejected
    assert all(letter["reason"] and letter["where"] for letter in letters)
    if learner.config.labels is None:
        assert learner.records == learner.test.learnt + rejected + waiting


KINDS: dict[str, Any] = {
    "classification": {"target": "y"},
    "regression": {"target": "y", "kind": "regression"},
    "multi-target": {"target": ["y", "z"], "kind": "multi-target"},
}
METRICS = {
    "classification": ["Accuracy", "CrossEntropy", "MacroF1"],
    "regression": ["MAE", "RMSLE", "R2"],
    "multi-target": ["MAE"],
}


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(
    records=streams(),
    kind=st.sampled_from(list(KINDS)),
    form=st.sampled_from(["jsonl", "jsonl", "csv"]),
    size=st.integers(1, 5),
    delay=st.sampled_from([0, 0, 2]),
    middle=st.integers(1, 8),
)
def test_any_value_with_prompt_labels(
    tmp_path_factory: pytest.TempPathFactory,
    records: list[Any],
    kind: str,
    form: str,
    size: int,
    delay: int,
    middle: int,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    path = folder / f"data.{form}"
    count = write(path, records)
    config = tables(
        folder,
        f"{form}:{path}",
        source=KINDS[kind],
        features={"one_hot": ["c"], "ignore": ["k", "t"]},
        metrics={"names": METRICS[kind], "window": 3},
        model={"hidden": [2]},
        run={"batch_size": size, "delay": delay},
    )
    learner = run_in_parts(config, middle)
    if learner is not None:
        assert_balanced(folder, learner, len(learner.test.delayed))
        assert form == "csv" or learner.records == count


@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(
    events=streams(),
    labels=streams(),
    kind=st.sampled_from(list(KINDS)),
    key=st.sampled_from([["k"], ["k", "c"]]),
    size=st.integers(1, 5),
    middle=st.integers(1, 14),
)
def test_any_value_with_late_labels(
    tmp_path_factory: pytest.TempPathFactory,
    events: list[Any],
    labels: list[Any],
    kind: str,
    key: list[str],
    size: int,
    middle: int,
) -> None:
    folder = tmp_path_factory.mktemp("late")
    counts = [write(folder / f"{n}.jsonl", one) for n, one in (("e", events), ("l", labels))]
    config = tables(
        folder,
        f"jsonl:{folder / 'e.jsonl'}",
        source=KINDS[kind],
        features={"one_hot": [] if "c" in key else ["c"]},
        labels={"source": f"jsonl:{folder / 'l.jsonl'}", "key": key, "time": "t", "ttl": 1e6},
        metrics={"names": METRICS[kind], "window": 3},
        model={"hidden": [2]},
        run={"batch_size": size},
    )
    learner = run_in_parts(config, middle)
    if learner is None:
        return
    assert_balanced(folder, learner, 0)
    assert learner.records == sum(counts)
    figures = learner.labels.figures
    assert figures["matched"] + figures["expired"] + figures["pending"] == figures["predictions"]
    assert (
        figures["matched"] + figures["duplicates"] + figures["orphans"] + figures["early"]
        == figures["labels"]
    )
    refused = learner.rejects.counts["refused"]
    assert learner.test.learnt == figures["matched"] - refused
    assert learner.rejects.accepted + refused == figures["predictions"] + figures["labels"]
