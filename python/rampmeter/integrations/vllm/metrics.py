"""What the steering did, as Prometheus metrics; without `prometheus_client` there are none."""

import logging
from importlib import import_module
from typing import Any, ClassVar

from .advisor import Advisor

__all__ = ["Metrics"]

logger = logging.getLogger("vllm.rampmeter")

LOOK_EVERY_NS = 1_000_000_000
"""Gauges are read once a second: scrapers come every few seconds."""

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120)
"""Bounds of the time to first token: from a step to minutes in a queue."""


class Metrics:
    """Counters and gauges of this process, made once.

    The engine runs in a process of its own. With `PROMETHEUS_MULTIPROC_DIR` set they stand among
    vLLM's own, at `/metrics` of the server; else `metrics_port` serves them.
    """

    _only: ClassVar["Metrics | None"] = None

    def __init__(self) -> None:
        """Register them."""
        client = import_module("prometheus_client")

        def counter(name: str, about: str, *labels: str) -> Any:
            return client.Counter(f"rampmeter_vllm_{name}", about, labels)

        def gauge(name: str, about: str, *labels: str) -> Any:
            return client.Gauge(
                f"rampmeter_vllm_{name}", about, labels, multiprocess_mode="mostrecent"
            )

        self._steering = gauge("steering", "1: rampmeter decides; 0: vLLM alone.")
        self._entered = counter(
            "requests",
            "Requests that came in, by what became of them.",
            "class",
            "account",
            "reason",
        )
        self._turned_away = counter("given_up", "Requests given up after they waited.", "reason")
        self._preempted = counter("preemptions", "Requests that lost their KV, by who chose.", "by")
        self._first_token = client.Histogram(
            "rampmeter_vllm_time_to_first_token_seconds",
            "From arrival to the first token.",
            ("class", "account"),
            buckets=SECONDS,
        )
        self._waiting = gauge("waiting_requests", "Requests that wait.", "class")
        self._late = gauge("late_requests", "Of these, too late for their target.", "class")
        self._waiting_tokens = gauge("waiting_tokens", "Prompt tokens that wait.", "class")
        self._error = gauge("step_time_error_ratio", "Mean error of predicted step times.")
        self._contradictions = gauge("contradictions", "Steps whose results were not believed.")
        self._looked_ns = 0

    @classmethod
    def of_process(cls, port: int) -> "Metrics":
        """Give the metrics of this process, and serve them if a port is given."""
        if cls._only is None:
            try:
                cls._only = cls()
            except ImportError:
                cls._only = NoMetrics()
                return cls._only
            if port:
                try:
                    import_module("prometheus_client").start_http_server(port)
                except OSError as error:
                    logger.error("rampmeter: no metrics at port %d: %s", port, error)
        return cls._only

    def steering(self, *, on: bool) -> None:
        """Say who decides."""
        self._steering.set(int(on))

    def entered(self, class_name: str, account: str, reason: str) -> None:
        """Count a request that was queued, refused or left to vLLM."""
        self._entered.labels(class_name, account, reason).inc()

    def turned_away(self, reason: str) -> None:
        """Count a request that was given up."""
        self._turned_away.labels(reason).inc()

    def preempted(self, by: str) -> None:
        """Count a request that lost its KV."""
        self._preempted.labels(by).inc()

    def first_token(self, class_name: str, account: str, seconds: float) -> None:
        """Record a time to first token."""
        self._first_token.labels(class_name, account).observe(seconds)

    def look(self, advisor: Advisor, now_ns: int) -> None:
        """Read the gauges, if it is time."""
        if now_ns - self._looked_ns < LOOK_EVERY_NS:
            return
        self._looked_ns = now_ns
        for index, name in enumerate(advisor.class_names):
            stats = advisor.batcher.class_stats(index)
            self._waiting.labels(name).set(stats.waiting)
            self._late.labels(name).set(stats.late)
            self._waiting_tokens.labels(name).set(stats.waiting_tokens)
        model = advisor.batcher.model_stats()
        self._error.set(model.error_ratio if model else 0.0)
        self._contradictions.set(advisor.contradictions)


class NoMetrics(Metrics):
    """Where `prometheus_client` is not installed."""

    def __init__(self) -> None:
        """Register nothing."""

    def steering(self, *, on: bool) -> None:
        """Say nothing."""

    def entered(self, class_name: str, account: str, reason: str) -> None:
        """Count nothing."""

    def turned_away(self, reason: str) -> None:
        """Count nothing."""

    def preempted(self, by: str) -> None:
        """Count nothing."""

    def first_token(self, class_name: str, account: str, seconds: float) -> None:
        """Record nothing."""

    def look(self, advisor: Advisor, now_ns: int) -> None:
        """Read nothing."""
