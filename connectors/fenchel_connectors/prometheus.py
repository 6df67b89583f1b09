"""A run's figures for Prometheus, served over HTTP."""

from __future__ import annotations

import logging
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from math import inf, isfinite
from socketserver import TCPServer
from threading import Thread
from typing import Any, Self
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import choose_encoder

from fenchel_stream.errors import ConfigError
from fenchel_stream.prequential import Step
from fenchel_stream.report import StepReport

log = logging.getLogger(__name__)

PREFIX = "fenchel_stream"

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Bounds of the histogram of batch times."""

PATIENCE = 5.0
"""Seconds that a client may be silent before it is hung up on."""


class PrometheusExporter:
    """Serves what a run tells it at ``http://HOST:PORT/metrics``, and nothing else.

    Counters start at 0 in every process, as Prometheus expects it: a resumed run does not count
    again what the run before it counted. Accuracy over any time is the ratio of two of them,
    ``rate(fenchel_stream_predictions_correct_total[5m]) /
    rate(fenchel_stream_predictions_total[5m])``. All names begin with ``fenchel_stream_``:

    ``records_total``
        Records read, rejected ones included.
    ``predictions_total``, ``predictions_correct_total``
        Predictions whose label has arrived, and those that were the right class. A regressor's
        are never counted as right.
    ``loss_sum_total``
        Summed over the same predictions, the cross-entropy of a classifier, if it is asked for
        probabilities, or the absolute error of a regressor. Divide by ``predictions_total``.
    ``rejected_total{reason}``, ``checkpoint_failures_total``
        Records set aside; checkpoints that could not be written.
    ``batch_learn_seconds``
        Histogram of the time to predict, score and learn a batch.
    ``objective``, ``fenchel_divergence{layer}``, ``weight_displacement{layer}``
        The network's objective after a recent batch, each hidden layer's Fenchel divergence, and
        how far the weights of each layer moved; about once a second. Layers count from 1.
    ``last_batch_timestamp_seconds``, ``last_checkpoint_timestamp_seconds``
        When the last batch was learnt and the last checkpoint written, 0 before the first.
    ``info{version}``
        The version of fenchel-stream.

    Parameters
    ----------
    port
        0 takes any free one; the attribute `port` tells which.
    host
        Address to listen on. Whoever can reach it can read the figures.
    reasons
        Reasons for rejecting records that are known beforehand, so that their counters exist
        from the start.

    Raises
    ------
    ConfigError
        The address cannot be listened on.

    Examples
    --------
    >>> from urllib.request import urlopen
    >>> from fenchel_connectors.prometheus import PrometheusExporter
    >>> with PrometheusExporter(port=0) as exporter:
    ...     exporter.batch(records=100, step=None, seconds=0.0, report=None)
    ...     page = urlopen(exporter.url).read().decode()
    >>> "fenchel_stream_records_total 100.0" in page
    True
    """

    def __init__(
        self, port: int = 9109, host: str = "127.0.0.1", *, reasons: Iterable[str] = ()
    ) -> None:
        registry = CollectorRegistry()

        def made(kind: Any, name: str, text: str, labels: tuple[str, ...] = (), **how: Any) -> Any:
            return kind(f"{PREFIX}_{name}", text, labels, registry=registry, **how)

        self.records = made(Counter, "records", "Records read.")
        self.predictions = made(Counter, "predictions", "Predictions scored.")
        self.correct = made(Counter, "predictions_correct", "Predictions of the right class.")
        self.loss = made(Counter, "loss_sum", "Cross-entropy or absolute error, summed.")
        self.rejects = made(Counter, "rejected", "Records set aside.", ("reason",))
        self.failures = made(Counter, "checkpoint_failures", "Checkpoints not written.")
        self.seconds = made(
            Histogram, "batch_learn_seconds", "Time to learn a batch.", buckets=SECONDS
        )
        self.objective = made(Gauge, "objective", "Objective after a recent batch.")
        self.divergence = made(
            Gauge, "fenchel_divergence", "Fenchel divergence of a hidden layer.", ("layer",)
        )
        self.displacement = made(
            Gauge, "weight_displacement", "Distance that a layer's weights moved.", ("layer",)
        )
        self.last_batch = made(
            Gauge, "last_batch_timestamp_seconds", "When the last batch was learnt."
        )
        self.last_checkpoint = made(
            Gauge, "last_checkpoint_timestamp_seconds", "When the last checkpoint was written."
        )
        Info(PREFIX, "What is running.", registry=registry).info(
            {"version": version("fenchel-stream")}
        )
        for reason in reasons:
            self.rejects.labels(reason)
        self._rejected: dict[str, int] = {}
        self._begun = False
        self._looked = -inf
        try:
            self._server = _Server(host, port, registry)
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"metrics cannot be served at {host}, port {port}: {error}"
            ) from error
        self.host, self.port = host, int(self._server.server_address[1])
        serve = self._server.serve_forever
        self._thread = Thread(target=serve, args=(0.1,), name="metrics", daemon=True)
        self._thread.start()
        log.info("metrics at %s", self.url)

    @property
    def url(self) -> str:
        """Where the metrics are."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/metrics"

    def batch(
        self, records: int, step: Step | None, seconds: float, report: StepReport | None
    ) -> None:
        """Count a batch.

        Parameters
        ----------
        records
            Records read, rejected ones included.
        step
            What the batch brought; None if none of its records could be learnt.
        seconds
            How long it took to predict, score and learn it.
        report
            The network's report on it; None if the model is no Fenchel network.
        """
        self._begun = True
        self.records.inc(records)
        if step is None:
            return
        self.predictions.inc(step.scored)
        self.correct.inc(step.correct)
        # One NaN or infinity would stay in the sum for ever.
        if step.loss is not None and isfinite(step.loss):
            self.loss.inc(step.loss)
        self.seconds.observe(seconds)
        self.last_batch.set_to_current_time()
        # The figures of a report are computed when they are read.
        if report is not None and time.monotonic() - self._looked >= 1.0:
            self.objective.set(report.objective_after)
            for layer, value in enumerate(report.divergence, 1):
                self.divergence.labels(layer).set(value)
            for layer, value in enumerate(report.displacement, 1):
                self.displacement.labels(layer).set(value)
            self._looked = time.monotonic()

    def rejected(self, counts: Mapping[str, int]) -> None:
        """Take over how many records the run has rejected so far, by reason.

        What is told before the first batch was rejected by earlier processes: it is not counted.
        """
        for reason, count in counts.items():
            child = self.rejects.labels(reason)
            if self._begun:
                child.inc(count - self._rejected.get(reason, 0))
            self._rejected[reason] = count

    def checkpoint(self, error: Exception | None = None) -> None:
        """Note that a checkpoint was written or, with `error`, that it was not."""
        if error is None:
            self.last_checkpoint.set_to_current_time()
        else:
            self.failures.inc()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def open_exporter(address: str) -> PrometheusExporter:
    """Return the exporter for an address such as ``127.0.0.1:9109`` or ``[::1]:9109``.

    Raises
    ------
    ConfigError
        It is no address, or cannot be listened on.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()):
        raise ConfigError(f"metrics address {address!r} is not of the form host:port")
    return PrometheusExporter(int(port), host.removeprefix("[").removesuffix("]"))


class _Server(ThreadingHTTPServer):
    """Answers each client in a thread of its own, so that none keeps another waiting."""

    request_queue_size = 128  # beyond the usual 5, clients that come together wait for seconds

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        self.registry = registry
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        # That of HTTPServer looks its own name up, which can take long without a name server.
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("metrics: client %s: %r", client_address, sys.exception())


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = PATIENCE
    server_version, sys_version = PREFIX, ""

    def do_GET(self) -> None:
        if urlsplit(self.path).path != "/metrics":
            self.send_error(404)
            return
        encode, content_type = choose_encoder(self.headers.get("Accept", ""))
        page = encode(self.server.registry)
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's own
        log.debug("metrics: %s", format % args)
