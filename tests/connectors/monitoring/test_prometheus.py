"""The exporter, asked over HTTP as Prometheus asks it."""

from __future__ import annotations

import http.client
import socket
import time
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from math import inf, isnan, nan
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import polars as pl
import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families
from river import metrics

from fenchel_connectors.monitoring.prometheus import PrometheusExporter
from fenchel_stream.errors import CheckpointError, ConfigError
from fenchel_stream.estimators.classifier import FenchelClassifier
from fenchel_stream.estimators.regressor import FenchelRegressor
from fenchel_stream.evaluation.prequential import Prequential, Step
from fenchel_stream.runner.monitor import Monitor

Samples = dict[tuple[str, ...], float]


@pytest.fixture
def exporter() -> Iterator[PrometheusExporter]:
    with PrometheusExporter(port=0, reasons=("ragged",)) as running:
        yield running


def scrape(exporter: PrometheusExporter) -> Samples:
    """Return the samples by name, less the prefix, and values of labels."""
    with urlopen(exporter.url, timeout=5) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {
        (sample.name.removeprefix("fenchel_stream_"), *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def status(exporter: PrometheusExporter, path: str, method: str = "GET") -> int:
    connection = http.client.HTTPConnection(exporter.host, exporter.port, timeout=5)
    connection.request(method, path)
    code = connection.getresponse().status
    connection.close()
    return code


def batch(seed: int, rows: int = 50) -> tuple[pl.DataFrame, pl.Series]:
    X = np.random.default_rng(seed).normal(size=(rows, 2))
    return pl.DataFrame(X, ["a", "b"]), pl.Series(X[:, 0] > 0)


class TestFigures:
    def test_all_exist_from_the_start(self, exporter: PrometheusExporter) -> None:
        samples = scrape(exporter)
        assert samples.pop(("info", version("fenchel-stream"))) == 1.0
        assert {name for name, *_ in samples} == {
            "records_total",
            "predictions_total",
            "predictions_correct_total",
            "loss_sum_total",
            "rejected_total",
            "checkpoint_failures_total",
            "batch_learn_seconds_bucket",
            "batch_learn_seconds_count",
            "batch_learn_seconds_sum",
            "objective",
            "last_batch_timestamp_seconds",
            "last_checkpoint_timestamp_seconds",
            "outage_seconds",
        }
        assert ("rejected_total", "ragged") in samples
        assert set(samples.values()) == {0.0}

    def test_a_classifier_in_batches(self, exporter: PrometheusExporter) -> None:
        model = FenchelClassifier(hidden=(8, 4))
        metric = metrics.Accuracy() + metrics.CrossEntropy()
        test = Prequential(model, metric, delay=20)
        begin = time.time()
        for seed in range(4):
            exporter.batch(60, test.step(*batch(seed)), 0.03, model.report)
        samples = scrape(exporter)
        scored = 4 * 50 - 20 - 50  # nothing was known of the first batch
        assert samples["records_total",] == 240
        assert samples["predictions_total",] == scored == metric[0].cm.n_samples
        right = samples["predictions_correct_total",]
        assert right / scored == pytest.approx(metric[0].get())
        assert samples["loss_sum_total",] / scored == pytest.approx(metric[1].get())
        assert samples["batch_learn_seconds_count",] == 4
        assert samples["batch_learn_seconds_sum",] == pytest.approx(0.12)
        assert samples["batch_learn_seconds_bucket", "0.025"] == 0
        assert samples["batch_learn_seconds_bucket", "0.05"] == 4
        assert begin <= samples["last_batch_timestamp_seconds",] <= time.time()

    def test_a_network(self, exporter: PrometheusExporter) -> None:
        model = FenchelClassifier(hidden=(8, 4))
        test = Prequential(model, metrics.Accuracy())
        exporter.batch(50, test.step(*batch(0)), 0.0, model.report)
        report = model.report
        assert report is not None
        samples = scrape(exporter)
        assert samples["objective",] == report.objective_after > 0
        for name, values in (
            ("fenchel_divergence", report.divergence),
            ("weight_displacement", report.displacement),
        ):
            shown = {key[1]: value for key, value in samples.items() if key[0] == name}
            assert shown == {str(layer): value for layer, value in enumerate(values, 1)}
        assert (len(report.divergence), len(report.displacement)) == (2, 3)
        # What has to be computed is looked at once a second: at once again, nothing is new.
        exporter.batch(50, test.step(*batch(1)), 0.0, model.report)
        assert scrape(exporter)["objective",] == report.objective_after

    def test_a_regressor(self, exporter: PrometheusExporter) -> None:
        test = Prequential(FenchelRegressor(), metrics.MAE())
        X, _ = batch(0)
        exporter.batch(50, test.step(X, X["a"] * 100), 0.0, None)
        samples = scrape(exporter)
        assert samples["predictions_total",] == 50
        assert samples["predictions_correct_total",] == 0
        assert samples["loss_sum_total",] / 50 == pytest.approx(test.scores.cumulative["MAE"])

    @pytest.mark.parametrize("loss", [nan, inf, None])
    def test_no_counter_is_spoilt(self, exporter: PrometheusExporter, loss: float | None) -> None:
        for value in (1.5, loss, 2.0):
            exporter.batch(1, Step([True], None, 1, 1, value), 0.0, None)
        samples = scrape(exporter)
        assert samples["loss_sum_total",] == 3.5
        assert samples["predictions_total",] == 3
        assert not any(map(isnan, samples.values()))

    def test_a_batch_of_which_nothing_could_be_learnt(self, exporter: PrometheusExporter) -> None:
        exporter.batch(7, None, 0.0, None)
        samples = scrape(exporter)
        assert samples["records_total",] == 7
        assert samples["batch_learn_seconds_count",] == 0
        assert samples["last_batch_timestamp_seconds",] == 0

    def test_rejects_of_this_process_are_counted(self, exporter: PrometheusExporter) -> None:
        counts = Counter(ragged=40, nested=2)
        exporter.rejected(counts)  # by the run that this one goes on with
        samples = scrape(exporter)
        assert (samples["rejected_total", "ragged"], samples["rejected_total", "nested"]) == (0, 0)
        for reason in ("ragged", "ragged", "missing_target"):
            counts[reason] += 1
            exporter.batch(1, None, 0.0, None)
            exporter.rejected(counts)
        samples = scrape(exporter)
        assert samples["rejected_total", "ragged"] == 2
        assert samples["rejected_total", "nested"] == 0
        assert samples["rejected_total", "missing_target"] == 1

    def test_checkpoints(self, exporter: PrometheusExporter) -> None:
        monitor: Monitor = exporter
        monitor.checkpoint(CheckpointError("the disk is full"))
        samples = scrape(exporter)
        assert samples["checkpoint_failures_total",] == 1
        assert samples["last_checkpoint_timestamp_seconds",] == 0
        begin = time.time()
        monitor.checkpoint()
        samples = scrape(exporter)
        assert samples["checkpoint_failures_total",] == 1
        assert begin <= samples["last_checkpoint_timestamp_seconds",] <= time.time()

    def test_two_runs_of_one_process_keep_apart(self, exporter: PrometheusExporter) -> None:
        with PrometheusExporter(port=0) as other:
            other.batch(3, None, 0.0, None)
            assert scrape(other)["records_total",] == 3
            assert scrape(exporter)["records_total",] == 0

    def test_openmetrics_for_those_who_ask(self, exporter: PrometheusExporter) -> None:
        request = Request(exporter.url, headers={"Accept": "application/openmetrics-text"})
        with urlopen(request, timeout=5) as answer:
            assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
            page = answer.read().decode()
        families = parse_openmetrics(page)  # type: ignore[no-untyped-call]
        assert "fenchel_stream_records" in {family.name for family in families}


class TestServer:
    def test_nothing_else_is_served(self, exporter: PrometheusExporter) -> None:
        assert status(exporter, "/metrics?name[]=up") == 200
        for path in ("/", "/metrics/", "/metrics2", "/favicon.ico", "/../metrics"):
            assert status(exporter, path) == 404
        assert status(exporter, "/metrics", "POST") == 501
        with pytest.raises(HTTPError):
            urlopen(exporter.url + "/x", timeout=5)

    def test_only_this_machine_is_served_unless_told(self, exporter: PrometheusExporter) -> None:
        assert exporter.url == f"http://127.0.0.1:{exporter.port}/metrics"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", exporter.port), timeout=5)
        with PrometheusExporter(port=0, host="0.0.0.0") as everywhere:
            socket.create_connection(("127.0.0.2", everywhere.port), timeout=5).close()

    def test_an_address_in_use_is_named(self, exporter: PrometheusExporter) -> None:
        with pytest.raises(ConfigError, match=rf"127.0.0.1, port {exporter.port}.*in use"):
            PrometheusExporter(exporter.port)
        with pytest.raises(ConfigError, match="port 70000"):
            PrometheusExporter(70000)

    def test_closing_frees_the_port(self) -> None:
        exporter = PrometheusExporter(port=0)
        exporter.close()
        exporter.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((exporter.host, exporter.port), timeout=5)
        PrometheusExporter(exporter.port).close()

    def test_ipv6(self) -> None:
        try:
            with socket.create_server(("::1", 0), family=socket.AF_INET6):
                pass
        except OSError:
            pytest.skip("this machine has no IPv6")
        with PrometheusExporter(0, "::1") as exporter:
            assert exporter.url == f"http://[::1]:{exporter.port}/metrics"
            assert scrape(exporter)["records_total",] == 0
