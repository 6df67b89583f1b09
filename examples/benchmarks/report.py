"""What the suite found, as tables and plots."""

from __future__ import annotations

import json
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from scipy import stats

from examples.benchmarks.streams import STREAMS

KEYS = ("stream", "model", "setting", "batch", "seed", "rows", "half")
OURS = "fenchel-stream"

Best = dict[str, dict[str, dict[str, Any]]]
"""For each stream and model the best setting, averaged over the seeds."""


def read(path: Path) -> list[dict[str, Any]]:
    """Return the results in a file of JSON lines; of those that were repeated the latest.

    Where a model's package was not installed nothing was measured, and it is tried anew.
    """
    lines = path.read_text().splitlines() if path.exists() else []
    results = [one for one in map(json.loads, lines) if not _absent(one)]
    return list({tuple(map(result.get, KEYS)): result for result in results}.values())


def _absent(result: dict[str, Any]) -> bool:
    return str(result.get("error", "")).startswith(("ImportError", "ModuleNotFoundError"))


def write(results: list[dict[str, Any]], folder: Path) -> None:
    """Write ``suite.md`` and the plots into a folder."""
    text = []
    for rows, half, batch in sorted({(r["rows"], r["half"], r["batch"]) for r in results}):
        here = [r for r in results if (r["rows"], r["half"], r["batch"]) == (rows, half, batch)]
        best = choose(here)
        where = f"the {half} half of each stream" if half else "each stream"
        how = "after every row" if batch == 1 else f"in batches of {batch}"
        text.append(f"## First {rows:,} rows of {where}, learnt {how}\n")
        for group in dict.fromkeys(STREAMS[name].group for name in STREAMS if name in best):
            text += [
                table({n: best[n] for n in STREAMS if n in best and STREAMS[n].group == group}),
                "",
            ]
        for part in filter(None, (summary(best), widest(best), ahead(here))):
            text += [part, ""]
        suffix = f"{rows}-{f'{half}-' if half else ''}{batch}"
        draw_ranks(best, folder / f"suite-ranks-{suffix}.png")
        draw_curves(best, folder / f"suite-curves-{suffix}.png")
    text.append(_provenance(results))
    (folder / "suite.md").write_text("\n".join(text) + "\n")


def choose(results: Iterable[dict[str, Any]]) -> Best:
    """Average over the seeds, and keep the best setting of each model on each stream."""
    runs = defaultdict(list)
    for result in results:
        runs[result["stream"], result["model"], result["setting"]].append(result)
    best: Best = defaultdict(dict)
    for (stream, model, setting), found in runs.items():
        whole = [r for r in found if not r.get("error") and r["learnt"] == r["of"]]
        merged: dict[str, Any] = {"setting": setting, "score": None, "why": ""}
        if len(whole) == len(found):
            merged["score"] = statistics.fmean(r["score"] for r in found)
            merged["curve"] = np.mean([np.array(r["curve"], np.float64) for r in found], axis=0)
            merged["rows_per_s"] = statistics.fmean(r["rows_per_s"] for r in found)
            merged["peak_mb"] = max(r["peak_mb"] for r in found)
        else:
            merged["why"] = next(r.get("error", "time") for r in found if r not in whole)
        if _value(stream, merged) > _value(stream, best[stream].get(model, {"score": None})):
            best[stream][model] = merged
        best[stream].setdefault(model, merged)
    return best


def models_of(best: Best) -> list[str]:
    """Return the models that were run on some stream, in the order in which they come."""
    return list(dict.fromkeys(model for found in best.values() for model in found))


def ranks(best: Best, models: list[str] | None = None) -> dict[str, list[float]]:
    """Return the ranks of models, by default all, on the streams that all of them were run on.

    One that diverged or ran out of time is last; equal scores share their ranks.
    """
    models = models_of(best) if models is None else models
    found: dict[str, list[float]] = {model: [] for model in models}
    for stream, of_stream in best.items():
        if of_stream.keys() >= set(models):
            values = [-_value(stream, of_stream[model]) for model in models]
            for model, rank in zip(models, stats.rankdata(values), strict=True):
                found[model].append(float(rank))
    return found


