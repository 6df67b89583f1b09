"""A group of runs that share the partitions of one stream, such as those of a topic.

Each partition has a learner in its own process. The learner has its own model, and its own
checkpoints in a folder of `checkpoint.directory` such as ``partition-3/``. Another member can
therefore take over the partition with its state.

By locks in `checkpoint.directory` the members find each other and agree which member owns which
partition. All members must have access to this directory. A lock ends with the process that holds
it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from fenchel_stream.errors import CheckpointError, ConfigError, FenchelStreamError
from fenchel_stream.runner.build import build_source
from fenchel_stream.runner.config import Config, parse
from fenchel_stream.runner.files import written_files
from fenchel_stream.runner.group.membership import Membership
from fenchel_stream.runner.group.partition import Partition
from fenchel_stream.runner.signals import StopSignals

log = logging.getLogger(__name__)

TICK = 0.1
"""Seconds between two checks of the members and of the learners."""

MEMBERS = ".members"


class Group:
    """One member of a group.

    Parameters
    ----------
    config
        The configuration that all members have.

    Raises
    ------
    ConfigError
        The configuration has no checkpoint directory, or the stream has no partitions.

    Notes
    -----
    When a member joins, members with more than their share release some partitions. The learner of
    such a partition finishes its batch, writes a checkpoint and ends; only then is the partition
    given up. All other learners go on. If a member leaves or dies, members with less than their
    share take its partitions. A member that hangs keeps its partitions until it is ended: a
    partition never has two learners.
    """

    def __init__(self, config: Config) -> None:
        if config.checkpoint is None:
            raise ConfigError(
                "run.group needs [checkpoint]: the members of the group meet in its directory"
            )
        url = config.source.url
        self.config = config
        self.directory = Path(config.checkpoint.directory)
        self.partitions = build_source(config, url, config.source.options).partitions()
        if not self.partitions:
            raise ConfigError(f"run.group: {url} has no partitions to share")
        self._owned: dict[str, Partition] = {}
        self._done: set[str] = set()

    def configs(self) -> dict[str, Config]:
        """Return the configuration of the learner of each partition, by its name."""
        return {name: self._config_of(name, number) for number, name in enumerate(self.partitions)}

    def run(self) -> None:
        """Learn this member's share of the partitions, until a signal or their end.

        Raises
        ------
        LearnerError
            The learner of a partition failed. It has logged the reason.
        """
        with StopSignals() as signals, Membership(self.directory / MEMBERS) as member:
            try:
                while not signals.received and len(self._done) < len(self.partitions):
                    self._collect()
                    self._balance(member.quota(len(self.partitions)))
                    time.sleep(TICK)
            finally:
                self._balance(0)
                while self._owned:
                    self._collect()
                    time.sleep(TICK / 10)

    def _balance(self, quota: int) -> None:
        """Take or release partitions, towards a fair share."""
        for partition in list(self._owned.values())[quota:]:
            partition.release()
        for number, name in enumerate(self.partitions):
            if len(self._owned) < quota and name not in self._done | self._owned.keys():
                self._take(name, number)

    def _take(self, name: str, number: int) -> None:
        try:
            config = self._config_of(name, number)
            self._owned[name] = Partition(name, config, self.directory / name)
        except CheckpointError:
            return  # another member owns it
        log.info("%s: taken", name)

    def _collect(self) -> None:
        """Give up the partitions whose learners have ended."""
        for name, partition in list(self._owned.items()):
            if not partition.collect():
                continue
            del self._owned[name]
            log.info("%s: given up", name)
            if partition.code:
                raise LearnerError(name, partition.code)
            if not partition.released:
                self._done.add(name)

    def _config_of(self, name: str, number: int) -> Config:
        """Return the configuration of the learner of one partition."""
        tables: dict[str, Any] = msgspec.to_builtins(self.config)
        options: Mapping[str, Any] = self.partitions[name]
        tables["source"]["options"] |= options
        if tables["labels"] is not None:
            tables["labels"]["options"] |= options  # a label is in the partition of its event
        tables["run"] |= {"group": False, "progress": False}
        tables["checkpoint"]["directory"] = str(self.directory / name)
        if tables["metrics"]["port"]:
            tables["metrics"]["port"] += 1 + number
        for key, path in written_files(self.config).items():
            _, output = key.split(".")
            tables["output"][output] = str(path.with_stem(f"{path.stem}-{name}"))
        return parse(tables)


class LearnerError(FenchelStreamError):
    """The learner of a partition failed."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__(f"{name}: its learner ended with exit code {code}")
        self.exit_code = max(code, 1)
