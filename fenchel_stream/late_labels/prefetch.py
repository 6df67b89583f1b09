"""The next batch of one source, fetched before it is needed.

Two sources are read as one by comparing their next batches; see `Interleaved`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from threading import Condition, Thread
from typing import Self

from fenchel_stream.late_labels.timed_batch import TimedBatch
from fenchel_stream.streams.source import Batch, Position, Source

CLOSING = 10.0
"""Seconds that a source may take to release what it holds."""


class Prefetcher:
    """A source that can say whether it has a batch now, from `__enter__` to `__exit__`.

    A file is read by `look`. A source that may wait for records is read in a thread of its own, the
    only thread that uses it, so that another source need not wait too.

    Parameters
    ----------
    source, size, position
        As for `Source.batches`.
    prepare
        Adds the times to each batch, once.
    turn
        A condition that is notified of every change.

    Attributes
    ----------
    head
        The next batch; None if it has not arrived or the source has ended.
    ended
        Whether the source has ended and `head` was taken.
    position
        Where the source resumes after the batches that were taken.
    """

    def __init__(
        self,
        source: Source,
        size: int,
        position: Position | None,
        prepare: Callable[[Batch], TimedBatch],
        turn: Condition,
    ) -> None:
        self.source = source
        self.size = size
        self.position = position
        self.head: TimedBatch | None = None
        self.ended = False
        self._prepare = prepare
        self._quiet = False  # the last batch of the source had no records
        # Whether the source has said where reading begins. A live source says it with its first
        # batch, which has no records.
        self._placed = not source.live
        self._error: BaseException | None = None
        self._saved: Position | None = None
        self._closing = False
        self._turn = turn
        self._reading = ExitStack()
        self._batches: Iterator[Batch] = iter(())
        threaded = source.live or source.waits
        self._thread = Thread(target=self._read, name="prefetch", daemon=True) if threaded else None

    def __enter__(self) -> Self:
        reading = self.source.reading(self.size, self.position)
        self._batches = self._reading.enter_context(reading)
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._turn:
            self._closing = True
            self._turn.notify_all()
        if self._thread is None:
            self._reading.close()
        elif self.source.live:
            self._thread.join(CLOSING)  # any other thread may block for ever

    def look(self) -> None:
        """Fetch the next batch of a source without a thread, if `head` is empty."""
        while self._thread is None and not self._fetched():
            self._put(next(self._batches, None))

    @property
    def known(self) -> bool:
        """Whether the source has a batch, or is known to have none now or to have ended.

        Raises
        ------
        Exception
            The error that the source has raised in its thread.
        """
        self._raise()
        return self._fetched() or (self._quiet and not self.source.deterministic)

    @property
    def begun(self) -> bool:
        """Whether it is known where reading begins.

        Raises
        ------
        Exception
            The error that the source has raised in its thread.
        """
        self._raise()
        return self._placed or self.position is not None

    def take(self) -> TimedBatch:
        """Remove and return the next batch."""
        with self._turn:
            if (batch := self.head) is None:
                raise LookupError("no batch has arrived")
            self.head, self._quiet = None, False
            self.position = batch.position
            self._turn.notify_all()
            return batch

    def saved(self, position: Position) -> None:
        """Tell the source that a checkpoint holds everything before `position`."""
        if self._thread is None:
            self.source.saved(position)
            return
        with self._turn:
            self._saved = position
            self._turn.notify_all()

    def _raise(self) -> None:
        """Raise the error that the source has raised in its thread, if any."""
        if self._error is not None:
            raise self._error

    def _read(self) -> None:
        try:
            with self._reading:
                while self._pause():
                    batch = next(self._batches, None)
                    with self._turn:
                        self._put(batch)
                        self._turn.notify_all()
        except BaseException as error:  # noqa: BLE001 - it is raised where the batches are taken
            with self._turn:
                self._error = error
                self._turn.notify_all()

    def _put(self, batch: Batch | None) -> None:
        if batch is None:
            self.ended = True
        elif batch.records:
            self.head = self._prepare(batch)
        else:
            self._quiet, self.position = self._placed, batch.position
        self._placed = True

    def _pause(self) -> bool:
        """Wait until another batch is wanted; return False when none will be."""
        while True:
            with self._turn:
                self._turn.wait_for(lambda: not self._fetched() or self._saved or self._closing)
                position, self._saved = self._saved, None
            if position is not None:
                self.source.saved(position)
            elif self._closing:
                return False
            elif not self._fetched():
                return True

    def _fetched(self) -> bool:
        """Return whether the next batch has arrived, or the source has ended."""
        return self.head is not None or self.ended
