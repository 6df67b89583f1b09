"""``python -m tests.chaos``: do all parts that are not done yet, and write the report.

python -m tests.chaos --seed 7 --only csv     parts whose group or name has "csv" in it
python -m tests.chaos --quarter               every fourth part of each group
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tests.chaos import bad, damage, disks, fuzz, groups, kills, outages, saving, slow, stale, steps
from tests.chaos.part import Part, do
from tests.chaos.report import report

MODULES = (kills, steps, bad, outages, groups, stale, slow, disks, saving, damage, fuzz)
REPORT = Path(__file__).with_name("REPORT.md")

ENVIRONMENT = {
    # Beside each other, parts would fight for the cores with threads that gain nothing.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # Whoever is killed does not tidy up.
    "PYTHONWARNINGS": "ignore:resource_tracker:UserWarning",
}


def do_all(parts: dict[Path, Part], seed: int, jobs: int) -> dict[Path, dict[str, Any]]:
    """Do parts, some at once, each in a folder of its own; keep the results of those that went."""
    results = {}
    commit = _commit()
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        doing = {pool.submit(do, part, folder, seed): folder for folder, part in parts.items()}
        try:
            for one in tqdm(as_completed(doing), total=len(doing), unit=" part"):
                result = results[doing[one]] = {**one.result(), "commit": commit}
                if "failed" in result:
                    message = f"{result['group']}, {result['name']}: {result['failed']}"
                    tqdm.write(message, file=sys.stderr)
                else:
                    doing[one].with_suffix(".json").write_text(json.dumps(result))
        finally:
            pool.shutdown(cancel_futures=True)
    return results


def every_fourth(parts: dict[Path, Part]) -> dict[Path, Part]:
    """Return the first part of each group, and every fourth part after it."""
    groups: dict[str, list[tuple[Path, Part]]] = {}
    for folder, part in parts.items():
        groups.setdefault(part.group, []).append((folder, part))
    return dict(item for items in groups.values() for item in items[::4])


def _commit() -> str:
    ask = ("git", "-C", str(REPORT.parent), "rev-parse", "--short", "HEAD")
    return subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()


def main() -> int:
    """Do what is left to do; return 1 if something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="parts whose group or name contains this")
    parser.add_argument("--quarter", action="store_true", help="every fourth part of each group")
    parser.add_argument("--folder", type=Path, default=Path("build/chaos"))
    parser.add_argument("--jobs", type=int, default=2, help="parts that are done at once")
    parser.add_argument("--machine", default="2 shared x86-64 cores", help="for the report")
    options = parser.parse_args()
    os.environ.update(ENVIRONMENT)
    parts = {}
    for part in [part for module in MODULES for part in module.parts()]:
        slug = "".join(c if c.isalnum() else "-" for c in f"{part.group} {part.name}".lower())
        parts[options.folder / f"{options.seed}-{slug}"] = part
    files = {folder: folder.with_suffix(".json") for folder in parts}
    results = {
        folder: json.loads(file.read_text()) for folder, file in files.items() if file.exists()
    }
    chosen = {
        folder: part
        for folder, part in parts.items()
        if options.only in f"{part.group} {part.name}"
    }
    if options.quarter:
        chosen = every_fourth(chosen)
    wanted = {folder: part for folder, part in chosen.items() if folder not in results}
    results |= do_all(wanted, options.seed, options.jobs)
    left = [f"{part.group}, {part.name}" for at, part in parts.items() if at not in results]
    command = "python -m tests.chaos" + (f" --seed {options.seed}" if options.seed else "")
    finished = [results[folder] for folder in parts if folder in results]
    REPORT.write_text("\n".join(report(finished, left, command, options.machine)))
    return int(any("failed" in one for one in finished))


if __name__ == "__main__":
    sys.exit(main())
