"""``fenchel-stream dlq``: dead letters, mended or as they were, back to where they came from."""

from __future__ import annotations

import argparse
import json
import logging
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.runner.config import load
from fenchel_stream.streams.sink import open_sink
from fenchel_stream.streams.source import open_source

log = logging.getLogger(__name__)

BATCH = 500
WRITER = "dead letters"


def add_to(commands: Any) -> None:
    """Add the command to the parser of the command line."""
    dlq = commands.add_parser("dlq", help="look after dead letters")
    actions = dlq.add_subparsers(required=True, metavar="ACTION")
    text = "send records that were set aside back to a topic or a file, each once"
    replay = actions.add_parser("replay", help=text, description=text)
    replay.add_argument("letters", help="as output.rejects of the run: a file or a topic")
    replay.add_argument("target", help="kafka://host:9092/topic, or a file to write")
    replay.add_argument("--config", type=Path, help="the run's TOML file, for [kafka]")
    replay.add_argument(
        "--reason", action="append", metavar="REASON", help="only letters of this reason"
    )
    replay.add_argument(
        "--patience",
        type=float,
        default=5.0,
        metavar="SECONDS",
        help="a topic of letters ends when nothing came for so long",
    )
    replay.set_defaults(command=_replay)


def _replay(options: argparse.Namespace) -> None:
    kafka = {} if options.config is None else load(options.config).kafka
    found: dict[str, dict[str, Any]] = {}
    for letter in _letters(options.letters, kafka, options.patience):
        # The last word on a record counts: it may have been mended since.
        found[letter["where"]] = letter
    reasons = options.reason or {letter.get("reason") for letter in found.values()}
    chosen = [letter for letter in found.values() if letter.get("reason") in reasons]
    records = [
        {"where": letter["where"], "value": value, "key": letter.get("key")}
        for letter in chosen
        if (value := content_of(letter)) is not None
    ]
    sent = _send(records, options.target, kafka)
    print(
        f"{len(found)} letters: {sent} records sent, {len(records) - sent} were there already, "
        f"{len(chosen) - len(records)} have no content, {len(found) - len(chosen)} not asked for"
    )


def content_of(letter: dict[str, Any]) -> bytes | None:
    r"""Return the bytes of the record in a dead letter: ``mended`` if there, or as they were.

    Examples
    --------
    >>> from fenchel_stream.cli.dlq import content_of
    >>> content_of({"raw": "{", "mended": {"a": 1}}), content_of({"raw": "?", "base64": "/w=="})
    (b'{"a": 1}', b'\xff')
    """
    if (mended := letter.get("mended")) is not None:
        return (mended if isinstance(mended, str) else json.dumps(mended)).encode()
    if "base64" in letter:
        return b64decode(letter["base64"])
    return None if letter.get("cut") or not letter["raw"] else str(letter["raw"]).encode()


def _client(url: str, kafka: dict[str, Any]) -> dict[str, Any]:
    return {"client": kafka} if url.startswith("kafka:") and kafka else {}


def _letters(url: str, kafka: dict[str, Any], patience: float) -> Iterator[dict[str, Any]]:
    source = open_source(url if ":" in url else f"jsonl:{url}", **_client(url, kafka))
    batches = source.batches(BATCH)
    last = time.monotonic()
    try:
        for batch in batches:
            if batch.where or batch.rejects:
                last = time.monotonic()
            elif time.monotonic() - last > patience:
                return
            for reject in batch.rejects:
                log.warning("%s: no dead letter (%s)", reject.where, reject.reason)
            for where, original in zip(batch.where, batch.originals or [], strict=True):
                letter = json.loads(original)
                if not isinstance(letter.get("where"), str) or "raw" not in letter:
                    raise DataError(f"{where}: no dead letter: it names no where and raw")
                yield letter
    finally:
        getattr(batches, "close", lambda: None)()


def _send(records: list[dict[str, Any]], url: str, kafka: dict[str, Any]) -> int:
    """Send records that are not there yet, and return how many those were."""
    if not url.startswith("kafka:"):
        return _write(records, Path(url.removeprefix("jsonl:")))
    sink = open_sink(url, key="key", value="value", writer=WRITER, **_client(url, kafka))
    try:
        # What was sent before is found in the topic itself: nothing else knows it for sure.
        sink.truncate({**sink.position, "offsets": {}, "ahead": []})
        before = set(sink.position["ahead"])
        sink.write(records)
        sink.flush()
    finally:
        sink.close()
    return sum(record["where"] not in before for record in records)


def _write(records: list[dict[str, Any]], path: Path) -> int:
    """Write a file of all the records at once, whatever was there."""
    beside = path.with_name(f"{path.name}.new")
    try:
        beside.write_bytes(b"".join(record["value"] + b"\n" for record in records))
        beside.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
    return len(records)
