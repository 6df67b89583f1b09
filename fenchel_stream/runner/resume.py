"""The checkpoints of a run: from which one it resumes, and how a new one is written."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self, TypedDict

import msgspec

from fenchel_stream.checkpoint import CheckpointInfo, CheckpointStore
from fenchel_stream.errors import (
    CheckpointError,
    FenchelStreamError,
    is_panic,
    panics_as_errors,
)
from fenchel_stream.runner.config import Config, difference
from fenchel_stream.runner.outputs import Marks
from fenchel_stream.streams.source import Position

log = logging.getLogger(__name__)


_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Mark(TypedDict):
    """What is in an output at a checkpoint."""

    url: str
    position: dict[str, Any] | None


class _Meta(TypedDict, total=False):
    """What a run stores beside its state, as far as the next run relies on it."""

    identity: dict[str, dict[str, Any]]
    writer: str
    records: _Count
    accepted: _Count
    rejected: dict[str, _Count]
    seconds: float
    position: dict[str, Any] | None
    outputs: dict[str, _Mark]


_NEEDED = ("records", "accepted", "seconds", "position", "outputs")


class Origin(NamedTuple):
    """A checkpoint from which a run resumes, and the directory that holds it."""

    store: CheckpointStore
    info: CheckpointInfo


class RunCheckpoints:
    """The checkpoints of a run; none if the configuration has no table ``[checkpoint]``.

    From `__enter__` to `__exit__` no other process can write to their directory.

    Parameters
    ----------
    config
        The configuration of the run.

    Attributes
    ----------
    store
        The checkpoints; None if the configuration has no table ``[checkpoint]``.

    Examples
    --------
    >>> import tempfile
    >>> from fenchel_stream.runner.config import parse
    >>> from fenchel_stream.runner.resume import RunCheckpoints
    >>> source = {"url": "river:Phishing", "target": "target"}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     config = parse({"source": source, "checkpoint": {"directory": folder}})
    ...     with RunCheckpoints(config) as checkpoints:
    ...         checkpoints.origin()
    ...         checkpoints.save({}, {"records": 100})
    ...         checkpoints.origin().info.name
    '00000001'
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.settings = settings = config.checkpoint
        self.store = (
            None if settings is None else CheckpointStore(settings.directory, settings.keep)
        )

    def __enter__(self) -> Self:
        if self.store is not None:
            self.store.open()
        return self

    def __exit__(self, *error: object) -> None:
        if self.store is not None:
            self.store.close()

    def confirm(self) -> None:
        """Make sure that no other process has taken over the directory.

        Raises
        ------
        CheckpointError
            Another process has taken over.
        """
        if self.store is not None:
            self.store.confirm()

    def due(self, batches: int) -> bool:
        """Return whether a checkpoint is due, this number of batches after the last one."""
        return self.settings is not None and batches % self.settings.every == 0

    def writer(self) -> str:
        """Return the name of the run for its sinks: that of the newest checkpoint, or a new one."""
        newest = self._newest()
        name: str | None = None if newest is None else newest.meta.get("writer")
        return name or uuid.uuid4().hex[:16]

    def origin(self) -> Origin | None:
        """Return the checkpoint from which a run would resume, None if it would begin anew.

        Raises
        ------
        CheckpointError
            The checkpoint was made with other settings, or is damaged.
        """
        if self.store is None or self.settings is None:
            return None
        store, info = self.store, self.own()
        if info is None and self.settings.start is not None:
            start = Path(self.settings.start)
            store = CheckpointStore(start.parent)
            info = store.verify(start.name)
        if info is None:
            return None
        _check(info)
        if different := difference(info.meta.get("identity", {}), self.config.identity()):
            raise CheckpointError(
                f"checkpoint {info.path} was made with {different}: restore the setting, or "
                "choose another checkpoint directory"
            )
        return Origin(store, info)

    def own(self) -> CheckpointInfo | None:
        """Return the newest checkpoint of the run's own directory, if it has learnt a record."""
        newest = self._newest()
        # A run that has learnt no record writes a checkpoint only to test that it can. The next run
        # does not resume from it, because the user may have corrected the configuration.
        return None if newest is None or newest.meta.get("records") == 0 else newest

    def beginning(self) -> Position | None:
        """Return where an earlier run began to read the same streams, if it has learnt nothing.

        None if no run has begun, if it has learnt a record, or if it has read other streams.
        """
        newest = self._newest()
        if newest is None or newest.meta.get("records") != 0:
            return None
        # Other settings may have been corrected since, but a position belongs to one stream.
        same = _urls(newest.meta.get("identity", {})) == _urls(self.config.identity())
        return newest.meta["position"] if same else None

    def first_marks(self) -> Marks:
        """Return the marks of the outputs from the start of an earlier run that learnt nothing."""
        newest = self._newest()
        marks: Marks = {} if newest is None else newest.meta.get("outputs", {})
        return marks

    def load(self, state: Mapping[str, Any]) -> dict[str, Any] | None:
        """Restore `state` from the origin.

        Parameters
        ----------
        state
            Fresh objects by name, which get the stored state.

        Returns
        -------
        meta
            The metadata of the checkpoint; None if the run begins anew. If the origin is in another
            directory, the marks of its outputs are left out, because they belong to another run.
        """
        if self.settings is None or (origin := self.origin()) is None:
            return None
        store, info = origin
        if missing := [name for name in _NEEDED if name not in info.meta]:
            raise CheckpointError(f"checkpoint {info.path} lacks {', '.join(missing)} of a run")
        meta = store.load(state, info.name, allow_pickle=self.settings.allow_pickle)
        own = store is self.store
        log.info(
            "resumed from checkpoint %s after %d records",
            info.name if own else info.path,
            meta["records"],
            extra={"checkpoint": str(info.path), "records": meta["records"]},
        )
        return meta if own else {**meta, "outputs": {}}

    def save(self, state: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
        """Write a checkpoint.

        Raises
        ------
        CheckpointError
            The disk refuses it, or the state cannot be stored.
        """
        if self.store is not None and self.settings is not None:
            meta = {"identity": self.config.identity(), **meta}
            self.store.save(state, meta, allow_pickle=self.settings.allow_pickle)

    def _newest(self) -> CheckpointInfo | None:
        newest = None if self.store is None else self.store.latest()
        if newest is not None:
            _check(newest)
        return newest


@contextmanager
def using_state(untried: bool) -> Iterator[None]:
    """Name what fails while the state of a run is used.

    Parameters
    ----------
    untried
        Whether the state was restored and no batch has been learnt since: it shows here whether
        the state works.

    Raises
    ------
    CheckpointError
        The state is untried, and something failed that is no error of ours.
    DataError
        A library in Rust has given up, which would pass whoever waits for an `Exception`.

    Examples
    --------
    >>> from fenchel_stream.runner.resume import using_state
    >>> with using_state(untried=True):
    ...     {}["weights"]
    Traceback (most recent call last):
    fenchel_stream.errors.CheckpointError: the state that was restored does not work: KeyError:
    'weights': choose another checkpoint, or another directory to start anew
    """
    with panics_as_errors():
        try:
            yield
        except (FenchelStreamError, OSError, MemoryError):
            raise
        except BaseException as error:
            if untried and (is_panic(error) or isinstance(error, Exception)):
                raise CheckpointError(
                    f"the state that was restored does not work: {type(error).__name__}: {error}: "
                    "choose another checkpoint, or another directory to start anew"
                ) from error
            raise


def _check(info: CheckpointInfo) -> None:
    try:
        msgspec.convert(info.meta, _Meta)
    except msgspec.ValidationError as error:
        raise CheckpointError(f"checkpoint {info.path} is not that of a run: {error}") from error


def _urls(identity: Mapping[str, Any]) -> tuple[Any, Any]:
    return identity.get("source", {}).get("url"), identity.get("labels", {}).get("source")
