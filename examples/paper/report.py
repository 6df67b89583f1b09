"""The table and the picture of a figure, from its finished runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator

from examples.paper.run_log import Entry, Figure

Runs = Sequence[dict[str, Any]]


def write_report(figure: Figure, runs: Runs, folder: Path, command: str) -> str:
    """Write ``figureN.md`` and ``figureN.png``, and return the table."""
    shown = [
        (name, entry, chosen)
        for name, entry in figure.entries.items()
        if (chosen := longest(runs, name, entry))
    ]
    table = _table(figure, shown)
    counted = [run for _, _, chosen in shown for run in chosen]
    dates = sorted({run["date"] for run in counted})
    machines = ", ".join(sorted({run["machine"] for run in counted}))
    about = (
        f"# Figure {figure.number}: {figure.title}\n\n{table}\n\n"
        f"Test accuracy after the last {figure.unit}, mean over seeds (± standard deviation); "
        f"{max(run['rows'] for run in counted):,} training images. "
        f"Goal for ours, top-down: {figure.goal:.3f}.\n"
        f"{' to '.join(sorted({dates[0], dates[-1]}))}, {machines}; seconds are wall-clock, "
        "other work on the machine included.\n\n"
        f"    {command}\n"
    )
    (folder / f"figure{figure.number}.md").write_text(about)
    _draw(figure, shown, folder / f"figure{figure.number}.png")
    return table


def longest(runs: Runs, learner: str, entry: Entry) -> list[dict[str, Any]]:
    """Return the runs of a learner, as it is set now, with the most rows and passes, by seed."""
    own = [r for r in runs if (r["learner"], r["settings"]) == (learner, entry.written)]
    most = max(((run["rows"], run["passes"]) for run in own), default=None)
    return [run for run in own if (run["rows"], run["passes"]) == most]


def _table(figure: Figure, shown: Sequence[tuple[str, Entry, Runs]]) -> str:
    unit = figure.unit
    lines = [
        f"| learner | {unit}s | seeds | test accuracy | the paper | seconds per {unit} |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, entry, runs in shown:
        last = [run["accuracy"][-1] for run in runs]
        spread = f" ± {np.std(last, ddof=1):.4f}" if len(last) > 1 else ""
        count = f"{runs[0]['passes']}"
        if runs[0]["passes"] < entry.passes:
            count += f" of {entry.passes}"
        seconds = np.median([second for run in runs for second in run["seconds"]])
        paper = "" if entry.paper is None else f"{entry.paper:.3f}"
        lines.append(
            f"| {name} | {count} | {len(runs)} | {np.mean(last):.4f}{spread} | {paper} "
            f"| {seconds:.1f} |"
        )
    return "\n".join(lines)


def _draw(figure: Figure, shown: Sequence[tuple[str, Entry, Runs]], path: Path) -> None:
    """Draw mean curves with the range over seeds, and the paper's last values as marks."""
    drawing, ax = plt.subplots(figsize=(7.0, 5.2), layout="constrained")
    right = max(runs[0]["passes"] for _, _, runs in shown)
    ends, least = [], 1.0
    for number, (name, _, runs) in enumerate(shown):
        curves = np.array([run["accuracy"] for run in runs])
        passes, mean = np.arange(1, curves.shape[1] + 1), curves.mean(axis=0)
        alone = "o" if len(passes) == 1 else None
        ax.plot(passes, mean, color=f"C{number}", marker=alone, label=f"{name}: {mean[-1]:.4f}")
        least = min(least, curves.min())
        ax.fill_between(passes, curves.min(0), curves.max(0), color=f"C{number}", alpha=0.2, lw=0)
        ends.append(mean[-1])
    papers = {number: entry.paper for number, (_, entry, _) in enumerate(shown) if entry.paper}
    ends += papers.values()
    low, high = min(ends), max(ends)
    bottom = min(low, least) - 0.005
    if len(ends) > 2:  # where many curves differ, which is near their ends
        bottom = max(bottom, low - 0.6 * (high - low) - 0.005)
    ax.set_ylim(max(bottom, 0.0), min(high + 0.15 * (high - low) + 0.002, 1.0))
    beside: list[float] = []
    for number, value in papers.items():
        # Beside the axis, and beside each other where the paper gives the same value or nearly.
        near = sum(abs(value - other) < 0.03 * (high - low) for other in beside)
        beside.append(value)
        style: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "clip_on": False}
        ax.plot([1.02 + 0.025 * near], [value], "<", ms=7, color=f"C{number}", **style)
    ax.set_xlim(1 if right > 1 else 0, right)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel(figure.unit)
    ax.set_ylabel("test accuracy")
    ax.set_title(f"{figure.title} (triangles: the paper's last values)", fontsize=10)
    ax.grid(alpha=0.3)
    drawing.legend(loc="outside lower center", ncols=2, fontsize=9)
    drawing.savefig(path, dpi=150)
    plt.close(drawing)