def table(best: Best) -> str:
    """Return the scores of models and streams, the best of each stream in bold."""
    models = models_of(best)
    columns = [["", *models]]
    for stream, found in best.items():
        first = max(_value(stream, one) for one in found.values())
        column = [stream if _classifies(stream) else f"{stream} (error)"]
        for model in models:
            text = _cell(stream, found[model]) if model in found else ""
            is_best = model in found and _value(stream, found[model]) == first
            column.append(f"**{text}**" if is_best else text)
        columns.append(column)
    # The longer side goes down the page.
    down = len(best) > len(models)
    return _markdown(columns if down else [list(row) for row in zip(*columns, strict=True)])


def summary(best: Best) -> str:
    """Return mean rank, speed and memory of each model."""
    ranked = ranks(best)
    lines = [["model", "mean rank", "first", "rows/s", "peak memory, MB"]]
    for model in sorted(ranked, key=lambda model: statistics.fmean(ranked[model] or [99.0])):
        done = [
            found[model] for found in best.values() if found.get(model, {}).get("score") is not None
        ]
        mean = f"{statistics.fmean(ranked[model]):.2f}" if ranked[model] else ""
        speed = f"{statistics.median(one['rows_per_s'] for one in done):,.0f}" if done else ""
        memory = f"{max(one['peak_mb'] for one in done):,.0f}" if done else ""
        lines.append([model, mean, str(ranked[model].count(1.0)), speed, memory])
    count = len(next(iter(ranked.values())))
    return (
        f"{_markdown(lines)}\n\n"
        f"Ranks, and how often first, over the {count} streams that all of these were run on."
    )


def widest(best: Best) -> str:
    """Return the ranks of those models that were run on every stream, unless all were."""
    models = [model for model in models_of(best) if all(model in found for found in best.values())]
    if not models or models == models_of(best):
        return ""
    ranked = ranks(best, models)
    order = sorted(models, key=lambda model: statistics.fmean(ranked[model]))
    lines = [
        [model, f"{statistics.fmean(ranked[model]):.2f}", str(ranked[model].count(1.0))]
        for model in order
    ]
    head = ["model", "mean rank", "first"]
    return (
        f"Among those that were run on all {len(best)} streams, in how many each is first:\n\n"
        f"{_markdown([head, *lines])}"
    )


def ahead(results: Iterable[dict[str, Any]]) -> str:
    """Return on how many streams ours is ahead of each setting of the gradient methods.

    So it is where one rate has to do for all streams.
    """
    runs = defaultdict(list)
    for result in results:
        runs[result["model"], result["setting"]].append(result)
    scores = {
        key: {stream: _value(stream, one[key[0]]) for stream, one in choose(found).items()}
        for key, found in runs.items()
    }
    ours = scores.get((OURS, ""), {})
    lines = []
    for (model, setting), theirs in sorted(scores.items()):
        if model.startswith(("Adam", "SGD")) and ours and theirs.keys() >= ours.keys():
            wins = sum(score > theirs[stream] for stream, score in ours.items())
            lines.append([f"{model} ({setting})", f"{wins} of {len(ours)}"])
    head = ["one rate for all streams", f"{OURS} is ahead on"]
    return _markdown([head, *lines]) if lines else ""


