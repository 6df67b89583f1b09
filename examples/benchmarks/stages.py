"""Where the CPU seconds of a run go, by stage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Stages:
    """CPU seconds by stage, each without those of the stages that it calls.

    Parameters
    ----------
    watched
        What belongs to a stage, by its name: owners of functions (classes or modules), each with
        the name of one.

    Attributes
    ----------
    seconds
        Of each stage, in the thread that ran it.

    Examples
    --------
    >>> import json
    >>> from examples.benchmarks.stages import Stages
    >>> stages = Stages({"decode": [(json, "loads")]})
    >>> with stages.measured():
    ...     json.loads("[1]")
    [1]
    >>> list(stages.seconds)
    ['decode']
    """

    def __init__(self, watched: dict[str, list[tuple[Any, str]]]) -> None:
        self.watched = watched
        self.seconds = dict.fromkeys(watched, 0.0)
        self._within: list[float] = []  # seconds of the stages that each open one has called

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measure for as long as this lasts."""
        before = []
        for stage, functions in self.watched.items():
            for owner, name in functions:
                before.append((owner, name, getattr(owner, name)))
                setattr(owner, name, self._timed(stage, getattr(owner, name)))
        try:
            yield
        finally:
            for owner, name, function in before:
                setattr(owner, name, function)

    def _timed(self, stage: str, function: Any) -> Any:
        def timed(*arguments: Any, **named: Any) -> Any:
            begin = time.thread_time()
            self._within.append(0.0)
            try:
                return function(*arguments, **named)
            finally:
                spent = time.thread_time() - begin
                self.seconds[stage] += spent - self._within.pop()
                if self._within:
                    self._within[-1] += spent

        return timed
