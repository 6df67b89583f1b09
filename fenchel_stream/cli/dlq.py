"""``fenchel-stream dlq``: send the records in dead letters back to a topic or a file."""

from __future__ import annotations

import argparse
import json
import logging
import time
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

from fenchel_stream.cli.terminal import show
from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.files import identity
from fenchel_stream.runner.config import Config, load
from fenchel_stream.streams.registry import find_sink, find_source, open_source, sink_file
from fenchel_stream.streams.sink import RawRecord, Sink
from fenchel_stream.streams.source import Source

log = logging.getLogger(__name__)

BATCH = 500


def execute(options: argparse.Namespace) -> None:
    """Replay the letters that the command line names, and print how many were sent."""
    config = None if options.config is None else load(options.config)
    source, target = _letters(options.letters, config), find_sink(options.target)
    file = sink_file(options.target)
    if file is not None and identity(file) in map(identity, source.files):
        raise ConfigError(f"{file} is the file of the letters itself: name another target")
    letters: dict[str, dict[str, Any]] = {}
    for letter in _read(source, options.patience):
        # A record may have several letters. The last counts, because a person may have mended it.
        letters[letter["where"]] = letter
    reasons = options.reason or {letter.get("reason") for letter in letters.values()}
    chosen = [letter for letter in letters.values() if letter.get("reason") in reasons]
    records = [
        RawRecord(letter["where"], value, letter.get("key"))
        for letter in chosen
        if (value := content_of(letter)) is not None
    ]
    sent = target.connector.resend(target.address, records, **_client(config, target.connector))
    show(
        f"{len(letters)} letters: {sent} records sent, "
        f"{len(records) - sent} were at the target already, "
        f"{len(chosen) - len(records)} have no content, "
        f"{len(letters) - len(chosen)} have another reason"
    )


def content_of(letter: dict[str, Any]) -> bytes | None:
    r"""Return the bytes of the record in a dead letter.

    These are the field ``mended`` if the letter has it, and the original record otherwise. None if
    the letter does not hold the whole record.

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


def _client(config: Config | None, connector: type[Source | Sink]) -> dict[str, Any]:
    return {} if config is None else config.client(connector.client_table)


def _letters(url: str, config: Config | None) -> Source:
    url = url if ":" in url else f"jsonl:{url}"
    return open_source(url, **_client(config, find_source(url).connector))


def _read(source: Source, patience: float) -> Iterator[dict[str, Any]]:
    last = None  # until the source is connected
    with source.reading(BATCH) as batches:
        for batch in batches:
            if batch.records or source.outage_seconds or last is None:
                last = time.monotonic()
            elif time.monotonic() - last > patience:
                return
            for reject in batch.rejects:
                log.warning("%s: not a dead letter (%s)", reject.where, reject.reason)
            for where, original in zip(batch.where, batch.originals or [], strict=True):
                letter = json.loads(original)
                if not isinstance(letter.get("where"), str) or "raw" not in letter:
                    raise DataError(
                        f"{where}: not a dead letter: it needs a text `where`, and `raw`"
                    )
                yield letter
