"""A broker that goes away for a while, and comes back with what it had."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

from tests.brokers import DURABLE, Broker
from tests.chaos.asking import ask, figure
from tests.chaos.part import Figures, Part
from tests.chaos.streams import fill_topic, lost_and_doubled, send
from tests.runs import assert_same, kept, start

SECONDS = (0, 1, 5, 15)

HALF = 500
"""Records before the outage, and after."""


def outage(folder: Path, random: Random, *, seconds: int) -> Figures:
    """Stop the broker below a run that has caught up, start it again, and send more."""
    with Broker(DURABLE, folder) as broker:
        url, changes = fill_topic(broker, HALF, random)
        topic = url.rpartition("/")[2]
        changes["run"] = {"batch_size": 10}
        changes["metrics"] = {"port": 0}
        cut, whole = folder / "cut", folder / "whole"
        with start(cut, url, **changes) as process:
            process.until(lambda: figure(process, "records_total") == HALF)
            broker.stop()
            time.sleep(seconds)
            alive = ask(process, "/livez")
            assert alive[0] == 200, alive
            assert figure(process, "records_total") == HALF
            broker.start()
            back = time.monotonic()
            send(broker, topic, HALF, random)
            process.until(lambda: figure(process, "records_total") > HALF)
            recovery = time.monotonic() - back
            process.until(lambda: figure(process, "records_total") == 2 * HALF)
            process.signal(signal.SIGTERM)
            end = time.monotonic()
            assert process.wait() == 0, process.err.read_text()
            end = time.monotonic() - end
            assert end < 10, f"it took {end:.1f} s to end"
        with start(whole, url, "--limit", str(2 * HALF), **changes) as process:
            assert process.wait() == 0, process.err.read_text()
    lost, doubled = lost_and_doubled(cut, whole)
    assert (lost, doubled) == (0, 0)
    assert_same(kept(cut), kept(whole))
    return {
        "records": 2 * HALF,
        "lost": lost,
        "doubled": doubled,
        "weights": "identical",
        "seconds from the broker's answer to the next record learnt": round(recovery, 1),
        "seconds from SIGTERM to exit 0": round(end, 1),
    }


def parts() -> Iterator[Part]:
    """Yield the parts of this module."""
    for seconds in SECONDS:
        name = f"down for {seconds} s" if seconds else "restarted at once"
        yield Part("Broker stopped and started", name, partial(outage, seconds=seconds))
