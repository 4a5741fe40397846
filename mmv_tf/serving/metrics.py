# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Server metrics for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

import prometheus_client

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
MEDIA_TYPE = prometheus_client.CONTENT_TYPE_LATEST
# Label for unknown signatures: labels taken from requests would exhaust the memory.
UNKNOWN = "unknown"


class Metrics:
    """One server's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=registry)
        self._requests = prometheus_client.Counter(
            "mmv_requests_total",
            "Requests answered.",
            ("protocol", "signature", "status"),
            registry=registry,
        )
        self._latency = prometheus_client.Histogram(
            "mmv_request_seconds",
            "Time from a request's headers to its answer.",
            ("protocol", "signature"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._batches = prometheus_client.Histogram(
            "mmv_batch_rows", "Rows in a batch.", ("signature",), buckets=_ROWS, registry=registry
        )
        self._batch_seconds = prometheus_client.Histogram(
            "mmv_batch_seconds",
            "Model time for a batch.",
            ("signature",),
            buckets=_SECONDS,
            registry=registry,
        )

    def request(self, protocol: str, signature: str, status: int, seconds: float) -> None:
        """Count an answered request; `status` is an HTTP status, for gRPC too."""
        self._requests.labels(protocol, signature, str(status)).inc()
        self._latency.labels(protocol, signature).observe(seconds)

    def batch(self, signature: str, rows: int, seconds: float) -> None:
        """Count a call to the model."""
        self._batches.labels(signature).observe(rows)
        self._batch_seconds.labels(signature).observe(seconds)

    def watch(self, name: str, description: str, value: Callable[[], float]) -> None:
        """Expose a value that is read whenever metrics are requested."""
        gauge = prometheus_client.Gauge(f"mmv_{name}", description, registry=self.registry)
        gauge.set_function(value)

    def render(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return prometheus_client.generate_latest(self.registry)
