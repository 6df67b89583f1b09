"""The progress bar of a run."""

from __future__ import annotations

import sys
from typing import Any, TypeAlias

from tqdm import tqdm

ProgressBar: TypeAlias = "tqdm[Any]"


def progress_bar(total: int | None, done: int, *, show: bool) -> ProgressBar:
    """Return a bar on standard error.

    Parameters
    ----------
    total
        Number of rows at the end; None if it is unknown.
    done
        Number of rows of earlier runs.
    show
        Whether the bar is shown at all.
    """
    return tqdm(
        total=total,
        initial=done,
        unit=" rows",
        unit_scale=True,
        # A log file must not fill up with bars.
        mininterval=0.1 if sys.stderr.isatty() else 10.0,
        disable=not show,
    )