def draw_ranks(best: Best, path: Path) -> None:
    """Draw the mean ranks, with the distance below which they may be chance (Nemenyi, 5 %)."""
    ranked = {model: found for model, found in ranks(best).items() if found}
    if len(ranked) < 2:
        return
    means = {model: statistics.fmean(found) for model, found in ranked.items()}
    order = sorted(means, key=means.__getitem__, reverse=True)
    count, streams = len(order), len(ranked[order[0]])
    spread = stats.studentized_range.ppf(0.95, count, np.inf) / 2**0.5
    critical = float(spread * (count * (count + 1) / (6 * streams)) ** 0.5)
    figure, ax = plt.subplots(figsize=(7.0, 1.4 + 0.3 * count), layout="constrained")
    colors = ["C3" if model.startswith(OURS) else "C0" for model in order]
    ax.barh(order, [means[model] for model in order], color=colors)
    for place, model in enumerate(order):
        ax.text(means[model] + 0.08, place, f"{means[model]:.2f}", va="center", fontsize=9)
    first = means[order[-1]]
    ax.axvspan(first, first + critical, color="0.5", alpha=0.2, lw=0, zorder=0)
    ax.set_xlabel("mean rank (1 is best)")
    ax.set_xlim(0, count + 0.5)
    ax.set_title(
        f"{streams} streams; grey: no further from the first than the critical difference",
        fontsize=9,
    )
    figure.savefig(path, dpi=130)
    plt.close(figure)


def draw_curves(best: Best, path: Path) -> None:
    """Draw how each model fared along each stream."""
    names = list(best)
    columns = min(3, len(names))
    height = -(-len(names) // columns)
    figure, axes = plt.subplots(
        height,
        columns,
        figsize=(4.2 * columns, 0.8 + 2.6 * height),
        squeeze=False,
        layout="constrained",
    )
    models = models_of(best)
    colors = plt.get_cmap("tab20").colors  # type: ignore[attr-defined]
    for ax, name in zip(axes.flat, names, strict=False):
        for number, model in enumerate(models):
            one = best[name].get(model)
            if one and one["score"] is not None:
                smooth = _smooth(one["curve"])
                x = np.linspace(0, 100, len(smooth))
                width = 2.2 if model == OURS else 0.9
                color = "black" if model == OURS else colors[number % len(colors)]
                ax.plot(x, smooth, lw=width, color=color, label=model)
        ax.set_title(name, fontsize=10)
        ax.grid(alpha=0.3)
        ax.set_ylabel("accuracy" if _classifies(name) else "absolute error")
    for ax in list(axes.flat)[len(names) :]:
        ax.axis("off")
    for ax in axes[-1]:
        ax.set_xlabel("share of the stream, %")
    handles = {
        label: h
        for ax in axes.flat
        for h, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=columns, fontsize=8
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _smooth(curve: Any) -> Any:
    """Return the mean of five points around each."""
    known = np.nan_to_num(curve, nan=float(np.nanmean(curve)))
    return np.convolve(np.pad(known, 2, "edge"), np.full(5, 0.2), "valid")


def _classifies(stream: str) -> bool:
    return STREAMS[stream].kind == "classification"


def _value(stream: str, one: dict[str, Any]) -> float:
    """Return a score of which more is better."""
    if one["score"] is None:
        return -np.inf
    return float(one["score"] if _classifies(stream) else -one["score"])


def _cell(stream: str, one: dict[str, Any]) -> str:
    if one["score"] is None:
        return {"time": "too slow", "diverged": "diverged"}.get(one["why"], "failed")
    text = f"{one['score']:.3f}" if _classifies(stream) else f"{one['score']:.3g}"
    return f"{text} ({one['setting']})" if one["setting"] else text


def _markdown(lines: list[list[str]]) -> str:
    head, *rest = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([head, re.sub(r"[^|]+", " --- ", head), *rest])


def _provenance(results: list[dict[str, Any]]) -> str:
    def listed(key: str) -> str:
        return ", ".join(sorted({str(r[key]) for r in results}))

    return (
        f"Commits {listed('commit')}; {listed('machine')}; {listed('date')}; "
        f"seeds {listed('seed')}. Rows per second of processor time, predicted and learnt, the "
        "median of the streams; memory beyond what the process has before, the largest. In "
        "brackets the best setting."
    )
