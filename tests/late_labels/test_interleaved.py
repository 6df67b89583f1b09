"""Two live sources, one slower than the other, are taken in the order of time."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator

import polars as pl
import pytest

from fenchel_stream.late_labels import Interleaved
from fenchel_stream.streams import Batch, Position, Source

COUNT, SIZE = 200, 10
DELAY = 0.2
"""Seconds that the slower one needs to begin: others are far through by then."""


class Records(Source):
    """A live source of records numbered by time, whose first batch says where it begins."""

    live = True

    def __init__(self, delay: float) -> None:
        self.delay = delay

    def batches(self, size: int, position: Position | None = None) -> Iterator[Batch]:
        yield Batch(pl.DataFrame(), [], {"next": 0})
        time.sleep(self.delay)
        for start in range(0, COUNT, SIZE):
            numbers = range(start, start + SIZE)
            where = [f"record {number}" for number in numbers]
            yield Batch(pl.DataFrame({"time": list(numbers)}), where, {"next": start + SIZE})
        while True:
            time.sleep(0.01)
            yield Batch(pl.DataFrame(), [], {"next": COUNT})


@pytest.mark.parametrize("slow", ["events", "labels"])
def test_a_source_that_begins_later_is_waited_for(slow: str) -> None:
    both = Interleaved(
        Records(DELAY * (slow == "events")), Records(DELAY * (slow == "labels")), "time"
    )
    times: list[int] = []
    batches = both.batches(SIZE)
    assert isinstance(batches, Generator)
    while len(times) < 2 * COUNT:
        batch = next(batches)
        if batch.where:
            times += batch.rows["time"].to_list()
    batches.close()
    begins = times[::SIZE]
    assert begins == sorted(begins)
