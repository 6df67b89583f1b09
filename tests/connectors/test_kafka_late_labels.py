"""Events on one topic, their labels on another, and a run that is killed in the middle."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from fenchel_stream.checkpoint import CheckpointStore
from tests.brokers import Broker
from tests.runs import assert_same, kept, learn, read_lines, rows, start

COUNT, SIZE = 600, 20
SECOND = 1000
BEGIN = int(time.time() - 3 * 3600) * SECOND
"""A broker refuses records of a time more than an hour ahead, and deletes those of a week ago."""

Message = dict[str, Any]


def fill(broker: Broker) -> tuple[str, dict[str, Any], int]:
    """Fill two topics; return the URL of the events, the table of the labels, and how many count.

    Labels are noisy, early, late, too late, missing and doubled; some records are broken.
    """
    rng = random.Random(3)
    events: list[Message] = []
    labels: list[Message] = []
    for number, row in enumerate(rows(COUNT)):
        label = {"y": row.pop("y")}
        at, key = BEGIN + 10 * SECOND * number, f"e{number}".encode()
        value = b"{" if number % 37 == 9 else json.dumps(row).encode()
        events.append({"value": value, "key": key, "timestamp_ms": at})
        if number % 29 == 3:
            events.append(events[-1])
        if number % 17 == 5:
            continue
        later = at + SECOND * rng.choice([-40, 5, 90, 300, 900])
        value = b"[]" if number % 41 == 7 else json.dumps(label).encode()
        labels += [{"value": value, "key": key, "timestamp_ms": later}] * (1 + (number % 31 == 4))
    labels.sort(key=lambda one: one["timestamp_ms"])
    # Deterministic batches are full ones, and what comes last waits for what may come before it.
    count = len(events) // SIZE * SIZE
    late = sum(one["timestamp_ms"] < events[count - 1]["timestamp_ms"] for one in labels)
    topics = broker.topic(), broker.topic()
    for topic, made in zip(topics, (events, labels), strict=True):
        broker.send(topic, made)
    url = f"kafka://{broker.bootstrap}/"
    table = {"source": url + topics[1], "ttl": 400.0, "options": {"deterministic": True}}
    return url + topics[0], table, count + late // SIZE * SIZE - 2 * SIZE


def assert_conserved(figures: dict[str, int]) -> None:
    assert figures["matched"] + figures["expired"] + figures["pending"] == figures["predictions"]
    names = ("matched", "duplicates", "orphans", "early")
    assert sum(figures[name] for name in names) == figures["labels"]


def test_a_killed_run_ends_as_one_that_was_not(broker: Broker, tmp_path: Path) -> None:
    url, labels, limit = fill(broker)
    changes: dict[str, Any] = {
        "labels": labels,
        "source": {"options": {"deterministic": True}},
        "checkpoint": {"every": 2, "keep": 100},
        "run": {"batch_size": SIZE, "limit": limit},
    }
    learn(tmp_path / "whole", url, **changes)
    whole = kept(tmp_path / "whole")
    figures = whole.meta["labels"]
    for name in ("matched", "expired", "pending", "repeated", "duplicates", "early"):
        assert figures[name] > 0, name
    rng = random.Random(0)
    done, cut = 0, tmp_path / "cut"
    for _ in range(3):
        with start(cut, url, **changes) as process:
            process.checkpoint_after(done + 1 + rng.randrange(limit // 5))
            process.signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        done = kept(cut).meta["records"]
        assert done < limit
    with start(cut, url, **changes) as process:
        assert process.wait() == 0, process.err.read_text()
    for info in CheckpointStore(cut / "checkpoints").list():
        if "labels" in info.meta:
            assert_conserved(info.meta["labels"])
    assert_same(kept(cut), whole)
    places = [one["where"] for one in read_lines(cut / "predictions.jsonl")]
    assert len(places) == len(set(places)) == figures["predictions"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_both_topics_go_on_where_they_were_when_the_first_run_began(
    number: signal.Signals, broker: Broker, tmp_path: Path
) -> None:
    broker.needs("end offsets")
    events, labels = broker.topic(), broker.topic()
    url, store = f"kafka://{broker.bootstrap}/", CheckpointStore(tmp_path / "checkpoints")
    latest = {"start": "latest"}
    changes: dict[str, Any] = {
        "labels": {"source": url + labels, "options": latest},
        "source": {"options": latest},
    }

    def send(first: int) -> None:
        for n, row in enumerate(rows(20), first):
            key, label = f"e{n}".encode(), {"y": row.pop("y")}
            broker.send(events, [json.dumps(row).encode()], key=key)
            broker.send(labels, [json.dumps(label).encode()], key=key)

    send(0)
    with start(tmp_path, url + events, **changes) as process:
        process.until(lambda: (last := store.latest()) and last.meta["position"])
        process.signal(number)
        assert process.wait() in {0, -signal.SIGKILL}
    send(20)
    learn(tmp_path, url + events, **changes, run={"limit": 40})
    assert kept(tmp_path).meta["labels"]["matched"] == 20
