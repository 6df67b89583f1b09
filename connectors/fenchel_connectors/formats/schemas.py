"""The schemas of a topic, fetched in the background and kept by number."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

from fenchel_connectors.formats.format import HEADER
from fenchel_connectors.formats.registry import AwayError, Registry, Schema, UnknownSchemaError

log = logging.getLogger(__name__)

Parser = Callable[[bytes], Any]
"""Makes a row of the bytes that follow the header of a value."""

PAUSES = 0.1, 5.0
"""Seconds between attempts to reach a registry that is away, at first and at most."""

UNKNOWN_FOR = 10.0
"""Seconds until a number that the registry did not know is asked for again: a producer may have
registered its schema with another node of the registry."""


@dataclass(frozen=True)
class Fault:
    """Why nothing can be decoded with a schema, in a word and in detail."""

    reason: str
    detail: str


class UnusableSchemaError(Exception):
    """A schema is none, or holds what cannot become a row."""


class Schemas:
    """What decodes the values of each schema.

    Parameters
    ----------
    registry
        Has the schemas.
    parser
        Makes a parser of a schema. `UnusableSchemaError` says why it cannot.

    Attributes
    ----------
    parsers
        The parser, or the fault, of each header: the magic byte and the number of the schema.
    """

    def __init__(self, registry: Registry, parser: Callable[[Schema], Parser | Fault]) -> None:
        self.registry = registry
        self.parsers: dict[bytes, Parser | Fault] = {}
        self._parser = parser
        self._asked: dict[bytes, float] = {}  # when the registry did not know a header's schema
        self._thread: Thread | None = None
        self._stop = Event()
        self._error: BaseException | None = None
        self._away_since: float | None = None

    @property
    def outage_seconds(self) -> float:
        """For how long the registry has not answered; 0 while it does."""
        since = self._away_since
        return 0.0 if since is None else time.monotonic() - since

    def ready(self, headers: Iterable[bytes]) -> bool:
        """Return at once whether all headers are in `parsers`; if not, fetch what is missing.

        Raises
        ------
        ConfigError
            The registry refuses to answer.
        """
        if self._thread is not None and self._thread.is_alive():
            return False
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        self._forget()
        missing = [header for header in headers if header not in self.parsers]
        if missing:
            self._stop = Event()
            self._thread = Thread(
                target=self._fetch, args=(missing, self._stop), name="schemas", daemon=True
            )
            self._thread.start()
        return not missing

    def close(self) -> None:
        """Stop fetching. The thread ends with the request that is under way."""
        self._stop.set()
        self._thread = None

    def _forget(self) -> None:
        """Drop what the registry did not know long enough ago."""
        now = time.monotonic()
        for header in [one for one, then in self._asked.items() if now - then >= UNKNOWN_FOR]:
            del self._asked[header], self.parsers[header]

    def _fetch(self, headers: Iterable[bytes], stop: Event) -> None:
        unknown: list[bytes] = []
        try:
            for header in headers:
                number = int.from_bytes(header[1:HEADER])
                try:
                    schema = self._wait_for(number, stop)
                    if schema is None:
                        return
                    self.parsers[header] = self._parser(schema)
                except UnknownSchemaError as error:
                    unknown.append(header)
                    self.parsers[header] = Fault("unknown_schema", str(error))
                except UnusableSchemaError as error:
                    self.parsers[header] = Fault("unusable_schema", f"schema {number}: {error}")
        except BaseException as error:  # noqa: BLE001 - it is raised where the rows are wanted
            if not stop.is_set():
                self._error = error
        finally:
            # The time is that of the last answer: else those of a long round would be asked for
            # again before any of them is used.
            self._asked |= dict.fromkeys(unknown, time.monotonic())

    def _wait_for(self, number: int, stop: Event) -> Schema | None:
        """Return the schema, however long the registry is away; None once it has to `stop`."""
        pause, longest = PAUSES
        while not stop.is_set():
            try:
                schema = self.registry.schema(number)
            except AwayError as error:
                if self._away_since is None:
                    self._away_since = time.monotonic()
                    log.warning("%s; schema %d is asked for until it does", error, number)
                stop.wait(pause)
                pause = min(2 * pause, longest)
            except UnknownSchemaError:
                self._returned()
                raise
            else:
                self._returned()
                return schema
        self._away_since = None
        return None

    def _returned(self) -> None:
        if self._away_since is not None:
            log.warning(
                "schema registry %s answers again, after %.0f s",
                self.registry.name,
                self.outage_seconds,
            )
            self._away_since = None
