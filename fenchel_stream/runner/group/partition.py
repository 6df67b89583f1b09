"""The learner of one partition of a stream, in a process of its own."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from pathlib import Path

from fenchel_stream.checkpoint.disk import FOLDER, Lock
from fenchel_stream.errors import FenchelStreamError
from fenchel_stream.runner.config import Config
from fenchel_stream.runner.learner import Learner

log = logging.getLogger(__name__)

CLAIM = ".claim"
STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM}


class Partition:
    """A partition that this process owns, until `collect` returns True.

    This process and the process of the learner share a lock, the claim to the partition. The claim
    ends only when both have given it up or have ended, even if they were killed.

    Parameters
    ----------
    name
        Name of the partition.
    config
        Configuration of its learner.
    folder
        Directory of its checkpoints.

    Attributes
    ----------
    released
        Whether its learner has been asked to end.
    code
        Exit code of its learner; None while it runs.

    Raises
    ------
    CheckpointError
        Another process owns the partition.
    """

    def __init__(self, name: str, config: Config, folder: Path) -> None:
        self.name = name
        self.released = False
        self.code: int | None = None
        folder.mkdir(FOLDER, parents=True, exist_ok=True)
        self._claim = Lock(folder, CLAIM, attempts=1)
        # Forked, because a new interpreter needs seconds for the imports.
        self._process = multiprocessing.get_context("fork").Process(
            target=_learn, args=(name, config), name=name
        )
        # A signal that arrives before the child has its handlers must not be lost.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def release(self) -> None:
        """Ask the learner to finish its batch, write a checkpoint and end."""
        if not self.released:  # a second signal would interrupt the checkpoint
            self.released = True
            self._process.terminate()

    def collect(self) -> bool:
        """Return whether the learner has ended; if it has, give up the partition."""
        if self._process.is_alive():
            return False
        self.code = self._process.exitcode
        if self.released and self.code == -signal.SIGTERM:
            self.code = 0  # the signal came before the learner had its handlers
        self._process.join()
        self._process.close()
        self._claim.release()
        return True


def _learn(name: str, config: Config) -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    # If the parent is killed, no other process would ask the learner to end.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        log.info("%s: %s", name, Learner(config).run())
    except FenchelStreamError as error:
        log.error("%s: %s", name, error)
        sys.exit(error.exit_code)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
