"""A learner that is broken on purpose: it saves weights and positions apart, each atomically.

A kill between the two leaves weights that have learnt more than the position says. Whoever tests
that a run survives must find that this one does not.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fenchel_stream.checkpoint.disk import write
from fenchel_stream.cli import main
from fenchel_stream.runner.learner import Learner
from fenchel_stream.runner.outputs import Marks


class Separate(Learner):
    """Saves a checkpoint first, and then the position in a file of its own."""

    @property
    def file(self) -> Path:
        assert self.config.checkpoint is not None
        return Path(self.config.checkpoint.directory).with_name("position.json")

    def _save(self, must: bool = False) -> bool:
        saved = super()._save(must)
        temporary = self.file.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        write(temporary, json.dumps([self.records, self.position]).encode())
        temporary.replace(self.file)
        return saved

    def _resume(self) -> Marks | None:
        marks = super()._resume()
        if self.file.exists():
            self.records, self.position = json.loads(self.file.read_text())
        return marks


def run_broken(arguments: list[str]) -> int:
    """Run the command line with the broken learner."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fenchel_stream.cli.run.Learner", Separate)
        return main(arguments)
