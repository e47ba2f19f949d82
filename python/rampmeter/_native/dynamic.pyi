from collections.abc import Sequence
from typing import Literal, Self, final

from . import _Record
from .policy import Policy

__all__ = [
    "Curve",
    "CurveStats",
    "DynamicBatcher",
    "DynamicClass",
    "DynamicExplanation",
    "DynamicOptions",
    "DynamicStats",
    "Expired",
    "Formed",
    "Launch",
    "Observed",
    "Queued",
    "Shed",
    "Verdict",
    "Wait",
]

@final
class Curve(_Record):
    def __new__(
        cls,
        points: Sequence[tuple[int, float]] | None = None,
        *,
        fixed_s: float = 0.0,
        each_s: float = 0.0,
        learns: bool = True,
    ) -> Self: ...
    __match_args__ = ("points", "fixed_s", "each_s", "learns")
    @property
    def points(self) -> list[tuple[int, float]]: ...
    @property
    def fixed_s(self) -> float: ...
    @property
    def each_s(self) -> float: ...
    @property
    def learns(self) -> bool: ...

@final
class DynamicClass(_Record):
    def __new__(
        cls,
        *,
        latency_target_ns: int | None = None,
        timeout_ns: int | None = None,
        delay_value: float | None = None,
        guaranteed_ratio: float | None = None,
        queue_max: int | None = None,
        expiry: Literal["reject", "delay"] = "reject",
    ) -> Self: ...
    __match_args__ = (
        "latency_target_ns",
        "timeout_ns",
        "delay_value",
        "guaranteed_ratio",
        "queue_max",
        "expiry",
    )
    @property
    def latency_target_ns(self) -> int | None: ...
    @property
    def timeout_ns(self) -> int | None: ...
    @property
    def delay_value(self) -> float: ...
    @property
    def guaranteed_ratio(self) -> float: ...
    @property
    def queue_max(self) -> int | None: ...
    @property
    def expiry(self) -> Literal["reject", "delay"]: ...
    @staticmethod
    def from_policy(policy: Policy, class_index: int) -> DynamicClass: ...

@final
class DynamicOptions(_Record):
    def __new__(
        cls,
        buckets: Sequence[Curve],
        *,
        batch_size_max: int,
        classes: Sequence[DynamicClass] | None = None,
        requests_max: int | None = None,
        instances: int = 1,
        accounts_max: int = 1,
        rule: Literal["priced", "fixed"] = "priced",
        preferred_sizes: Sequence[int] | None = None,
        padding: bool = False,
        queue_delay_max_ns: int | None = None,
        wait_max_ns: int | None = None,
        urgency_credit_ns: int | None = None,
        miss_ratio: float | None = None,
        wait_gain_ratio: float | None = None,
        late_ratio: float | None = None,
    ) -> Self: ...
    __match_args__ = (
        "buckets",
        "batch_size_max",
        "classes",
        "requests_max",
        "instances",
        "accounts_max",
        "rule",
        "preferred_sizes",
        "padding",
        "queue_delay_max_ns",
        "wait_max_ns",
        "urgency_credit_ns",
        "miss_ratio",
        "wait_gain_ratio",
        "late_ratio",
    )
    @property
    def buckets(self) -> list[Curve]: ...
    @property
    def batch_size_max(self) -> int: ...
    @property
    def classes(self) -> list[DynamicClass]: ...
    @property
    def requests_max(self) -> int: ...
    @property
    def instances(self) -> int: ...
    @property
    def accounts_max(self) -> int: ...
    @property
    def rule(self) -> Literal["priced", "fixed"]: ...
    @property
    def preferred_sizes(self) -> list[int]: ...
    @property
    def padding(self) -> bool: ...
    @property
    def queue_delay_max_ns(self) -> int | None: ...
    @property
    def wait_max_ns(self) -> int | None: ...
    @property
    def urgency_credit_ns(self) -> int: ...
    @property
    def miss_ratio(self) -> float: ...
    @property
    def wait_gain_ratio(self) -> float: ...
    @property
    def late_ratio(self) -> float: ...

@final
class Queued(_Record):
    __match_args__ = ("request",)
    @property
    def request(self) -> int: ...

@final
class Shed(_Record):
    __match_args__ = ("reason", "retry_after_ns")
    @property
    def reason(self) -> Literal["full", "queue_full", "wait_too_long"]: ...
    @property
    def retry_after_ns(self) -> int: ...

@final
class Launch(_Record):
    __match_args__ = (
        "batch",
        "requests",
        "tags",
        "late",
        "bucket",
        "instance",
        "ends_at_ns",
        "why",
    )
    @property
    def batch(self) -> int: ...
    @property
    def requests(self) -> list[int]: ...
    @property
    def tags(self) -> list[int]: ...
    @property
    def late(self) -> list[bool]: ...
    @property
    def bucket(self) -> int: ...
    @property
    def instance(self) -> int: ...
    @property
    def ends_at_ns(self) -> int: ...
    @property
    def why(self) -> Literal["full", "worth_now", "preferred", "deadline", "delay_max", "late"]: ...

