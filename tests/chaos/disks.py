"""A disk that is full, and one that turns read-only, below a run that goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from fenchel_stream.checkpoint import CheckpointStore
from tests.chaos.asking import ask, figure
from tests.chaos.part import Figures, Part
from tests.chaos.streams import lost_and_doubled
from tests.runs import assert_same, kept, pipe, rows, saved, start, write_jsonl

STEP = 100
"""Records that are sent at once."""

CHANGES: dict[str, Any] = {"metrics": {"port": 0}}


def bad_disk(folder: Path, random: Random) -> Figures:
    """Do what `refuse` does, where any user may mount a disk."""
    inside = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
    directory = folder / "cut" / "checkpoints"
    directory.mkdir(parents=True)
    write_jsonl(folder / "data.jsonl", rows(5 * STEP, random.randrange(2**32)))
    command = (
        f"mount -t tmpfs -o size=1m none {directory} && {sys.executable} -m {__name__} {folder}"
    )
    done = subprocess.run([*inside, command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures: Figures = json.loads(done.stdout)
    return figures


def refuse(folder: Path) -> Figures:
    """Let the disk of the checkpoints refuse them for a while, twice; then resume and compare."""
    cut, whole, data = folder / "cut", folder / "whole", folder / "data.jsonl"
    directory = cut / "checkpoints"
    lines = data.read_text().splitlines(keepends=True)
    sent = 0
    failures = []
    with pipe(folder) as stdin, start(cut, "jsonl:-", stdin=stdin, **CHANGES) as process:

        def send() -> None:
            nonlocal sent
            stdin.write_text("".join(lines[sent : sent + STEP]))
            sent += STEP
            process.until(lambda: figure(process, "records_total") == sent)

        def refused() -> None:
            before, intact = figure(process, "checkpoint_failures_total"), saved(cut)
            send()
            process.until(lambda: figure(process, "checkpoint_failures_total") >= before + 5)
            CheckpointStore(directory).verify()
            assert saved(cut) == intact
            assert ask(process, "/livez")[0] == 200
            failures.append(int(figure(process, "checkpoint_failures_total") - before))

        send()
        process.checkpoint_after(sent)
        filler = directory / "filler"
        with pytest.raises(OSError, match="No space left on device"):
            filler.write_bytes(bytes(2**21))
        refused()
        filler.unlink()
        send()
        process.checkpoint_after(sent)
        # Over itself: the run has its lock open there, which keeps the disk itself writable.
        subprocess.run(["mount", "--bind", directory, directory], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", directory], check=True)
        refused()
        process.signal(signal.SIGTERM)
        code = process.wait()
        assert code == 4, "the last checkpoint must be written"
    subprocess.run(["umount", directory], check=True)
    at = saved(cut)
    for where in (cut, whole):
        with start(where, "jsonl:-", stdin=data) as process:
            assert process.wait() == 0, process.err.read_text()
    lost, doubled = lost_and_doubled(cut, whole)
    assert (lost, doubled) == (0, 0)
    assert_same(kept(cut), kept(whole))
    return {
        "checkpoints refused by a full disk": failures[0],
        "by a read-only one": failures[1],
        "records read meanwhile": 2 * STEP,
        "resumed at record": at,
        "lost": lost,
        "doubled": doubled,
        "weights": "identical",
    }


def parts() -> Iterator[Part]:
    """Yield the parts of this module."""
    yield Part("Disks that refuse", "full, then read-only", bad_disk)


if __name__ == "__main__":
    print(json.dumps(refuse(Path(sys.argv[1]))))  # noqa: T201 - the parent reads it
