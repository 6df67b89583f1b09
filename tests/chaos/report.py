"""The report: a table for each group of parts."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import Any

from fenchel_stream.checkpoint.manifest import versions


def report(
    results: list[dict[str, Any]], left: list[str], command: str, machine: str
) -> Iterator[str]:
    """Yield the lines of the report on some results, and on what is left to do."""
    failed = [one for one in results if "failed" in one]
    minutes = sum(one["seconds"] for one in results) / 60
    seeds = ", ".join(map(str, sorted({one["seed"] for one in results})))
    dates = ", ".join(sorted({one["date"] for one in results}))
    known = ", ".join(f"{name} {version}" for name, version in versions().items())
    yield "# Chaos\n"
    yield f"`{command}`, seed {seeds}, {dates}, {machine}, {platform.system()};"
    yield f"{known}.\n"
    yield f"{len(results)} parts, {minutes:.0f} minutes of work in all, {len(failed)} failed."
    yield "Labels are noisy, so that a batch learnt twice shows.\n"
    if left:
        yield f"Not run yet: {'; '.join(left)}.\n"
    for group in dict.fromkeys(one["group"] for one in results):
        yield f"## {group}\n"
        lines = [one for one in results if one["group"] == group]
        keys = list(dict.fromkeys(key for one in lines for key in one.get("figures", {})))
        yield _line("", *keys, "seconds", "commit")
        yield _line(*["---"] * (len(keys) + 3))
        for one in lines:
            values = [_spell(one.get("figures", {}).get(key, "failed")) for key in keys]
            yield _line(one["name"], *values, str(one["seconds"]), one["commit"])
        totals = [_total(lines, key) for key in keys]
        if len(lines) > 1 and any(totals):
            yield _line("**all**", *totals, "", "")
        yield ""


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _total(lines: list[dict[str, Any]], key: str) -> str:
    values = [one.get("figures", {}).get(key) for one in lines]
    return f"**{sum(values):,}**" if all(type(value) is int for value in values) else ""


def _spell(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,}"
