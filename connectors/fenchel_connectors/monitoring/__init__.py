"""Serves the figures and the health of a run over HTTP."""

from fenchel_connectors.monitoring.prometheus import PrometheusExporter

__all__ = ["PrometheusExporter"]
