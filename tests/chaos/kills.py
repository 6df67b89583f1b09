"""Deaths at random moments."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos.late import late_labels
from tests.chaos.part import Figures, Part
from tests.chaos.steps import STREAMS, Make
from tests.chaos.streams import lost_and_doubled
from tests.runs import assert_same, kept, saved, start

KILLS = 20
"""Deaths of one run."""

RECORDS = 3000
"""Records of its stream."""

ROUNDS = {"csv": 4, "jsonl": 3, "kafka": 4, "late labels": 2}


def at_random_moments(
    folder: Path,
    random: Random,
    *,
    lend: Callable[[Path], AbstractContextManager[Make]],
) -> Figures:
    """Kill a run again and again, whatever it does, and compare it with one that lived."""
    with lend(folder) as make:
        url, changes = make(RECORDS, random)
        whole, cut = folder / "whole", folder / "cut"
        with start(whole, url, **changes) as process:
            assert process.wait() == 0, process.err.read_text()
        early, records = kill_often(cut, url, random, **changes)
    lost, doubled = lost_and_doubled(cut, whole)
    assert (lost, doubled) == (0, 0)
    assert_same(kept(cut), kept(whole))
    return {
        "kills": KILLS,
        "before a new checkpoint": early,
        "records when last killed": records,
        "lost": lost,
        "doubled": doubled,
        "weights": "identical",
    }


def kill_often(folder: Path, url: str, random: Random, **changes: Any) -> tuple[int, int]:
    """Kill a run of `RECORDS` records `KILLS` times, then let it end.

    Returns
    -------
    tuple
        How many lives have left no checkpoint of their own, and how many records had been learnt
        when the last one was ended.
    """
    begin = time.monotonic()
    with start(folder, url, **changes) as process:
        process.checkpoint_after(1)
        patience = time.monotonic() - begin
        process.signal(signal.SIGKILL)
        process.wait()
    early = 0
    for _ in range(KILLS - 1):
        before = conserved(folder)
        # Some lives end before they have done anything; the stream must last for all of them.
        end = time.monotonic() + random.uniform(0, 2 * patience)
        enough = before + random.randrange(2 * RECORDS // KILLS)
        with start(folder, url, **changes) as process:
            while time.monotonic() < end and saved(folder) <= enough:
                time.sleep(random.uniform(0, 0.05))
            process.signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL, process.err.read_text()
        early += conserved(folder) == before
    records = conserved(folder)
    with start(folder, url, **changes) as process:
        assert process.wait() == 0, process.err.read_text()
    return early, records


def conserved(folder: Path) -> int:
    """Return how many records have been learnt; where labels come late, none has gone astray."""
    meta = kept(folder).meta
    if joined := meta.get("labels"):
        waiting_or_done = joined["matched"] + joined["expired"] + joined["pending"]
        assert waiting_or_done == joined["predictions"], joined
    records: int = meta["records"]
    return records


def parts() -> Iterator[Part]:
    """Yield the parts of this module."""
    lenders = STREAMS | {"late labels": late_labels}
    for kind, rounds in ROUNDS.items():
        for number in range(1, rounds + 1):
            run = partial(at_random_moments, lend=lenders[kind])
            yield Part("SIGKILL at random moments", f"{kind}, round {number}", run)
