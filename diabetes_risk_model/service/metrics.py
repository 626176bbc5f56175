"""What Prometheus is told: requests, predictions by their answer, and the state of the models and their packages.

Where several worker processes share a port, whichever is asked tells the figures of all, with the number of each as a
label.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from diabetes_risk_model.service.loading import ModelLoading
from signed_parameters import ConfigurationError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Histogram, Metric

# Seconds. A prediction takes well under a millisecond.
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class ServiceMetrics:
    """The metrics of one service."""

    def __init__(self, loading: ModelLoading) -> None:
        """Describe the metrics.

        Args:
            loading: is asked for the state of the models whenever the metrics are read.

        Raises:
            ConfigurationError: prometheus-client is not installed.
        """
        try:
            import prometheus_client
        except ImportError:
            raise ConfigurationError(
                "the service's metrics need prometheus-client, which is not installed",
                remedy="Install it, or take `metrics` out of the configuration.",
            ) from None
        self._registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self._registry)
        self._requests = prometheus_client.Counter(
            "http_requests", "Requests.", ["method", "path", "status"], registry=self._registry
        )
        self._seconds = prometheus_client.Histogram(
            "http_request_duration_seconds",
            "Time from the request's head to its answer's end.",
            ["path"],
            registry=self._registry,
            buckets=_BUCKETS,
        )
        self._predictions = prometheus_client.Counter(
            "model_predictions", "Predictions, by their answer.", ["model", "answer"], registry=self._registry
        )
        self._registry.register(_ModelCollector(loading))
        # Finding a series by its labels takes longer than counting.
        self._request_series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._prediction_series: dict[tuple[str, str], Counter] = {}

    def count_request(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            method: of HTTP.
            path: template of the path, never the path itself, which a client chooses.
            status: of the answer.
            seconds: that it took.
        """
        key = (method, path, status)
        series = self._request_series.get(key)
        if series is None:
            series = self._requests.labels(method, path, str(status)), self._seconds.labels(path)
            self._request_series[key] = series
        series[0].inc()
        series[1].observe(seconds)

    def count_predictions(self, model: str, answers: Mapping[str, int]) -> None:
        """Count predictions of a model: answer -> how often."""
        for answer, number in answers.items():
            self.count_prediction(model, answer, number)

    def count_prediction(self, model: str, answer: str, number: int = 1) -> None:
        """Count a prediction of a model, or several that gave the same answer."""
        series = self._prediction_series.get((model, answer))
        if series is None:
            series = self._prediction_series[model, answer] = self._predictions.labels(model, answer)
        series.inc(number)

    def exposition(self) -> tuple[bytes, str]:
        """Return the metrics as Prometheus reads them, and their media type."""
        return _exposition(self._registry)

    def to_bytes(self) -> bytes:
        """Return the metrics for another worker, which gives them to `exposition_of_all`."""
        families = [
            [metric.name, metric.documentation, metric.type, [sample[:3] for sample in metric.samples]]
            for metric in self._registry.collect()
        ]
        return json.dumps(families).encode()


def exposition_of_all(workers: Mapping[int, bytes]) -> tuple[bytes, str]:
    """Return the metrics of several workers, each series with the label `worker`, and their media type.

    Args:
        workers: number of each, and what its `ServiceMetrics.to_bytes` gave.
    """
    from prometheus_client import CollectorRegistry, Metric

    registry = CollectorRegistry()
    families: dict[str, Metric] = {}
    for worker, text in sorted(workers.items()):
        for name, documentation, kind, samples in json.loads(text):
            family = families.setdefault(name, Metric(name, documentation, kind))
            for sample, labels, value in samples:
                family.add_sample(sample, {**labels, "worker": str(worker)}, value)
    registry.register(_Collected(list(families.values())))
    return _exposition(registry)


def _exposition(registry: CollectorRegistry) -> tuple[bytes, str]:
    from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

    return generate_latest(registry), CONTENT_TYPE_LATEST


class _Collected:
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics


class _ModelCollector:
    def __init__(self, loading: ModelLoading) -> None:
        self._loading = loading

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        yield GaugeMetricFamily("service_ready", "Whether every model is loaded.", float(self._loading.ready))
        failures = CounterMetricFamily(
            "model_loading_failures", "Failures to load a model, by the class of the error.", labels=["reason"]
        )
        for reason, number in list(self._loading.failures.items()):
            failures.add_metric([reason], number)
        yield failures
        labels = ["model", "parameters_version"]
        verified = GaugeMetricFamily("model_package_verified", "1: the package was verified and loaded.", labels=labels)
        serial = GaugeMetricFamily("model_package_serial", "Serial of the package.", labels=labels)
        age = GaugeMetricFamily("model_package_age_seconds", "Time since it was signed.", labels=labels)
        for name, model in list(self._loading.loaded.items()):
            statement = getattr(model, "statement", None)
            if statement is None:
                continue
            values = [name, statement.parameters_version]
            verified.add_metric(values, 1)
            serial.add_metric(values, statement.serial)
            age.add_metric(values, time.time() - statement.created.timestamp())
        yield from (verified, serial, age)


def label_of(schema: type[BaseModel]) -> str | None:
    """Return the first field of a schema that is an enumeration, which is what predictions are counted by."""
    fields: dict[str, Any] = {name: field.annotation for name, field in schema.model_fields.items()}
    return next((name for name, kind in fields.items() if isinstance(kind, type) and issubclass(kind, Enum)), None)
