"""The progress bar of a run."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any, TypeAlias

from tqdm import tqdm

ProgressBar: TypeAlias = "tqdm[Any]"


class _Bearable:
    """Standard error for a bar, whose fault must not end a run: its disk may be full."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


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
        file=_Bearable(),
        # A log file must not fill up with bars.
        mininterval=0.1 if sys.stderr.isatty() else 10.0,
        disable=not show,
    )
