"""Counts metrics for Prometheus. They hold no names, keys, films or pixels."""

from flask import Flask
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from kneeoa_hub import KneeOAError
from kneeoa_hub.report import Answer

EXTENSION = "kneeoa_metrics"
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""The histogram of response times has these upper bounds, in seconds."""


class Metrics:
    """Holds the metrics of one app, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "kneeoa_requests", "Requests answered.", ("route", "method", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "kneeoa_request_seconds", "Time to answer.", ("route",), buckets=BUCKETS, registry=self.registry
        )
        self.grades = Counter("kneeoa_grades", "Knees graded, by grade.", ("grade",), registry=self.registry)
        self.refusals = Counter("kneeoa_refusals", "Films refused, by reason.", ("reason",), registry=self.registry)
        self.failures = Counter(
            "kneeoa_failures", "Films that could not be graded, by code.", ("code",), registry=self.registry
        )
        self.waiting = Gauge("kneeoa_waiting", "Requests that wait for a turn to be graded.", registry=self.registry)
        self.grading = Gauge("kneeoa_grading", "Requests that have a turn to be graded.", registry=self.registry)
        self.turned_away = Counter(
            "kneeoa_turned_away", "Requests that got 503 because too many were waiting.", registry=self.registry
        )
        self.model = Info("kneeoa_model", "The model that answers.", registry=self.registry)

    @classmethod
    def of(cls, app: Flask) -> "Metrics":
        """Return the metrics of an app."""
        return app.extensions[EXTENSION]

    def count(self, answer: Answer) -> None:
        """Count the answer for a film."""
        if isinstance(answer, KneeOAError):
            self.failures.labels(answer.code).inc()
            return
        if answer.refused:
            self.refusals.labels(answer.refused.reason).inc()
        for knee in answer.knees:
            self.grades.labels(str(knee.grade)).inc()
