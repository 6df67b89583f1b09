"""An owner that was paused, and does not know that another one has gone on in its place."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

from fenchel_stream.checkpoint.disk import Lock
from fenchel_stream.errors import CheckpointError
from tests.brokers import DURABLE, Broker
from tests.chaos.part import Figures, Part
from tests.chaos.streams import fill_topic
from tests.runs import Process, kept, saved, tables, to_toml

OWNERS, RECORDS = 10, 3000

REFUSALS = ("has taken the right to write there", "another process has written")
"""Before it writes, or as it puts its checkpoint into place: told by when it was paused."""


def stale(folder: Path, random: Random) -> Figures:
    """Pause the owner of a checkpoint directory, again and again; take its lock, and go on.

    A lock that was lost stands for a file system of a network, which may forget it.
    """
    home, whole = folder / "home", folder / "whole"
    files = {}
    with Broker(DURABLE, folder) as broker:
        url, changes = fill_topic(broker, RECORDS, random)
        for place in (home, whole):
            place.mkdir()
            files[place] = place / "run.toml"
            # An owner that is paused between its last look at the lock and its write writes once.
            settings = tables(place, url, **changes) | {"output": {}}
            files[place].write_text(to_toml(settings))
        owners = [Process(home, "run", str(files[home]))]
        shut_out = refused = 0
        try:
            for number in range(OWNERS):
                owner = owners[-1]
                at = max(saved(home), 0)
                enough = at + random.randrange(1, RECORDS // OWNERS)
                owner.until(partial(_reached, home, enough))
                owner.signal(signal.SIGSTOP)
                at = saved(home)
                beside = folder / f"{number}"
                beside.mkdir()
                with Process(beside, "run", str(files[home])) as other:
                    assert other.wait() == CheckpointError.exit_code, other.err.read_text()
                shut_out += "is writing checkpoints there" in other.err.read_text()
                (home / "checkpoints" / Lock.NAME).unlink()
                later = folder / f"{number} later"
                later.mkdir()
                owners.append(Process(later, "run", str(files[home])))
                owners[-1].until(partial(_reached, home, at + 1))
                owner.signal(signal.SIGCONT)
                assert owner.wait() == CheckpointError.exit_code, owner.err.read_text()
                error = owner.err.read_text()
                refused += any(words in error for words in REFUSALS)
            assert owners[-1].wait() == 0, owners[-1].err.read_text()
        finally:
            for owner in owners:
                owner.__exit__()
        with Process(whole, "run", str(files[whole])) as process:
            assert process.wait() == 0, process.err.read_text()
    assert (shut_out, refused) == (OWNERS, OWNERS)
    ours, its = kept(home), kept(whole)
    assert ours.arrays == its.arrays
    assert ours.state == its.state
    assert ours.meta == its.meta
    return {
        "owners paused": OWNERS,
        "others refused while its lock stood": shut_out,
        "owners refused once another had written": refused,
        "weights": "identical",
    }


def _reached(folder: Path, records: int) -> bool:
    return saved(folder) >= records


def parts() -> Iterator[Part]:
    """Yield the only one."""
    yield Part("A stale owner", "paused, its lock taken", stale)
