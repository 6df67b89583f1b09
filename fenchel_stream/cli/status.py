"""``fenchel-stream status``: show the progress of a run, read from its checkpoints."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from typing import Any

from fenchel_stream.checkpoint import CheckpointStore
from fenchel_stream.cli.checkpoint import open_store
from fenchel_stream.cli.terminal import show
from fenchel_stream.errors import CheckpointError


def status(store: CheckpointStore) -> dict[str, Any]:
    """Return the figures of a run from its checkpoints, as JSON values.

    Raises
    ------
    CheckpointError
        The directory has no checkpoint, or the newest is damaged.
    """
    info = store.latest()
    if info is None or info.created is None:
        raise CheckpointError(f"{store.directory} holds no checkpoint")
    meta = info.meta
    return {
        "checkpoint": info.name,
        "created": info.created.isoformat(timespec="seconds"),
        "age_seconds": round((datetime.now(UTC) - info.created).total_seconds(), 1),
        **{key: meta.get(key) for key in ("records", "accepted", "rejected")},
        "metrics": meta.get("metrics"),
        **({"labels": meta["labels"]} if "labels" in meta else {}),
        "position": meta.get("position"),
        "checkpoints": [checkpoint.name for checkpoint in store.list()],
        "aliases": store.aliases(),
        "writer": store.writer,
    }


def execute(options: argparse.Namespace) -> None:
    """Print the status of the run whose checkpoint directory the command line names."""
    figures = status(open_store(options.directory))
    if options.json:
        show(json.dumps(figures))
        return
    for key, value in figures.items():
        match value:
            case dict():
                text = ", ".join(f"{name} {_format(figure)}" for name, figure in value.items())
            case list():
                text = ", ".join(map(str, value))
            case _:
                text = _format(value)
        show(f"{key.replace('_', ' '):<12} {text or 'none'}")


def _format(value: Any) -> str:
    match value:
        case None:
            return "none"
        case float():
            return f"{value:,.4g}"
        case int():
            return f"{value:,}"
    return str(value)
