"""Finds what a configuration names: sources and sinks by URL, functions by ``module:function``.

Any installed package can add a scheme by an entry point of the group ``fenchel_stream.sources`` or
``fenchel_stream.sinks``. The library itself knows no file format and no broker.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple

from fenchel_stream.errors import ConfigError
from fenchel_stream.streams.sink import Sink
from fenchel_stream.streams.source import Source

SOURCES = "fenchel_stream.sources"
SINKS = "fenchel_stream.sinks"


class Entry(NamedTuple):
    """A parsed URL: its scheme, the class that the scheme names, and the address for that class."""

    scheme: str
    connector: type[Any]
    address: str


def find_source(url: str) -> Entry:
    """Return the class of the source that `url` names, without opening it.

    Raises
    ------
    ConfigError
        No installed package provides the scheme.
    """
    return _find(url, SOURCES, Source)


def find_sink(url: str) -> Entry:
    """Return the class of the sink that `url` names, without opening it.

    A path without a scheme is a file of JSON lines.

    Raises
    ------
    ConfigError
        No installed package provides the scheme.
    """
    return _find(url if ":" in url else f"jsonl:{url}", SINKS, Sink)


def open_source(url: str, **options: Any) -> Source:
    """Return the source that `url` names.

    Parameters
    ----------
    url
        ``scheme:address``, for example ``csv:flights.csv.gz`` or ``river:Phishing``.
    options
        Options of the source.

    Raises
    ------
    ConfigError
        No installed package provides the scheme, or the source refuses its address or an option.

    Examples
    --------
    >>> from fenchel_stream.streams import open_source
    >>> next(open_source("river:Phishing").batches(2)).rows["target"].to_list()
    [True, True]
    """
    source: Source = _open(url, "source", find_source(url), options)
    return source


def open_sink(url: str, **options: Any) -> Sink:
    r"""Return the sink that `url` names.

    Parameters
    ----------
    url
        ``scheme:address``; a path without a scheme is a file of JSON lines.
    options
        Options of the sink.

    Raises
    ------
    ConfigError
        No installed package provides the scheme, or the sink refuses its address or an option.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from fenchel_stream.streams import open_sink
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "predictions.jsonl")
    ...     sink = open_sink(f"jsonl:{path}")
    ...     sink.write([{"where": "flights.csv:2", "prediction": True}])
    ...     sink.close()
    ...     path.read_text()
    '{"where":"flights.csv:2","prediction":true}\n'
    """
    sink: Sink = _open(url, "sink", find_sink(url), options)
    return sink


def as_source(source: Source | str | Iterable[Any], *, target: str = "target") -> Source:
    """Return `source` itself, the source at a URL, or a source that reads a Python iterable.

    Parameters
    ----------
    source
        A `Source`, a URL, or what an iterable source can read: pairs ``(x, y)``, dicts, frames, or
        one frame.
    target
        The column for the `y` of pairs.

    Raises
    ------
    ConfigError
        No installed package provides the scheme of the URL, or a source for iterables.

    Examples
    --------
    >>> from fenchel_stream.streams import as_source
    >>> next(as_source([({"a": 1}, "yes")], target="answer").batches(10)).rows.to_dicts()
    [{'a': 1, 'answer': 'yes'}]
    """
    if isinstance(source, str):
        return open_source(source)
    if isinstance(source, Source):
        return source
    for point in entry_points(group=SOURCES, name="iterable"):
        wrapped: Source = point.load()(source, target=target)
        return wrapped
    raise ConfigError(
        f"a {type(source).__name__} is not a Source, and no installed package wraps iterables"
    )


def sink_file(url: str) -> Path | None:
    """Return the file that a sink at `url` writes; None for standard output and topics.

    Raises
    ------
    ConfigError
        No installed package provides the scheme.

    Examples
    --------
    >>> from fenchel_stream.streams.registry import sink_file
    >>> sink_file("jsonl:p.jsonl"), sink_file("-"), sink_file("kafka://host/topic")
    (PosixPath('p.jsonl'), None, None)
    """
    entry = find_sink(url)
    file: Path | None = entry.connector.file(entry.address)
    return file


def find_function(name: object, key: str) -> Callable[..., Any]:
    """Return the function that the setting `key` names as ``module:function``.

    The module may also stand in the working directory, as for ``python -m``.

    Raises
    ------
    ConfigError
        The name is not of that form, or the function does not exist.

    Examples
    --------
    >>> from fenchel_stream.streams.registry import find_function
    >>> find_function("math:hypot", "model.factory")(3, 4)
    5.0
    """
    module, _, attribute = str(name).partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), attribute)):
        raise ConfigError(f"{key} {name!r} is not of the form module:function")
    if (directory := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, directory)
    try:
        function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{key} {name!r}: {error}") from error
    if not callable(function):
        raise ConfigError(f"{key} {name!r}: {attribute} cannot be called")
    return function


def _find(url: str, group: str, base: type) -> Entry:
    """Load the entry point of `group` that the scheme of `url` names."""
    noun = base.__name__.lower()
    scheme, colon, address = url.partition(":")
    points = {point.name: point for point in entry_points(group=group)}
    if not colon or scheme not in points:
        raise ConfigError(f"{noun} {url!r}: {_advice(url, sorted(points))}")
    connector = points[scheme].load()
    if not (inspect.isclass(connector) and issubclass(connector, base)):
        raise ConfigError(
            f"{noun} {url!r}: {points[scheme].value} is not a subclass of "
            f"{base.__module__}.{base.__name__}"
        )
    return Entry(scheme, connector, address)


def _open(url: str, noun: str, entry: Entry, options: dict[str, Any]) -> Any:
    """Call the class of a connector, after a check of the names of its options."""
    own = list(inspect.signature(entry.connector).parameters.values())
    if not own:
        raise ConfigError(f"{noun} {url!r}: {entry.connector.__name__}() takes no address")
    _, *parameters = own
    names = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    for option in options:
        if option not in names and len(names) == len(parameters):
            raise ConfigError(
                f"{noun} {url!r}: unknown option {option!r}; "
                f"{entry.scheme} takes: {', '.join(names) or 'no options'}"
            )
    try:
        return entry.connector(entry.address, **options)
    except (TypeError, ValueError) as error:  # of a connector in another package
        raise ConfigError(f"{noun} {url!r}: {error}") from error


def _advice(url: str, known: list[str]) -> str:
    """Return what is wrong with the scheme of `url`, and which scheme may be meant."""
    schemes = f"known schemes: {', '.join(known) or 'none'}"
    scheme, colon, address = url.partition(":")
    suffix = url.removesuffix(".gz").rpartition(".")[2].replace("ndjson", "jsonl")
    if colon and (near := get_close_matches(scheme, known, 1)):
        return f"did you mean {near[0]}:{address}? {schemes}"
    if not colon and suffix in known:
        return f"did you mean {suffix}:{url}? {schemes}"
    if not colon:
        return f"it has no scheme; {schemes}"
    return f"no installed package provides the scheme {scheme!r}; {schemes}"
