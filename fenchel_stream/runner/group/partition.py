"""The learner of one part of a stream, in a process of its own."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from pathlib import Path

from fenchel_stream.checkpoint.disk import Lock
from fenchel_stream.errors import FenchelStreamError
from fenchel_stream.runner.config import Config
from fenchel_stream.runner.learner import Learner

log = logging.getLogger(__name__)

CLAIM = ".claim"
STOPS = {signal.SIGINT, signal.SIGTERM}


class Part:
    """A part that this process has taken, until `collect` says that it is given up.

    The claim to it is held by this process and by the learner's, so that it ends only when both
    have, however they do.

    Parameters
    ----------
    name
        Of the part.
    config
        Of its learner.
    folder
        Where its checkpoints are.

    Attributes
    ----------
    released
        Its learner has been asked to end.
    code
        How it ended: the exit code, None before.

    Raises
    ------
    CheckpointError
        Another process has it.
    """

    def __init__(self, name: str, config: Config, folder: Path) -> None:
        self.name = name
        self.released = False
        self.code: int | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._claim = Lock(folder, CLAIM, attempts=1)
        # Forked: a new interpreter would need seconds to import all that is here already.
        self._process = multiprocessing.get_context("fork").Process(
            target=_learn, args=(name, config), name=name
        )
        # What asks this process to stop must not be lost in one that is not ready to hear it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def release(self) -> None:
        """Ask the learner to finish its batch, write a checkpoint and end."""
        if not self.released:  # a second signal would break that off
            self.released = True
            self._process.terminate()

    def collect(self) -> bool:
        """Give the part up if its learner has ended, and return whether that is so."""
        if self._process.is_alive():
            return False
        self.code = self._process.exitcode
        if self.released and self.code == -signal.SIGTERM:
            self.code = 0  # it had not begun
        self._process.join()
        self._process.close()
        self._claim.release()
        return True


def _learn(name: str, config: Config) -> None:
    for number in STOPS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    # Whoever started it may be killed: then nobody would ask it to end.
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
