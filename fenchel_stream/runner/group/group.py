"""A group of runs that share the parts of one stream, such as the partitions of a topic.

Each part has a learner of its own, in a process of its own, with a model and checkpoints of its
own (``partition-3/`` below `checkpoint.directory`), so that its state travels with it. The members
of the group find each other, and agree on who has which part, by locks in that directory, which all
of them must see; a lock ends with the process that has it, however that ends.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from fenchel_stream.errors import CheckpointError, ConfigError, FenchelStreamError
from fenchel_stream.runner.config import Config, parse
from fenchel_stream.runner.group.membership import Membership
from fenchel_stream.runner.group.partition import Part
from fenchel_stream.runner.signals import StopSignals
from fenchel_stream.streams.source import PartedSource, open_source

log = logging.getLogger(__name__)

TICK = 0.1
"""Seconds from one look at the group to the next."""

MEMBERS = ".members"


class Group:
    """One member of a group.

    Parameters
    ----------
    config
        What all members have alike.

    Raises
    ------
    ConfigError
        There is no checkpoint directory, or the stream has no parts.

    Notes
    -----
    When a member joins, those that have more than their share stop some parts: each finishes its
    batch, writes a checkpoint and ends, and only then is the part given up; all other parts go on.
    A part that nobody has, because its member left or died, is taken by one that has less than its
    share. A member that hangs keeps its parts until it is ended: there is never a second one.
    """

    def __init__(self, config: Config) -> None:
        if config.checkpoint is None:
            raise ConfigError(
                "run.group needs [checkpoint]: its directory is where the group meets"
            )
        source = open_source(
            config.source.url, **config.source.options, **config.client(config.source.url)
        )
        if not isinstance(source, PartedSource):
            raise ConfigError(f"run.group: {config.source.url} has no parts to share")
        self.config = config
        self.directory = Path(config.checkpoint.directory)
        self.parts = source.parts()
        self._owned: dict[str, Part] = {}
        self._done: set[str] = set()

    def configs(self) -> dict[str, Config]:
        """Return the configuration of the learner of each part, by the part's name."""
        return {name: self._config_of(name, number) for number, name in enumerate(self.parts)}

    def run(self) -> None:
        """Learn this member's share of the parts, until a signal or their end.

        Raises
        ------
        LearnerError
            The learner of a part failed; it has logged why.
        """
        with StopSignals() as stop, Membership(self.directory / MEMBERS) as member:
            try:
                while not stop.came and len(self._done) < len(self.parts):
                    self._collect()
                    self._balance(member.quota(len(self.parts)))
                    time.sleep(TICK)
            finally:
                self._balance(0)
                while self._owned:
                    self._collect()
                    time.sleep(TICK / 10)

    def _balance(self, quota: int) -> None:
        """Take or give up parts, towards a fair share."""
        for part in list(self._owned.values())[quota:]:
            part.release()
        for number, name in enumerate(self.parts):
            if len(self._owned) < quota and name not in self._done | self._owned.keys():
                self._take(name, number)

    def _take(self, name: str, number: int) -> None:
        try:
            self._owned[name] = Part(name, self._config_of(name, number), self.directory / name)
        except CheckpointError:
            return  # another member has it
        log.info("%s: taken", name)

    def _collect(self) -> None:
        """Give up the parts whose learners have ended."""
        for name, part in list(self._owned.items()):
            if not part.collect():
                continue
            del self._owned[name]
            log.info("%s: given up", name)
            if part.code:
                raise LearnerError(name, part.code)
            if not part.released:
                self._done.add(name)

    def _config_of(self, name: str, number: int) -> Config:
        """Return the configuration of the learner of one part."""
        tables: dict[str, Any] = msgspec.to_builtins(self.config)
        options: Mapping[str, Any] = self.parts[name]
        tables["source"]["options"] |= options
        if tables["labels"] is not None:
            tables["labels"]["options"] |= options  # a label is where its event is
        tables["run"] |= {"group": False, "progress": False}
        tables["checkpoint"]["directory"] = str(self.directory / name)
        if tables["metrics"]["port"]:
            tables["metrics"]["port"] += 1 + number
        for output, url in tables["output"].items():
            if not isinstance(url, str) or url == "-":
                continue
            if ":" not in (file := url.removeprefix("jsonl:")):
                path = Path(file)
                tables["output"][output] = str(path.with_stem(f"{path.stem}-{name}"))
        return parse(tables)


class LearnerError(FenchelStreamError):
    """The learner of a part failed."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__(f"{name}: its learner ended with {code}")
        self.exit_code = max(code, 1)
