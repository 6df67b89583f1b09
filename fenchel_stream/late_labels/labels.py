"""How labels reach a run: with their rows, or later on a stream of their own.

`Labels` is the contract of both with the runner. `PromptLabels` is the first case. The second is
`LateLabels` in `fenchel_stream.late_labels.late_labels`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from fenchel_stream.evaluation.prequential import Prequential, Step
    from fenchel_stream.streams.source import Batch, Source
    from fenchel_stream.validation.row_check import CheckedRows, RowCheck


class Labels(ABC):
    """The part of a run that depends on the way in which labels come.

    Attributes
    ----------
    source
        What the run reads.
    targets
        The columns to predict.
    joining
        The columns that only join labels to events.
    """

    source: Source
    targets: list[str]
    joining: set[str]

    @abstractmethod
    def check(self, batch: Batch) -> CheckedRows:
        """Return which rows of a batch can be used, and set the others aside.

        Raises
        ------
        DataError
            A column that is needed does not exist, or its first values are all unusable.
        """

    @abstractmethod
    def step(self, test: Prequential, checked: CheckedRows) -> Step:
        """Predict the rows that are events, then score and learn those whose label is known."""

    @abstractmethod
    def keys(self, batch: Batch, checked: CheckedRows) -> pl.Series | None:
        """Return the key of each row of `checked`; None if the source has no keys."""

    @abstractmethod
    def resume(self) -> None:
        """Note that an earlier run has used this stream."""

    @abstractmethod
    def end(self, stopped: bool) -> None:
        """Warn of faults that only the end of a run shows.

        Parameters
        ----------
        stopped
            Whether a signal has ended the run, so that the stream may have more.

        Raises
        ------
        ConfigError
            The positive class is written in another way than in the stream.
        DataError
            No record of a stream could be used.
        """

    @property
    @abstractmethod
    def notes(self) -> list[str]:
        """Sentences for the summary of the run."""

    @property
    def state(self) -> Mapping[str, Any]:
        """Objects that a checkpoint must keep, by name."""
        return {}

    @property
    def figures(self) -> Mapping[str, int]:
        """Counts for the monitor and the checkpoint."""
        return {}


class PromptLabels(Labels):
    """Labels that come with their rows.

    Parameters
    ----------
    source
        The stream.
    check
        The check of its rows.
    """

    def __init__(self, source: Source, check: RowCheck) -> None:
        self.source = source
        self.targets = check.targets
        self.joining = set()
        self._check = check

    def check(self, batch: Batch) -> CheckedRows:
        checked = self._check(batch)
        self._check.first.look(len(checked.where), [*batch.rejects, *checked.rejects])
        return checked

    def step(self, test: Prequential, checked: CheckedRows) -> Step:
        return test.step(checked.X, checked.y, checked.where)

    def keys(self, batch: Batch, checked: CheckedRows) -> pl.Series | None:
        if batch.keys is None or checked.numbers is None:
            return batch.keys
        return batch.keys[checked.numbers]

    def resume(self) -> None:
        self._check.resumed = True

    def end(self, stopped: bool) -> None:
        if not stopped:
            self._check.first.end()
        self._check.end()

    @property
    def notes(self) -> list[str]:
        return self._check.notes
