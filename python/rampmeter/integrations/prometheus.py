"""What desks hold and did, and what users felt, for `prometheus_client`.

A `Collector` asks the desks when it is scraped and keeps nothing itself. Names are those of the
desks' own `stats`, in base units: `rampmeter_gate_running`, `rampmeter_gate_admitted_total`,
`rampmeter_requests_total`, `rampmeter_ttft_seconds`. Needs `pip install rampmeter[prometheus]`.
"""

import importlib
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from ..outcome import Outcomes
from ..policy import Policy

if TYPE_CHECKING:
    _Felt: TypeAlias = Literal["queue_wait", "ttft", "tpot", "end_to_end", "slowdown"]

__all__ = ["Collector"]


class _Stats(Protocol):
    def as_dict(self) -> dict[str, Any]: ...


class _Desk(Protocol):
    def stats(self) -> _Stats: ...


# Fields of `stats` that only grow: Prometheus takes rates of them. All others are gauges.
_COUNTERS = frozenset(
    {
        "admitted",
        "arrived",
        "backfilled",
        "batches",
        "cancelled",
        "completed",
        "cycles",
        "displaced",
        "ended",
        "expired",
        "finished",
        "held",
        "launched",
        "merged",
        "placed",
        "preempted",
        "preemptions",
        "reclaimed",
        "rejected",
        "routed",
        "shed",
        "started",
        "steps",
        "submitted",
    }
)

# What the ends of names mean, and what they are in base units.
_UNITS = (
    (re.compile(r"_per_s$"), "_per_second", 1.0),
    (re.compile(r"_ns$"), "_seconds", 1e-9),
    (re.compile(r"_ms$"), "_seconds", 1e-3),
    (re.compile(r"_s$"), "_seconds", 1.0),
)

_MICRO_S, _MILLI_S, _S = 10**3, 10**6, 10**9

# Three bounds a decade: from a millisecond, which no user can tell from nothing, to 500 s, which
# nobody waits at a screen; a token takes from 100 us to 5 s.
_WAITS_NS = [
    part * scale // 2 for scale in (_MILLI_S * 10**n for n in range(6)) for part in (2, 5, 10)
]
_TPOT_NS = [
    part * scale // 2 for scale in (_MICRO_S * 10**n for n in range(2, 7)) for part in (2, 5, 10)
]
_SLOWDOWNS = [int(times * 10**6) for times in (1, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100, 1_000)]

# Measure of the books, its name, what it is, its bounds, and how many of them are a base unit.
_MEASURES: "tuple[tuple[_Felt, str, str, list[int], int], ...]" = (
    ("queue_wait", "queue_wait_seconds", "Wait before the first work.", _WAITS_NS, _S),
    ("ttft", "ttft_seconds", "Time to first token.", _WAITS_NS, _S),
    ("tpot", "tpot_seconds", "Time per output token after the first.", _TPOT_NS, _S),
    ("end_to_end", "end_to_end_seconds", "From arrival to the last token.", _WAITS_NS, _S),
    ("slowdown", "slowdown_ratio", "Time in the system over time served.", _SLOWDOWNS, 10**6),
)

_STATUSES = ("completed", "refused", "failed", "cancelled", "unfinished")


