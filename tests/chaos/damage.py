"""Every bit of a checkpoint flipped, every file of it cut off everywhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

from fenchel_stream.checkpoint import CheckpointStore
from fenchel_stream.checkpoint.manifest import NAME as MANIFEST
from fenchel_stream.checkpoint.manifest import read_manifest, verify_files
from fenchel_stream.errors import CheckpointError
from tests.chaos.part import Figures, Part
from tests.chaos.streams import make_file
from tests.runs import learn

FILES = ("arrays.npz", MANIFEST, "state.json")


def damage(folder: Path, random: Random, *, name: str) -> Figures:
    """Damage one file of a real checkpoint in every way of a kind; each must be detected."""
    url = make_file("csv", folder, 60, random)
    # A small network: what is tried grows with the square of a file.
    learn(folder, url, model={"hidden": [2]}, metrics={"names": ["Accuracy"], "window": 5})
    checkpoint = CheckpointStore(folder / "checkpoints").verify().path
    path = checkpoint / name
    content = path.read_bytes()
    missed = 0
    # Read once where it stays whole: reading it takes twice as long as looking at the files.
    whole = None if name == MANIFEST else read_manifest(checkpoint)

    def detected() -> bool:
        try:
            # What `CheckpointStore.load` does first.
            verify_files(checkpoint, whole or read_manifest(checkpoint))
        except CheckpointError as error:
            return str(error).startswith(f"{name}: ")
        return False

    descriptor = os.open(path, os.O_RDWR)
    try:
        for bit in range(8 * len(content)):
            os.pwrite(descriptor, bytes([content[bit // 8] ^ 1 << bit % 8]), bit // 8)
            missed += not detected()
            os.pwrite(descriptor, content[bit // 8 : bit // 8 + 1], bit // 8)
        assert not detected(), "the file is not what it was"
        for length in reversed(range(len(content))):
            os.ftruncate(descriptor, length)
            missed += not detected()
    finally:
        os.close(descriptor)
    assert not missed, f"{missed} damages went unseen"
    return {
        "bytes": len(content),
        "bits flipped": 8 * len(content),
        "lengths cut to": len(content),
        "not detected": missed,
    }


def parts() -> Iterator[Part]:
    """Yield the parts of this module."""
    for name in FILES:
        yield Part("Damaged checkpoints", name, partial(damage, name=name))
