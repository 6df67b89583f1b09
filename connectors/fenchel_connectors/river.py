"""The source that reads River's bundled data sets and its generators.

The import of River's data sets also imports scikit-learn and pandas. That takes longer than all
other imports of a run. The functions of this module therefore import River only when a source is
opened.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from fenchel_connectors.iterable import IterableSource
from fenchel_stream.errors import ConfigError
from fenchel_stream.streams.source import Batch, Position, Source

if TYPE_CHECKING:
    from river.datasets.base import Dataset


class RiverSource(Source):
    """Rows of a River data set, or of a generator of `river.datasets.synth`.

    The target is the column `target`. If a data set has several targets, each is a column. The
    label of a record is its number (``Phishing:17``). Nothing is ever downloaded.

    Parameters
    ----------
    address
        ``Phishing``, or ``synth.SEA?variant=1&seed=3&n=10000``. The parameters are those of the
        class in River, and `n`, the number of records. A generator without `n` has no end. Seeds
        default to 0, so that every run sees the same stream.

    Raises
    ------
    ConfigError
        River has no such data set, it must be downloaded first, or a parameter is wrong.

    Notes
    -----
    A position is the number of records before the next one. A resumed run generates these records
    again and skips them.

    Examples
    --------
    >>> from fenchel_connectors import RiverSource
    >>> source = RiverSource("synth.SEA?variant=1&seed=3&n=5")
    >>> [batch.rows["target"].to_list() for batch in source.batches(3)]
    [[False, True, False], [True, True]]
    """

    def __init__(self, address: str) -> None:
        from river.datasets.base import RemoteDataset  # noqa: PLC0415 - see above

        name, _, query = address.partition("?")
        self._make = _find(name)
        self._parameters = _parameters(name, self._make, query)
        self._limit = self._parameters.pop("n", None)
        if self._limit is not None and (type(self._limit) is not int or self._limit < 0):
            raise ConfigError(f"river:{address}: n must be a number of records")
        try:
            dataset = self._dataset()
        except (TypeError, ValueError, LookupError) as error:
            raise ConfigError(f"river:{address}: {error}") from error
        if isinstance(dataset, RemoteDataset) and not dataset.is_downloaded:
            raise ConfigError(
                f"river:{name} is not bundled with River and would need the network; download it "
                f"once by running: python -c 'from river import datasets; "
                f"datasets.{name}().download()'"
            )
        self._samples: int | None = dataset.n_samples
        self._source = IterableSource(self._records, name=name.removeprefix("synth."))

    def batches(self, size: int, position: Position | None = None) -> Iterator[Batch]:
        """Yield batches of at most `size` records, from `position` or from the start.

        Raises
        ------
        CheckpointError
            `position` is not one of this data set.
        """
        return self._source.batches(size, position)

    @property
    def total(self) -> int | None:
        """Number of records; None for a generator without end."""
        known = [count for count in (self._samples, self._limit) if count is not None]
        return min(known, default=None)

    def _dataset(self) -> Dataset:
        dataset: Dataset = self._make(**self._parameters)
        return dataset

    def _records(self) -> Iterable[Any]:
        # A new object each time: a generator may keep the state of its random numbers.
        dataset = self._dataset()
        return dataset if self._limit is None else dataset.take(self._limit)


def _find(name: str) -> type[Dataset]:
    from river import datasets  # noqa: PLC0415 - see above
    from river.datasets import synth  # noqa: PLC0415

    known = {
        **{key: getattr(datasets, key) for key in datasets.__all__ if key[0].isupper()},
        **{f"synth.{key}": getattr(synth, key) for key in synth.__all__},
    }
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ConfigError(f"river: River has no data set {name!r}{hint}")
    dataset: type[Dataset] = known[name]
    return dataset


def _parameters(name: str, make: type[Dataset], query: str) -> dict[str, Any]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        raise ConfigError(f"river:{name}?{query}: write parameters as a=1&b=2") from error
    known = inspect.signature(make).parameters
    for key, _ in pairs:
        if key != "n" and key not in known:
            raise ConfigError(
                f"river:{name}: unknown parameter {key!r}; known: {', '.join(['n', *known])}"
            )
    seeds = {key: 0 for key in known if key.startswith("seed")}
    return seeds | {key: _value(text) for key, text in pairs}


def _value(text: str) -> Any:
    if text in {"true", "True", "false", "False"}:
        return text in {"true", "True"}
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
