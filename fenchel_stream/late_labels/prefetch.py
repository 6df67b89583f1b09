"""The batches of one source, read ahead of whoever takes them."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Condition, Thread
from typing import Any

from fenchel_stream.streams.source import Batch, LiveSource, Position, Source

CLOSING = 10.0
"""Seconds that a source may take to let go."""


class Ahead:
    """A source that can be asked whether it has a batch now.

    A file is read when it is asked. A source that waits for more is read in a thread of its own,
    the only one that touches it, so that another source need not wait with it.

    Parameters
    ----------
    source, size, position
        As for `Source.batches`.
    waits
        Whether the source may wait for more.
    turn
        Hears of all that changes.

    Attributes
    ----------
    head
        The next batch; None where there is none yet, or no more.
    ended
        There are no more.
    position
        Where the source goes on after all that was taken.
    """

    def __init__(
        self, source: Source, size: int, position: Position | None, waits: bool, turn: Condition
    ) -> None:
        self.source = source
        self.position = position
        self.head: Batch | None = None
        self.ended = False
        # A source that cuts its batches by offsets alone must also come in an order of its own.
        self._strict = bool(getattr(source, "deterministic", False))
        self._batches = iter(source.batches(size, position))
        self._quiet = False  # it has said that there is nothing for now
        # A live source's first word may be where it begins, before it has looked for anything.
        self._placed = not isinstance(source, LiveSource)
        self._error: BaseException | None = None
        self._saved: Position | None = None
        self._closing = False
        self._turn = turn
        self._thread = Thread(target=self._read, name="ahead", daemon=True) if waits else None
        if self._thread is not None:
            self._thread.start()

    def look(self) -> None:
        """Read on, if that is done here."""
        if self._thread is None and not self._held():
            self.head = next(self._batches, None)
            self.ended = self.head is None

    @property
    def known(self) -> bool:
        """Whether there is a batch, or none for now, or no more.

        Raises
        ------
        Exception
            What the source has raised in its thread.
        """
        self._raise()
        return self._held() or (self._quiet and not self._strict)

    @property
    def begun(self) -> bool:
        """Whether it is known where reading begins.

        Raises
        ------
        Exception
            What the source has raised in its thread.
        """
        self._raise()
        return self._placed or self.position is not None

    def take(self) -> Batch:
        """Remove and return the next batch."""
        with self._turn:
            if (batch := self.head) is None:
                raise LookupError("there is no batch")
            self.head, self._quiet = None, False
            self.position = batch.position
            self._turn.notify_all()
            return batch

    def saved(self, position: Position) -> None:
        """Tell the source that a checkpoint has everything before `position`."""
        with self._turn:
            self._saved = position
            self._turn.notify_all()

    def close(self) -> None:
        """Let the source go."""
        with self._turn:
            self._closing = True
            self._turn.notify_all()
        if self._thread is None:
            _close(self._batches)
        elif isinstance(self.source, LiveSource):
            self._thread.join(CLOSING)  # the others may wait for ever

    def _raise(self) -> None:
        """Raise what the source has raised in its thread, if anything."""
        if self._error is not None:
            raise self._error

    def _read(self) -> None:
        try:
            while self._pause():
                batch = next(self._batches, None)
                with self._turn:
                    self._put(batch)
                    self._turn.notify_all()
        except BaseException as error:  # noqa: BLE001 - it is raised where the batches are taken
            with self._turn:
                self._error = error
                self._turn.notify_all()
        finally:
            _close(self._batches)

    def _put(self, batch: Batch | None) -> None:
        if batch is None:
            self.ended = True
        elif batch.where or batch.rejects:
            self.head = batch
        else:
            self._quiet, self.position = self._placed, batch.position
        self._placed = True

    def _pause(self) -> bool:
        """Wait until another batch is wanted; return False when none will be."""
        while True:
            with self._turn:
                self._turn.wait_for(lambda: not self._held() or self._saved or self._closing)
                position, self._saved = self._saved, None
            if position is not None and isinstance(self.source, LiveSource):
                self.source.saved(position)
            elif self._closing:
                return False
            elif not self._held():
                return True

    def _held(self) -> bool:
        return self.head is not None or self.ended


def _close(batches: Iterator[Batch] | Any) -> None:
    close = getattr(batches, "close", None)
    if close is not None:
        close()
