"""``python -m tests.chaos``: do all parts that are not done yet, and write the report.

python -m tests.chaos --seed 7 --only csv     parts whose group or name has "csv" in it
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from tqdm import tqdm

from fenchel_stream.checkpoint.manifest import versions
from tests.chaos import damage, disks, groups, kills, outages, saving, slow, steps
from tests.chaos.part import Part

MODULES = (kills, steps, outages, groups, slow, disks, saving, damage)
REPORT = Path(__file__).with_name("REPORT.md")


def do(part: Part, folder: Path, seed: int) -> dict[str, Any]:
    """Do a part and return its result, with what it printed if it failed."""
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
    if "failed" not in result:
        shutil.rmtree(folder)
    return result


def report(
    results: list[dict[str, Any]], left: list[str], command: str, machine: str
) -> Iterator[str]:
    """Yield the lines of the report."""
    failed = [one for one in results if "failed" in one]
    minutes = sum(one["seconds"] for one in results) / 60
    seeds = ", ".join(map(str, sorted({one["seed"] for one in results})))
    known = ", ".join(f"{name} {version}" for name, version in versions().items())
    yield "# Chaos\n"
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    yield f"`{command}`, seed {seeds}, {date}, {machine}, {platform.system()};"
    yield f"{known}.\n"
    yield f"{len(results)} parts in {minutes:.0f} minutes of a busy machine, {len(failed)} failed."
    yield "Labels are noisy, so that a batch learnt twice shows.\n"
    if left:
        yield f"Not run yet: {'; '.join(left)}.\n"
    for group in dict.fromkeys(one["group"] for one in results):
        yield f"## {group}\n"
        lines = [one for one in results if one["group"] == group]
        keys = list(dict.fromkeys(key for one in lines for key in one.get("figures", {})))
        yield f"| {' | '.join(['', *keys, 'seconds'])} |"
        yield f"|{' --- |' * (len(keys) + 2)}"
        for one in lines:
            values = [_spell(one.get("figures", {}).get(key, "failed")) for key in keys]
            yield f"| {' | '.join([one['name'], *values, str(one['seconds'])])} |"
        totals = [_total(lines, key) for key in keys]
        if len(lines) > 1 and any(totals):
            yield f"| {' | '.join(['**all**', *totals, ''])} |"
        yield ""


def _total(lines: list[dict[str, Any]], key: str) -> str:
    values = [one.get("figures", {}).get(key) for one in lines]
    return f"**{sum(values):,}**" if all(type(value) is int for value in values) else ""


def _spell(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,}"


def main() -> int:
    """Do what is left to do; return 1 if something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="parts whose group or name contains this")
    parser.add_argument("--folder", type=Path, default=Path("build/chaos"))
    parser.add_argument("--machine", default="2 shared x86-64 cores", help="for the report")
    options = parser.parse_args()
    # Whoever is killed does not tidy up.
    os.environ["PYTHONWARNINGS"] = "ignore:resource_tracker:UserWarning"
    parts = [part for module in MODULES for part in module.parts()]
    results, left = [], []
    for part in tqdm(parts, unit=" part"):
        slug = "".join(c if c.isalnum() else "-" for c in f"{part.group} {part.name}".lower())
        folder = options.folder / f"{options.seed}-{slug}"
        done = folder.with_suffix(".json")
        if done.exists():
            results.append(json.loads(done.read_text()))
        elif options.only in f"{part.group} {part.name}":
            result = do(part, folder, options.seed)
            results.append(result)
            if "failed" in result:
                tqdm.write(f"{part.group}, {part.name}: {result['failed']}", file=sys.stderr)
            else:
                done.write_text(json.dumps(result))
        else:
            left.append(f"{part.group}, {part.name}")
    command = "python -m tests.chaos" + (f" --seed {options.seed}" if options.seed else "")
    REPORT.write_text("\n".join(report(results, left, command, options.machine)))
    return int(any("failed" in one for one in results))


if __name__ == "__main__":
    sys.exit(main())
