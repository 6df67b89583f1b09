"""Crafted checkpoints: each is one error, or a run that goes on; no process dies of one.

python -m tests.chaos.fuzz SUBJECT SEED COUNT    a part alone, for whoever looks for a fault
"""

from __future__ import annotations

import re
import resource
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from river import stats
from river.dummy import StatisticRegressor

from fenchel_stream.checkpoint import CheckpointStore
from fenchel_stream.cli import main
from tests.chaos.part import Figures, Part
from tests.crafting import Crafter
from tests.late_labels.test_late_labels import write
from tests.runs import learn, rows, start, write_jsonl

LEARNT, ALL = 60, 100
MEMORY, SECONDS = 2 << 30, 120
"""What a process may take beside the memory that it has from the start."""

SHARES, INPUTS = 3, 600
"""Parts of each subject, and inputs of each part: about an hour in all."""

Make = Callable[[Path], dict[str, Any]]


def plain(**changes: Any) -> Make:
    """Return what makes a stream of JSON lines and says how to learn it."""

    def make(folder: Path) -> dict[str, Any]:
        return {"url": write_jsonl(folder / "data.jsonl", rows(ALL)), **changes}

    return make


def late(folder: Path) -> dict[str, Any]:
    """Make a stream whose labels come on another."""
    return {"url": f"jsonl:{folder / 'events.jsonl'}", "output": {}, **write(folder, ALL)}


def rolling() -> StatisticRegressor:
    """Return a model whose state is a window in a compiled object."""
    return StatisticRegressor(stats.RollingIQR(window_size=20))


NUMBERS: dict[str, Any] = {
    "source": {"target": "b", "kind": "regression"},
    "features": {"one_hot": ["c", "y"]},
    "metrics": {"names": ["MAE", "RMSE"], "window": 9},
}
FOREST = {"factory": "river.forest:ARFClassifier", "n_models": 2, "seed": 1}
COMPILED = {"names": ["Accuracy", "RollingROCAUC", "RollingPRAUC"], "window": 20}

SUBJECTS: dict[str, Make] = {
    "our classifier, labels that come later": plain(run={"delay": 15}),
    "our regressor": plain(**NUMBERS),
    "labels on a stream of their own": late,
    "a forest of River's": plain(source={"positive": "yes"}, model=FOREST, metrics=COMPILED),
    "a quantile of River's": plain(
        **NUMBERS,
        model={"factory": "tests.chaos.fuzz:rolling"},
    ),
}


def confined(arguments: list[str]) -> int:
    """Run the command line with bounds of memory and of time."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(SECONDS)
    checkpoints = Path(arguments[1]).parent / "checkpoints"
    for ask in (["checkpoint", "list"], ["checkpoint", "verify"], ["status"], ["status", "--json"]):
        main([*ask, str(checkpoints)])
    main(["check", arguments[1]])
    code = main(arguments)
    main(["checkpoint", "rollback", str(checkpoints), max(map(str, checkpoints.glob("0*")))[-8:]])
    return code


def fuzz(folder: Path, random: Random, *, make: Make, count: int) -> Figures:
    """Craft checkpoints and start runs from them; what is accepted must learn the rows left."""
    good, work = folder / "good", folder / "work"
    work.mkdir()
    changes = make(folder)
    url = changes.pop("url")
    limited = {**changes, "run": {**changes.get("run", {}), "limit": LEARNT}}
    learn(work, url, **limited)
    work.rename(good)
    crafter, outcomes, faults = Crafter(random), Counter[str](), {}
    for number in range(count):
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(good, work)
        checkpoint = max((work / "checkpoints").glob("0*"))
        # The first is not changed: it shows that the others are refused for what was changed.
        done = crafter.change(checkpoint) if number else []
        with start(work, url, command=confined, **changes) as process:
            code = process.wait()
        said = process.err.read_text()
        accepted, refused = code == 0, code in (2, 3, 4)
        outcomes["accepted" if accepted else "refused" if refused else "fault"] += 1
        if not (accepted or (refused and done)) or "Traceback" in said:
            last = re.sub(r"\d+", "0", (said.strip().splitlines() or [""])[-1])[:200]
            if (code, last) not in faults:
                faults[code, last] = done
                shutil.copytree(work, folder / f"fault {number}", dirs_exist_ok=True)
    CheckpointStore(good / "checkpoints").verify()
    assert not faults, "\n".join(f"{fault}: {done}" for fault, done in faults.items())
    return {
        "inputs": count,
        "refused": outcomes["refused"],
        "learnt on": outcomes["accepted"],
        "died otherwise": outcomes["fault"],
    }


def parts() -> Iterator[Part]:
    """Yield the parts of this module."""
    for name, make in SUBJECTS.items():
        for share in range(1, SHARES + 1):
            run = partial(fuzz, make=make, count=INPUTS)
            yield Part("Crafted checkpoints", f"{name}, {share}", run)


if __name__ == "__main__":
    subject, seed, inputs = sys.argv[1:4]
    chosen = next(made for name, made in SUBJECTS.items() if subject in name)
    where = Path(sys.argv[4]) if len(sys.argv) > 4 else None
    with TemporaryDirectory() as temporary:
        print(fuzz(Path(temporary), Random(seed), make=chosen, count=int(inputs)))  # noqa: T201
