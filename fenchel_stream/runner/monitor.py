"""The contract of a monitor, which shows the state of a run while it goes on.

Read this module to write a monitor of your own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from fenchel_stream.errors import ConfigError

if TYPE_CHECKING:
    from fenchel_stream.evaluation.prequential import Step
    from fenchel_stream.network.report import StepReport

GROUP = "fenchel_stream.monitors"


class Monitor(ABC):
    """A place where the state of a run can be seen, such as a Prometheus endpoint."""

    @abstractmethod
    def batch(
        self, records: int, step: Step | None, seconds: float, report: StepReport | None
    ) -> None:
        """Show a batch.

        Parameters
        ----------
        records
            Number of records read, rejected records included.
        step
            The result of the batch; None if none of its records could be learnt.
        seconds
            Time to predict, score and learn the batch.
        report
            The network's report on the batch; None if the model is not a Fenchel network.
        """

    @abstractmethod
    def rejected(self, counts: Mapping[str, int]) -> None:
        """Show the numbers of records that this run has set aside, by reason."""

    @abstractmethod
    def joined(self, figures: Mapping[str, int]) -> None:
        """Show the counts of the join of late labels, see `LabelJoin.figures`."""

    @abstractmethod
    def checkpoint(self, error: Exception | None = None) -> None:
        """Show that a checkpoint was written, or the error that prevented it."""

    @abstractmethod
    def turn(self, waits: bool = False, outage: float = 0.0) -> None:
        """Show that the loop turns.

        Parameters
        ----------
        waits
            The next batch may never come.
        outage
            Seconds for which a server that the run needs has been away.
        """

    @abstractmethod
    def stop(self) -> None:
        """Show that the run is about to end."""

    @abstractmethod
    def close(self) -> None:
        """Release the port and other resources."""


class NullMonitor(Monitor):
    """The monitor of a run that shows nothing."""

    def batch(
        self, records: int, step: Step | None, seconds: float, report: StepReport | None
    ) -> None:
        pass

    def rejected(self, counts: Mapping[str, int]) -> None:
        pass

    def joined(self, figures: Mapping[str, int]) -> None:
        pass

    def checkpoint(self, error: Exception | None = None) -> None:
        pass

    def turn(self, waits: bool = False, outage: float = 0.0) -> None:
        pass

    def stop(self) -> None:
        pass

    def close(self) -> None:
        pass


def open_monitor(port: int, host: str, **options: Any) -> Monitor:
    """Return a running Prometheus exporter, which an installed package provides.

    Parameters
    ----------
    port, host
        Where to listen.
    options
        Further options of the exporter.

    Raises
    ------
    ConfigError
        No installed package provides the exporter, or it cannot listen.
    """
    for point in entry_points(group=GROUP, name="prometheus"):
        monitor: Monitor = point.load()(port, host, **options)
        return monitor
    raise ConfigError("metrics.port: no installed package provides a Prometheus exporter")
