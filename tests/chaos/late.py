"""A topic of events, and one of labels that come later, twice, or never."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from tests.brokers import DURABLE, Broker
from tests.chaos.steps import Make
from tests.late_labels.test_late_labels import write


@contextmanager
def late_labels(folder: Path) -> Iterator[Make]:
    """Lend what makes both topics, on a broker of their own."""
    with Broker(DURABLE, folder) as broker:
        yield partial(_fill, broker)


def _fill(broker: Broker, count: int, random: Random) -> tuple[str, dict[str, Any]]:
    urls = {}
    made = write(broker.folder, count, random.randrange(2**32))
    for name in ("events", "labels"):
        topic = broker.topic(partitions=2)
        lines = enumerate((broker.folder / f"{name}.jsonl").read_bytes().splitlines())
        broker.send(topic, [{"value": line, "partition": number % 2} for number, line in lines])
        urls[name] = f"kafka://{broker.bootstrap}/{topic}"
    options = {"deterministic": True}
    return urls["events"], {
        "source": {"options": options},
        "labels": made["labels"] | {"source": urls["labels"], "options": options},
        # Both topics hold more, so that neither makes the other wait at its end.
        "run": {"batch_size": 10, "limit": count},
        "checkpoint": {"every": 2},
    }
