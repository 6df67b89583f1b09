"""What the learner tells those who watch it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from fenchel_stream.evaluation.prequential import Step
from fenchel_stream.network.report import StepReport
from fenchel_stream.streams.source import open_url

GROUP = "fenchel_stream.monitors"


class Monitor(Protocol):
    """A place where the state of a run can be watched, such as a Prometheus endpoint."""

    def batch(
        self, records: int, step: Step | None, seconds: float, report: StepReport | None
    ) -> None:
        """Tell of a batch: its records, what it brought, and how long it took to learn."""
        ...

    def rejected(self, counts: Mapping[str, int]) -> None:
        """Tell how many records this run has set aside, by reason."""
        ...

    def joined(self, figures: Mapping[str, int]) -> None:
        """Tell how the join of labels to predictions stands, as `LabelJoin.figures` does."""
        ...

    def checkpoint(self, error: Exception | None = None) -> None:
        """Tell that a checkpoint was written, or why it was not."""
        ...

    def turn(self, waits: bool = False) -> None:
        """Tell that the loop asks for the next batch, and whether that may take for ever."""
        ...

    def stop(self) -> None:
        """Tell that the run comes to its end."""
        ...

    def close(self) -> None:
        """Stop serving."""
        ...


def open_monitor(url: str, **options: Any) -> Monitor:
    """Return the monitor that `url` names among the entry points ``fenchel_stream.monitors``.

    Parameters
    ----------
    url
        ``scheme:rest``, for example ``prometheus:127.0.0.1:9109``.
    options
        Passed to the monitor as they are.

    Raises
    ------
    ConfigError
        No installed package provides the scheme, or its address cannot be served.
    """
    monitor: Monitor = open_url(url, GROUP, **options)
    return monitor
