"""Streams to learn from, each as a run's configuration names it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from tests.brokers import Broker
from tests.runs import WRITERS, read_lines, rows, write_jsonl

Changes = Mapping[str, Any]
"""Tables of a configuration."""


def make_file(kind: str, folder: Path, count: int, random: Random) -> str:
    """Write a file with noisy labels and some bad records, and return its URL."""
    return WRITERS[kind](folder / f"data.{kind}", rows(count, random.randrange(2**32)))


def fill_topic(broker: Broker, count: int, random: Random) -> tuple[str, dict[str, Any]]:
    """Fill a topic of two partitions likewise; return its URL, and how to learn it to its end."""
    topic = broker.topic(partitions=2)
    send(broker, topic, count, random)
    return f"kafka://{broker.bootstrap}/{topic}", {
        "source": {"options": {"deterministic": True}},
        "run": {"batch_size": 10, "limit": count},
        "checkpoint": {"every": 2},
        "kafka": {"group_id": topic},
    }


def send(broker: Broker, topic: str, count: int, random: Random) -> None:
    """Send records to both partitions of a topic in turn."""
    made = broker.folder / f"{topic}.jsonl"
    write_jsonl(made, rows(count, random.randrange(2**32)))
    lines = enumerate(made.read_bytes().splitlines())
    broker.send(topic, [{"value": line, "partition": number % 2} for number, line in lines])


def lost_and_doubled(cut: Path, whole: Path) -> tuple[int, int]:
    """Return how many records of the whole run the cut run has lost, and how many it has twice."""
    records, expected = _records(cut), _records(whole)
    lost = (expected - records).total()
    return lost, (records - expected).total()


def _records(folder: Path) -> Counter[str]:
    """Return how often each record stands in the outputs of a run."""
    files = ("predictions.jsonl", "rejects.jsonl")
    return Counter(record["where"] for name in files for record in read_lines(folder / name))
