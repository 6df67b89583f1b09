"""That saving changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

from fenchel_stream.checkpoint import CheckpointStore
from fenchel_stream.runner.config import parse
from fenchel_stream.runner.learner import Learner
from tests.chaos.part import Figures, Part
from tests.chaos.streams import make_file
from tests.runs import kept, learn, tables


def save_often(folder: Path, random: Random, *, delay: int) -> Figures:
    """Learn with a checkpoint after every batch and with none; compare all that was learnt."""
    url = make_file("csv", folder, 3000, random)
    often, never = folder / "often", folder / "never"
    run = {"delay": delay}
    learn(often, url, run=run, checkpoint={"every": 1})
    settings = tables(never, url, run=run)
    del settings["checkpoint"]
    learner = Learner(parse(settings))
    learner.run()
    with CheckpointStore(never / "checkpoints") as store:
        meta = {"outputs": {}, "records": learner.records, "seconds": 0}
        store.save(learner._state(), meta)
    one, other = kept(often), kept(never)
    assert one.arrays == other.arrays
    assert one.state == other.state
    assert one.files == other.files
    assert one.meta["records"] == other.meta["records"]
    saves = int(CheckpointStore(often / "checkpoints").list()[-1].name)
    return {"records": learner.records, "checkpoints": saves, "weights": "identical"}


def parts() -> Iterator[Part]:
    """Yield the parts of this module."""
    for delay in (0, 37):
        run = partial(save_often, delay=delay)
        yield Part("A checkpoint after every batch, and none", f"delay {delay}", run)
