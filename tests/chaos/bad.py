"""One record in a hundred cannot be learnt: it is set aside once, and changes nothing else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

import polars as pl

from fenchel_stream.checkpoint import CheckpointStore
from fenchel_stream.cli.dlq import content_of
from fenchel_stream.runner.config import parse
from fenchel_stream.runner.learner import Learner
from fenchel_stream.streams.source import Batch
from tests.brokers import DURABLE, Broker
from tests.chaos.kills import KILLS, RECORDS, kill_often
from tests.chaos.part import Figures, Part
from tests.connectors.test_dead_letters import BAD
from tests.connectors.test_kafka_sink import committed
from tests.runs import kept, read_lines, rows, start, tables

BATCH = 10

BAD_RECORDS = RECORDS // 100


def bad_records(folder: Path, random: Random, *, name: str) -> Figures:
    """Kill a run whose topic holds bad records, and look at all that it has made of them.

    What it has learnt is compared with that of a run that nobody killed, and with the good records
    learnt from memory, where there never was a bad one.
    """
    data = rows(RECORDS, random.randrange(2**32))
    kinds = dict(zip(random.sample(range(RECORDS), BAD_RECORDS), cycle(BAD), strict=False))
    with Broker(name, folder) as broker:
        events = broker.topic(partitions=2)
        broker.send(
            events,
            [
                {
                    "value": BAD[kinds[n]][0] if n in kinds else json.dumps(row).encode(),
                    "key": f"k{n}".encode(),
                    "partition": n % 2,
                }
                for n, row in enumerate(data)
            ],
        )
        places = [f"{events}:{n % 2}:{n // 2}" for n in range(RECORDS)]
        letters, predictions = broker.topic(), broker.topic()
        server = f"kafka://{broker.bootstrap}"
        url = f"{server}/{events}"
        changes: dict[str, Any] = {
            "source": {"options": {"deterministic": True}},
            "run": {"batch_size": BATCH, "limit": RECORDS},
            "checkpoint": {"every": 2},
        }
        whole, cut = folder / "whole", folder / "cut"
        with start(whole, url, **changes) as process:
            assert process.wait() == 0, process.err.read_text()
        output = {"rejects": f"{server}/{letters}", "predictions": f"{server}/{predictions}"}
        kill_often(cut, url, random, **changes, output=output)
        letters_sent = committed(broker, letters, BAD_RECORDS)
        published = committed(broker, predictions, RECORDS - BAD_RECORDS)
    expected = {places[n]: (BAD[kind][1], BAD[kind][0] or None) for n, kind in kinds.items()}
    assert {one["where"]: (one["reason"], content_of(one)) for one in letters_sent} == expected
    for one, other in zip(published, read_lines(whole / "predictions.jsonl"), strict=True):
        assert one["where"] == other["where"]
        assert one["probabilities"] == other["probabilities"]
    outcomes = Counter(one["where"] for one in [*letters_sent, *published])
    assert outcomes == Counter(places)
    ours, its = kept(cut), kept(whole)
    assert ours.arrays == its.arrays
    assert ours.state == its.state
    good = [None if n in kinds else row for n, row in enumerate(data)]
    assert ours.arrays == _learn(folder / "good", url, good, changes)
    return {
        "records": RECORDS,
        "bad ones": BAD_RECORDS,
        "of kinds": str(len(set(kinds.values()))),
        "kills": KILLS,
        "dead letters": len(letters_sent),
        "bad ones learnt": sum(one["where"] in expected for one in published),
        "lost": (Counter(places) - outcomes).total(),
        "doubled": (outcomes - Counter(places)).total(),
        "weights": "identical",
    }


def _learn(
    folder: Path, url: str, data: list[dict[str, Any] | None], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """Learn what is not None, in the batches in which it came, and return the arrays."""
    learner = Learner(parse(tables(folder, url, **changes)))
    for begin in range(0, len(data), BATCH):
        good = [row for row in data[begin : begin + BATCH] if row is not None]
        learner._learn(Batch(pl.DataFrame(good), [""] * len(good), {}))
    with CheckpointStore(folder / "checkpoints") as store:
        store.save(learner._state(), {"outputs": {}})
    return kept(folder).arrays


def parts() -> Iterator[Part]:
    """Yield one for each broker."""
    for name in (DURABLE, "tansu"):
        yield Part("One record in a hundred is bad", name, partial(bad_records, name=name))
