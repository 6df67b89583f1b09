"""The monitor that serves the figures of a run for Prometheus, and its health."""

from __future__ import annotations

import json
import logging
import platform
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from math import inf, isfinite
from typing import Any, Self

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import choose_encoder

from fenchel_connectors.monitoring.health import Health
from fenchel_connectors.monitoring.http import HttpServer, Page
from fenchel_stream.evaluation.prequential import Step
from fenchel_stream.network.report import StepReport
from fenchel_stream.runner.monitor import Monitor

log = logging.getLogger(__name__)

PREFIX = "fenchel_stream"

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Bounds of the histogram of batch times."""


class PrometheusExporter(Monitor):
    """Serves the state of a run on four paths.

    ``/livez`` and ``/readyz`` answer 200 or 503 with the reason, see `Health`. ``/version`` answers
    JSON. ``/metrics`` answers the figures.

    Counters start at 0 in every process, as Prometheus expects it: a resumed run does not count
    the records of earlier runs. Accuracy over any time is the ratio of two counters,
    ``rate(fenchel_stream_predictions_correct_total[5m]) /
    rate(fenchel_stream_predictions_total[5m])``. All names begin with ``fenchel_stream_``:

    ``records_total``
        Records read, rejected ones included.
    ``predictions_total``, ``predictions_correct_total``
        Predictions whose label has arrived, and those of the right class. A prediction of a
        regressor is never counted as right.
    ``loss_sum_total``
        Sum over the same predictions of the cross-entropy of a classifier with probabilities, or
        of the absolute error of a regressor. Divide by ``predictions_total``.
    ``rejected_total{reason}``, ``checkpoint_failures_total``
        Records that were set aside, and checkpoints that could not be written.
    ``outage_seconds``
        Seconds for which a broker that the run reads from or writes to has been away; 0 otherwise.
    ``label_join{state}``
        If labels come on a stream of their own: numbers of predictions and labels of the whole
        stream that were matched, expired, and so on; see `LabelJoin`.
    ``batch_learn_seconds``
        Histogram of the time to predict, score and learn a batch.
    ``objective``, ``fenchel_divergence{layer}``, ``weight_displacement{layer}``
        The objective of the network after a recent batch, the Fenchel divergence of each hidden
        layer, and the distance that the weights of each layer moved; updated about once a second.
        Layers count from 1.
    ``last_batch_timestamp_seconds``, ``last_checkpoint_timestamp_seconds``
        Times of the last learnt batch and the last written checkpoint, 0 before the first.
    ``info{version}``
        The version of fenchel-stream.

    Parameters
    ----------
    port
        Port to listen on. 0 takes a free one; the attribute `port` is its number.
    host
        Address to listen on. Anyone who can reach it can read the figures.
    reasons
        Known reasons for rejects, whose counters then exist from the start.
    certfile, keyfile
        For HTTPS, as `HttpServer` takes them.
    stuck_after
        Seconds without a turn of the loop after which the run counts as stuck.

    Raises
    ------
    ConfigError
        The address cannot be listened on, or the certificate cannot be used.

    Examples
    --------
    >>> from urllib.request import urlopen
    >>> from fenchel_connectors.monitoring.prometheus import PrometheusExporter
    >>> with PrometheusExporter(port=0) as exporter:
    ...     exporter.batch(records=100, step=None, seconds=0.0, report=None)
    ...     page = urlopen(exporter.url).read().decode()
    >>> "fenchel_stream_records_total 100.0" in page
    True
    """

    def __init__(
        self,
        port: int = 9109,
        host: str = "127.0.0.1",
        *,
        reasons: Iterable[str] = (),
        certfile: str | None = None,
        keyfile: str | None = None,
        stuck_after: float = 300.0,
    ) -> None:
        registry = CollectorRegistry()

        def new(kind: Any, name: str, text: str, labels: tuple[str, ...] = (), **more: Any) -> Any:
            return kind(f"{PREFIX}_{name}", text, labels, registry=registry, **more)

        self.records = new(Counter, "records", "Records read.")
        self.predictions = new(Counter, "predictions", "Predictions scored.")
        self.correct = new(Counter, "predictions_correct", "Predictions of the right class.")
        self.loss = new(Counter, "loss_sum", "Cross-entropy or absolute error, summed.")
        self.rejects = new(Counter, "rejected", "Records set aside.", ("reason",))
        self.outage = new(Gauge, "outage_seconds", "Time that a broker has been away.")
        self.join = new(Gauge, "label_join", "Predictions and late labels by state.", ("state",))
        self.failures = new(Counter, "checkpoint_failures", "Checkpoints not written.")
        self.seconds = new(
            Histogram, "batch_learn_seconds", "Time to learn a batch.", buckets=SECONDS
        )
        self.objective = new(Gauge, "objective", "Objective after a recent batch.")
        self.divergence = new(
            Gauge, "fenchel_divergence", "Fenchel divergence of a hidden layer.", ("layer",)
        )
        self.displacement = new(
            Gauge, "weight_displacement", "Distance that a layer's weights moved.", ("layer",)
        )
        self.last_batch = new(
            Gauge, "last_batch_timestamp_seconds", "When the last batch was learnt."
        )
        self.last_checkpoint = new(
            Gauge, "last_checkpoint_timestamp_seconds", "When the last checkpoint was written."
        )
        Info(PREFIX, "What is running.", registry=registry).info(
            {"version": version("fenchel-stream")}
        )
        for reason in reasons:
            self.rejects.labels(reason)
        self._rejected: dict[str, int] = {}
        self._begun = False
        self._last_report = -inf
        self.registry = registry
        self.health = Health(stuck_after)
        self._server = HttpServer(
            {
                "/metrics": self._figures,
                "/livez": lambda _: _health_page(*self.health.live()),
                "/readyz": lambda _: _health_page(*self.health.ready()),
                "/version": _versions,
            },
            port,
            host,
            certfile=certfile,
            keyfile=keyfile,
        )
        self.host, self.port = host, self._server.port
        log.info("metrics at %s", self.url)

    @property
    def url(self) -> str:
        """URL of the metrics."""
        return f"{self._server.url}/metrics"

    def turn(self, waits: bool = False, outage: float = 0.0) -> None:
        self.health.turn(waits, outage)
        self.outage.set(outage)

    def stop(self) -> None:
        self.health.stop()

    def batch(
        self, records: int, step: Step | None, seconds: float, report: StepReport | None
    ) -> None:
        self._begun = True
        self.records.inc(records)
        if step is None:
            return
        self.predictions.inc(step.scored)
        self.correct.inc(step.correct)
        # A NaN or an infinity would stay in the sum for ever.
        if step.loss is not None and isfinite(step.loss):
            self.loss.inc(step.loss)
        self.seconds.observe(seconds)
        self.last_batch.set_to_current_time()
        # A report computes its figures when they are read, so they are read once a second at most.
        if report is not None and time.monotonic() - self._last_report >= 1.0:
            self.objective.set(report.objective_after)
            for layer, value in enumerate(report.divergence, 1):
                self.divergence.labels(layer).set(value)
            for layer, value in enumerate(report.displacement, 1):
                self.displacement.labels(layer).set(value)
            self._last_report = time.monotonic()

    def rejected(self, counts: Mapping[str, int]) -> None:
        """Set the numbers of rejected records of this run by reason.

        A call before the first batch gives the numbers of earlier processes. The counters leave
        them out.
        """
        for reason, count in counts.items():
            child = self.rejects.labels(reason)
            if self._begun:
                child.inc(count - self._rejected.get(reason, 0))
            self._rejected[reason] = count

    def joined(self, figures: Mapping[str, int]) -> None:
        for state, count in figures.items():
            self.join.labels(state).set(count)

    def checkpoint(self, error: Exception | None = None) -> None:
        if error is None:
            self.last_checkpoint.set_to_current_time()
        else:
            self.failures.inc()

    def close(self) -> None:
        self._server.close()

    def _figures(self, accept: str) -> Page:
        encode, content_type = choose_encoder(accept)
        return Page(encode(self.registry), content_type)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _health_page(good: bool, reason: str) -> Page:
    return Page(f"{reason}\n".encode(), status=200 if good else 503)


def _versions(accept: str) -> Page:
    versions = {"version": version("fenchel-stream"), "python": platform.python_version()}
    return Page(json.dumps(versions).encode(), "application/json")