@final
class Wait(_Record):
    __match_args__ = ("until_ns", "why")
    @property
    def until_ns(self) -> int: ...
    @property
    def why(self) -> Literal["busy", "worth_waiting", "more_expired"]: ...

@final
class Expired(_Record):
    __match_args__ = ("request", "tag")
    @property
    def request(self) -> int: ...
    @property
    def tag(self) -> int: ...

@final
class Formed(_Record):
    __match_args__ = ("decision", "expired")
    @property
    def decision(self) -> Launch | Wait | None: ...
    @property
    def expired(self) -> list[Expired]: ...

@final
class Observed(_Record):
    __match_args__ = ("finished", "in_time", "missed")
    @property
    def finished(self) -> int: ...
    @property
    def in_time(self) -> int: ...
    @property
    def missed(self) -> int: ...

@final
class DynamicStats(_Record):
    __match_args__ = (
        "waiting",
        "late",
        "requests",
        "requests_max",
        "batches_running",
        "accounts",
        "batches",
        "launched",
        "expired",
        "shed",
    )
    @property
    def waiting(self) -> int: ...
    @property
    def late(self) -> int: ...
    @property
    def requests(self) -> int: ...
    @property
    def requests_max(self) -> int: ...
    @property
    def batches_running(self) -> int: ...
    @property
    def accounts(self) -> int: ...
    @property
    def batches(self) -> int: ...
    @property
    def launched(self) -> int: ...
    @property
    def expired(self) -> int: ...
    @property
    def shed(self) -> int: ...

@final
class CurveStats(_Record):
    __match_args__ = (
        "seconds",
        "learns",
        "samples",
        "weight",
        "spread_ratio",
        "best_size",
        "best_rate_per_s",
        "next_knot",
    )
    @property
    def seconds(self) -> float: ...
    @property
    def learns(self) -> bool: ...
    @property
    def samples(self) -> int: ...
    @property
    def weight(self) -> float: ...
    @property
    def spread_ratio(self) -> float: ...
    @property
    def best_size(self) -> int: ...
    @property
    def best_rate_per_s(self) -> float: ...
    @property
    def next_knot(self) -> int | None: ...

@final
class Verdict(_Record):
    __match_args__ = ("launch_size", "wait_s", "why", "launch_cost", "wait_cost")
    @property
    def launch_size(self) -> int: ...
    @property
    def wait_s(self) -> float: ...
    @property
    def why(self) -> str: ...
    @property
    def launch_cost(self) -> float: ...
    @property
    def wait_cost(self) -> float: ...

@final
class DynamicExplanation(_Record):
    __match_args__ = (
        "stage",
        "deadline_ns",
        "latest_launch_ns",
        "waiting",
        "late",
        "rate_per_s",
        "verdict",
    )
    @property
    def stage(self) -> Literal["waiting", "delayed", "late", "running", "cancelled"]: ...
    @property
    def deadline_ns(self) -> int | None: ...
    @property
    def latest_launch_ns(self) -> int | None: ...
    @property
    def waiting(self) -> int: ...
    @property
    def late(self) -> int: ...
    @property
    def rate_per_s(self) -> float: ...
    @property
    def verdict(self) -> Verdict | None: ...

@final
class DynamicBatcher:
    def __new__(cls, options: DynamicOptions) -> Self: ...
    @staticmethod
    def bytes_needed(options: DynamicOptions) -> int: ...
    def open_account(self, parent: int | None = None, *, weight: float = 1.0) -> int: ...
    def close_account(self, account: int) -> None: ...
    def submit(
        self,
        now_ns: int,
        *,
        account: int,
        tag: int = 0,
        class_index: int = 0,
        bucket: int = 0,
        arrival_ns: int | None = None,
        deadline_ns: int | None = None,
        expires_at_ns: int | None = None,
    ) -> Queued | Shed: ...
    def cancel(self, now_ns: int, request: int) -> None: ...
    def form(self, now_ns: int) -> Formed: ...
    def observe(
        self, now_ns: int, batch: int, *, duration_ns: int | None = None, failed: bool = False
    ) -> Observed: ...
    def next_event(self, now_ns: int) -> int | None: ...
    def explain(self, request: int) -> DynamicExplanation: ...
    def curve(self, batch_size: int, *, bucket: int = 0) -> CurveStats: ...
    def batch_within(self, *, seconds: float, size_max: int, bucket: int = 0) -> int: ...
    def save(self) -> bytes: ...
    @classmethod
    def restore(cls, options: DynamicOptions, snapshot: bytes) -> DynamicBatcher: ...
    def stats(self) -> DynamicStats: ...
