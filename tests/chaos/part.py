"""A part of the chaos run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

Figures = Mapping[str, int | float | str]
"""What a part has found, by what it is; the same names for every part of a group."""


@dataclass(frozen=True)
class Part:
    """A piece of work that is done in one go.

    Attributes
    ----------
    group
        Heading of its table in the report.
    name
        Of its line in the table.
    run
        Does it, in an empty folder and with random numbers of its own; fails by AssertionError.
    """

    group: str
    name: str
    run: Callable[[Path, Random], Figures]
