"""Rows that a model refuses, by an exception, to predict or to learn.

A runner names such a row, sets it aside and goes on. `evaluate` raises the exception.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fenchel_stream.errors import CheckpointError, ConfigError, DataError, panics_as_errors

FATAL = (ConfigError, CheckpointError, OSError, MemoryError)
"""Errors that no row is to blame for: they end a run."""


@dataclass(frozen=True)
class Refusal:
    """A row that the model has refused to learn.

    Attributes
    ----------
    where
        The place of the record, as in `Batch.where`; empty if the caller gave none. For a label
        that came on a stream of its own it is the place of the later of event and label.
    row
        The features and the target of the row.
    detail
        What the model said.
    """

    where: str
    row: dict[str, Any]
    detail: str


class RefusedRowsError(DataError):
    """The model refuses to predict some rows. It has learnt none of the batch.

    Attributes
    ----------
    rows
        What the model said, by the number of the row in the batch.
    """

    def __init__(self, rows: dict[int, str]) -> None:
        self.rows = rows
        number, detail = next(iter(rows.items()))
        super().__init__(f"the model refuses {len(rows)} rows; row {number}: {detail}")


def refused_rows(use: Callable[[int], object], count: int) -> dict[int, str]:
    """Use each of `count` rows alone; return what was said of those that were refused, by number.

    Examples
    --------
    >>> from fenchel_stream.evaluation.refusals import refused_rows
    >>> refused_rows(lambda number: 1 / (number - 1), 3)
    {1: 'ZeroDivisionError: division by zero'}
    """
    refused = {}
    for number in range(count):
        try:
            with panics_as_errors():
                use(number)
        except FATAL:
            raise
        except Exception as error:  # noqa: BLE001 - a model may be any code
            refused[number] = spell(error)
    return refused


def spell(error: Exception) -> str:
    """Return an error as text: the message of ours, and the type and message of any other."""
    return str(error) if isinstance(error, DataError) else f"{type(error).__name__}: {error}"
