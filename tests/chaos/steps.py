"""Deaths at every step of a checkpoint: before each line that writes, synchronises or renames."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from tqdm import tqdm

import fenchel_connectors
import fenchel_stream
from fenchel_stream.checkpoint import CheckpointStore
from fenchel_stream.cli import main
from fenchel_stream.errors import CheckpointError
from fenchel_stream.runner.learner import Learner
from tests.brokers import DURABLE, Broker
from tests.chaos.control import run_broken
from tests.chaos.part import Figures, Part
from tests.chaos.streams import fill_topic, lost_and_doubled, make_file
from tests.runs import kept, start

WATCHED = (
    *(
        str(Path(package.__path__[0], name))
        for package, names in (
            (fenchel_stream, ("files.py", "checkpoint/store.py", "checkpoint/disk.py",
                              "checkpoint/manifest.py", "checkpoint/contents.py",
                              "checkpoint/numbered.py", "runner/learner.py",
                              "runner/resume.py", "runner/outputs.py")),
            (fenchel_connectors, ("jsonl_sink.py", "kafka/source.py", "kafka/reader.py")),
        )
        for name in names
    ),
    str(Path(__file__).with_name("control.py")),
)  # fmt: skip

for file in WATCHED:
    assert Path(file).is_file(), f"{file}: a file whose lines are watched has moved"

SAVE = 3
"""Which checkpoint of a run is its last: after the one at its beginning, some are quiet."""

SHARES = 4
"""Parts into which the deaths of one kind of stream are divided, to be done one by one."""

Make = Callable[[int, Random], tuple[str, dict[str, Any]]]
"""Makes a stream of so many records; returns its URL, and the tables of a run that learns it."""


def die_in_a_save(arguments: list[str], step: int | None, log: str, command: Any) -> int:
    """Run `command`; before line `step` of a checkpoint die, or else write down all its lines."""
    steps: list[str] = []
    saves = 0
    save = Learner._save

    def trace(frame: Any, event: str, _: Any) -> Any:
        name = frame.f_code.co_filename
        if name not in WATCHED:
            return None
        if event == "line":
            if len(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            steps.append(f"{Path(name).stem}.{frame.f_code.co_name}:{frame.f_lineno}")
        return trace

    def watched(self: Learner, must: bool = False) -> bool:
        nonlocal saves
        saves += 1
        if saves != SAVE:
            return save(self, must)
        sys.settrace(trace)
        try:
            return save(self, must)
        finally:
            sys.settrace(None)
            Path(log).write_text(json.dumps(steps))

    Learner._save = watched  # type: ignore[method-assign]
    code: int = command(arguments)
    return code


def survive(folder: Path, url: str, whole: Path, step: int, command: Any, **changes: Any) -> bool:
    """Die at a step, go on, and return whether nothing tells the run from a whole one."""
    dying = partial(die_in_a_save, step=step, log=str(folder / "steps"), command=command)
    with start(folder, url, command=dying, **changes) as process:
        assert process.wait() == -signal.SIGKILL, process.err.read_text()
    store = CheckpointStore(folder / "checkpoints")
    assert all(store.verify(info.name) for info in store.list())
    with start(folder, url, command=command, **changes) as process:
        assert process.wait() == 0, process.err.read_text()
    same = kept(folder) == kept(whole)
    return same and lost_and_doubled(folder, whole) == (0, 0)


def at_every_step(
    folder: Path,
    random: Random,
    *,
    lend: Callable[[Path], AbstractContextManager[Make]],
    command: Any = main,
    share: int = 0,
    broken: bool = False,
) -> Figures:
    """Die at each step of a checkpoint that falls to a share; broken learners must be caught."""
    with lend(folder) as make:
        # The same records for all shares: what is in a checkpoint decides on its steps.
        url, changes = make(60, Random(SHARES))
        # The one that is watched removes the first.
        changes["checkpoint"] = {"every": 2, "keep": SAVE - 1}
        whole = folder / "whole"
        record = partial(die_in_a_save, step=None, log=str(folder / "steps"), command=command)
        with start(whole, url, command=record, **changes) as process:
            assert process.wait() == 0, process.err.read_text()
        steps = json.loads((folder / "steps").read_text())
        files = {step.partition(".")[0] for step in steps}
        assert {"store", "disk", "manifest", "contents", "numbered"} <= files, "lines have moved"
        wrong: list[str] = []
        chosen = range(share, len(steps), SHARES)
        for step in tqdm(chosen, unit=" deaths"):
            cut = folder / "cut"
            shutil.rmtree(cut, ignore_errors=True)
            try:
                if not survive(cut, url, whole, step, command, **changes):
                    wrong.append(steps[step])
            except CheckpointError as error:
                wrong.append(f"{steps[step]}: {error}")
    if broken:
        assert wrong, "the broken control was not caught"
    else:
        assert not wrong, wrong
    return {
        "deaths": len(chosen),
        "of lines in a checkpoint": str(len(steps)),
        "runs that differ": len(wrong),
    }


@contextmanager
def files(kind: str, folder: Path) -> Iterator[Make]:
    """Lend what makes files to learn."""
    changes = {"run": {"batch_size": 10}, "checkpoint": {"every": 2}}
    yield lambda count, random: (make_file(kind, folder, count, random), changes)


@contextmanager
def topics(name: str, folder: Path) -> Iterator[Make]:
    """Lend what makes topics to learn, on a broker of their own."""
    with Broker(name, folder) as broker:
        yield partial(fill_topic, broker)


STREAMS: dict[str, Callable[[Path], AbstractContextManager[Make]]] = {
    "csv": partial(files, "csv"),
    "jsonl": partial(files, "jsonl"),
    "kafka": partial(topics, DURABLE),
}


def parts() -> Iterator[Part]:
    """Yield the parts of this module."""
    group = "Death before every line of a checkpoint"
    for kind, lend in STREAMS.items():
        for share in range(SHARES):
            run = partial(at_every_step, lend=lend, share=share)
            yield Part(group, f"{kind}, share {share + 1} of {SHARES}", run)
    broken = partial(at_every_step, lend=STREAMS["csv"], command=run_broken, broken=True)
    yield Part("A control that saves weights and positions apart", "must be caught", broken)
