"""A part of the chaos run."""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

Figures = Mapping[str, int | float | str]
"""The results of a part by name. All parts of a group have the same names."""


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


def do(part: Part, folder: Path, seed: int) -> dict[str, Any]:
    """Do a part and return its result; if it failed, what it printed stays in its folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    begin = time.monotonic()
    result: dict[str, Any] = {"group": part.group, "name": part.name, "seed": seed}
    with (folder / "log").open("w") as log, redirect_stdout(log), redirect_stderr(log):
        try:
            result["figures"] = dict(part.run(folder, Random(f"{seed} {part.group} {part.name}")))
        except Exception:  # noqa: BLE001 - one that fails must not keep the others from running
            result["failed"] = traceback.format_exc()
    result["seconds"] = round(time.monotonic() - begin, 1)
    result["date"] = f"{datetime.now(UTC):%Y-%m-%d}"
    if "failed" not in result:
        shutil.rmtree(folder)
    return result
