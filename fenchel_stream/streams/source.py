"""What the learner asks of a stream: batches of rows, each with a position to resume from.

The learner knows no file format and no broker. A *source* is found by the scheme of its URL
(``csv:flights.csv``, ``kafka://host:9092/topic``) among the entry points of the group
``fenchel_stream.sources``, so that any installed package can add one.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any, Protocol, runtime_checkable

import polars as pl

from fenchel_stream.errors import ConfigError

Position = Mapping[str, Any]
"""Where a source goes on after a batch: JSON values only; its meaning is the source's own."""

GROUP = "fenchel_stream.sources"

RAW_LIMIT = 65_536
"""Characters of a rejected record that `Reject.raw` keeps: a broken file can be one huge line."""


@dataclass(frozen=True)
class Reject:
    """A record that is set aside: where it stood, why it cannot be learnt, and what it was.

    Attributes
    ----------
    where
        How a person finds the record, as in `Batch.where`.
    reason
        A word for what is wrong, to count by.
    raw
        The record as text, for people: perhaps cut short, perhaps with replacements.
    detail
        What exactly is wrong.
    original
        The bytes of the record; None where there are none, or the source cannot tell.
    key
        The key that the record had in its topic.
    """

    where: str
    reason: str
    raw: str
    detail: str = ""
    original: bytes | None = None
    key: bytes | None = None


@dataclass(frozen=True)
class Batch:
    """Some consecutive rows of a stream.

    Attributes
    ----------
    rows
        The rows that could be decoded, target columns included, one row per record.
    where
        One label per row of `rows` (``"flights.csv:17"``): how a person finds the record.
    position
        Where the source goes on after this batch.
    rejects
        The records between this batch and the one before that could not be decoded.
    fixed_columns
        Every batch of the stream has these columns (a CSV header says so), so that a column
        that is missing here is missing everywhere.
    keys
        The key of each record beside its value, as text, null where it has none; None if the
        source knows no keys.
    times
        The time of each record beside its value, in seconds since 1970 (Float64), null where it has
        none; None if the source knows no times.
    originals
        The bytes of each record that `rows` was made of, for whoever sets one aside; None if the
        source cannot tell.
    part
        Of several streams that are read as one, which.
    """

    rows: pl.DataFrame
    where: list[str]
    position: Position
    rejects: list[Reject] = field(default_factory=list)
    fixed_columns: bool = False
    keys: pl.Series | None = None
    times: pl.Series | None = None
    originals: Sequence[bytes] | None = None
    part: str = ""


@runtime_checkable
class Source(Protocol):
    """A stream of rows that can be read again from any position it has given out."""

    def batches(self, size: int, position: Position | None = None) -> Iterator[Batch]:
        """Yield batches of at most `size` records, from `position` or from the start.

        A batch counts good and rejected records together, so that batch boundaries depend on
        the stream alone and a resumed run sees the batches that an uninterrupted one sees. A
        source that waits for more yields an empty batch every second or so, by which the run is
        seen to live; one that cannot has an attribute ``waits`` that is true.
        """
        ...

    @property
    def total(self) -> int | None:
        """Number of records if it is cheap to know, for the progress bar."""
        ...


@runtime_checkable
class LiveSource(Source, Protocol):
    """A source without end, such as a topic of a broker.

    While nothing comes, its `batches` yields a batch without records about twice a second, and
    never waits for longer: the runner looks at signals then, and never interrupts it. The first
    batch has no records either: it says where reading begins, which may depend on the moment.
    """

    def saved(self, position: Position) -> None:
        """Hear that everything before `position` is in a checkpoint.

        A failure to pass that on must not end a run: it is logged.
        """
        ...


@runtime_checkable
class PartedSource(Source, Protocol):
    """A source whose records are in parts that can be learnt apart, such as partitions."""

    def parts(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the parts by name, each with the options of a source of that part alone."""
        ...


def open_source(url: str, **options: Any) -> Source:
    """Return the source that `url` names.

    Parameters
    ----------
    url
        ``scheme:rest``, for example ``csv:flights.csv.gz`` or ``river:Phishing``.
    options
        Passed to the source as they are.

    Raises
    ------
    ConfigError
        No installed package provides the scheme, or the source refuses its address or an option.

    Examples
    --------
    >>> from fenchel_stream.streams.source import open_source
    >>> next(open_source("river:Phishing").batches(2)).rows["target"].to_list()
    [True, True]
    """
    source: Source = open_url(url, GROUP, **options)
    return source


def as_source(source: Source | str | Iterable[Any], *, target: str = "target") -> Source:
    """Return a source of what may be one, the URL of one, or a Python iterable.

    Parameters
    ----------
    source
        An iterable is one of pairs ``(x, y)``, of dicts or of frames, or is one frame.
    target
        The column in which the `y` of pairs is put.

    Raises
    ------
    ConfigError
        No installed package provides the scheme of a URL, or sources of iterables.

    Examples
    --------
    >>> from fenchel_stream.streams.source import as_source
    >>> next(as_source([({"a": 1}, "yes")], target="answer").batches(10)).rows.to_dicts()
    [{'a': 1, 'answer': 'yes'}]
    """
    if isinstance(source, str):
        return open_source(source)
    if isinstance(source, Source):
        return source
    for point in entry_points(group=GROUP, name="iterable"):
        wrapped: Source = point.load()(source, target=target)
        return wrapped
    raise ConfigError(
        f"a {type(source).__name__} is no source, and nothing is installed that makes one of it"
    )


def open_url(url: str, group: str, **options: Any) -> Any:
    """Call what the entry point named by the scheme of `url` in `group` stands for."""
    noun = group.rpartition(".")[2].removesuffix("s")
    scheme, colon, rest = url.partition(":")
    found = {point.name: point for point in entry_points(group=group)}
    if not colon or scheme not in found:
        raise ConfigError(f"{noun} {url!r}: {_advice(url, sorted(found))}")
    make = found[scheme].load()
    _, *parameters = inspect.signature(make).parameters.values()
    names = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    for option in options:
        if option not in names and len(names) == len(parameters):
            raise ConfigError(
                f"{noun} {url!r}: unknown option {option!r}; "
                f"{scheme} takes: {', '.join(names) or 'no options'}"
            )
    return make(rest, **options)


def _advice(url: str, known: list[str]) -> str:
    """Return what is wrong with the scheme of `url`, and what may have been meant."""
    listed = f"known schemes: {', '.join(known) or 'none'}"
    scheme, colon, rest = url.partition(":")
    suffix = url.removesuffix(".gz").rpartition(".")[2].replace("ndjson", "jsonl")
    if colon and (near := get_close_matches(scheme, known, 1)):
        return f"did you mean {near[0]}:{rest}? {listed}"
    if not colon and suffix in known:
        return f"did you mean {suffix}:{url}? {listed}"
    if not colon:
        return f"it has no scheme; {listed}"
    return f"nothing is installed for the scheme {scheme!r}; {listed}"