class Collector:
    """Desks and books as metrics: `prometheus_client.REGISTRY.register(Collector(...))`.

    `desks` are any with `stats()` (a `Gate`, a `DynamicBatcher`, what `batched` returns), by the
    value of their label `desk`. `outcomes` are told by class and account, by the names that their
    `policy` has; accounts that it does not name are one, with the name "". With
    `account_histograms` of the books, accounts have distributions as well.
    """

    def __init__(
        self,
        desks: Mapping[str, _Desk] | None = None,
        *,
        outcomes: Outcomes | None = None,
        policy: Policy | None = None,
    ) -> None:
        """Keep the desks. Raises `ImportError` without `prometheus_client`."""
        if outcomes is not None and policy is None:
            message = "outcomes are told by the names of their policy: pass it, too"
            raise TypeError(message)
        self._desks = dict(desks or {})
        self._outcomes = outcomes
        self._policy = policy
        self._metrics: Any = importlib.import_module("prometheus_client.core")

    def describe(self) -> list[Any]:
        """Tell nothing beforehand, so that registering asks no desk."""
        return []

    def collect(self) -> Iterator[Any]:
        """Ask every desk, and yield its metrics."""
        yield from self._of_desks()
        if self._outcomes is not None and self._policy is not None:
            yield from self._of_outcomes(self._outcomes, self._policy)

    def _of_desks(self) -> Iterator[Any]:
        families: dict[str, Any] = {}
        for name, desk in self._desks.items():
            stats = desk.stats()
            kind = _snake(type(stats).__name__.removesuffix("Stats")) or "desk"
            for field, value in stats.as_dict().items():
                if isinstance(value, bool | int | float):
                    self._add(families, kind, name, field, float(value))
        yield from families.values()

    def _add(
        self, families: dict[str, Any], kind: str, desk: str, field: str, value: float
    ) -> None:
        stem, _, reason = field.partition("_") if field.startswith("shed_") else (field, "", "")
        unit_name, scale = stem, 1.0
        for end, unit, factor in _UNITS:
            if end.search(stem):
                unit_name, scale = end.sub(unit, stem), factor
                break
        metric = f"rampmeter_{kind}_{unit_name}"
        labels = ["desk", "reason"] if reason else ["desk"]
        family = families.get(metric)
        if family is None:
            core = self._metrics
            is_counter = stem in _COUNTERS
            make = core.CounterMetricFamily if is_counter else core.GaugeMetricFamily
            told = f"`{stem}` of the statistics of a {kind.replace('_', ' ')}."
            family = families[metric] = make(metric, told, labels=labels)
        family.add_metric([desk, reason] if reason else [desk], value * scale)

    def _of_outcomes(self, outcomes: Outcomes, policy: Policy) -> Iterator[Any]:
        classes = [(name, {"class_index": index}) for index, name in enumerate(policy.class_names)]
        yield from self._counts(outcomes, "rampmeter_", "class", classes)
        yield from self._distributions(outcomes, "rampmeter_", "class", classes)
        accounts = [
            (name, {"account_index": index}) for index, name in enumerate(policy.account_names)
        ]
        stats = outcomes.stats()
        if len(accounts) < stats.accounts_max:
            accounts.append(("", {"account_index": len(accounts)}))
        yield from self._counts(outcomes, "rampmeter_account_", "account", accounts)
        if accounts and _has_distribution(outcomes, accounts[0][1]):
            yield from self._distributions(outcomes, "rampmeter_account_", "account", accounts)
        gauge, counter = self._metrics.GaugeMetricFamily, self._metrics.CounterMetricFamily
        yield gauge("rampmeter_jain_ratio", "Jain's index of what accounts got.", value=stats.jain)
        busy = "GPU busy time: an effect, to be shown beside what users felt."
        yield counter("rampmeter_gpu_busy_seconds", busy, value=stats.gpu_busy_ns / 1e9)

    def _counts(
        self,
        outcomes: Outcomes,
        prefix: str,
        label: str,
        groups: list[tuple[str, dict[str, int]]],
    ) -> Iterator[Any]:
        counter = self._metrics.CounterMetricFamily
        requests = counter(
            f"{prefix}requests", "Requests, by how they ended.", labels=[label, "status"]
        )
        attained = counter(f"{prefix}attained", "Requests that met both targets.", labels=[label])
        tokens = counter(f"{prefix}output_tokens", "Output tokens produced.", labels=[label])
        for name, group in groups:
            counts = outcomes.counts(**group)
            for status in _STATUSES:
                requests.add_metric([name, status], getattr(counts, status))
            attained.add_metric([name], counts.attained)
            tokens.add_metric([name], counts.output_tokens)
        yield from (requests, attained, tokens)

    def _distributions(
        self,
        outcomes: Outcomes,
        prefix: str,
        label: str,
        groups: list[tuple[str, dict[str, int]]],
    ) -> Iterator[Any]:
        for felt, name, told, bounds, scale in _MEASURES:
            family = self._metrics.HistogramMetricFamily(f"{prefix}{name}", told, labels=[label])
            for group_name, group in groups:
                # Counted in one go, so that the bounds and the count agree.
                last = 2**64 - 1
                counts = outcomes.counts_at_most(felt, [*bounds, last], **group)
                mean = outcomes.distribution(felt, **group).mean or 0.0
                edges = [str(bound / scale) for bound in bounds] + ["+Inf"]
                buckets = list(zip(edges, counts, strict=True))
                family.add_metric([group_name], buckets, mean * counts[-1] / scale)
            yield family


def _has_distribution(outcomes: Outcomes, group: dict[str, int]) -> bool:
    try:
        outcomes.distribution("ttft", **group)
    except ValueError:
        return False
    return True


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
