"""``fenchel-stream status``: how a run stands, as its checkpoints tell it."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fenchel_stream.checkpoint import CheckpointStore
from fenchel_stream.cli.checkpoint import open_store
from fenchel_stream.errors import CheckpointError


def add_to(commands: Any) -> None:
    """Add the command to the parser of the command line."""
    text = "say how a run stands, as its checkpoints tell it"
    parser = commands.add_parser("status", help=text, description=text)
    parser.add_argument("directory", type=Path, help="as checkpoint.directory of the run")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.set_defaults(command=_status)


def status(store: CheckpointStore) -> dict[str, Any]:
    """Return what the checkpoints of a run tell of it, as JSON values.

    Raises
    ------
    CheckpointError
        There is none, or the newest is damaged.
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
        "checkpoints": [one.name for one in store.list()],
        "aliases": store.aliases(),
        "writer": store.writer,
    }


def _status(options: argparse.Namespace) -> None:
    found = status(open_store(options.directory))
    if options.json:
        print(json.dumps(found))
        return
    for key, value in found.items():
        match value:
            case dict():
                text = ", ".join(f"{name} {_spell(one)}" for name, one in value.items())
            case list():
                text = ", ".join(value)
            case _:
                text = _spell(value)
        print(f"{key.replace('_', ' '):<12} {text or 'none'}")


def _spell(value: Any) -> str:
    match value:
        case None:
            return "none"
        case float():
            return f"{value:,.4g}"
        case int():
            return f"{value:,}"
    return str(value)
