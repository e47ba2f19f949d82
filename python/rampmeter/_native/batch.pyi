import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Literal, Self, TypeAlias, TypeVar, final, overload

from . import _Record
from .policy import Policy

__all__ = [
    "DECODE",
    "PREFILL",
    "Batcher",
    "BatcherClassStats",
    "BatcherStats",
    "Column",
    "Delta",
    "Engine",
    "Expiry",
    "Explanation",
    "Merged",
    "ModelStats",
    "Observed",
    "Plan",
    "Preemption",
    "Progress",
    "Queued",
    "Shed",
    "path_key",
]

_T = TypeVar("_T", int, bool)
_Coefficients: TypeAlias = tuple[float, float, float, float, float, float, float]
_DeltaEntry: TypeAlias = tuple[int, int, float, float, float]
_ShedReason: TypeAlias = Literal[
    "class_requests",
    "class_tokens",
    "account_requests",
    "account_tokens",
    "rate_requests",
    "rate_tokens",
]
_Stage: TypeAlias = Literal["waiting", "late", "preempted", "running", "handed_over", "ended"]
_Obstacle: TypeAlias = Literal["memory", "in_flight", "adapter", "shared_prompt", "forecast"]
_Reason: TypeAlias = Literal[
    "nobody",
    "running",
    "handed_over",
    "ended",
    "next",
    "seats",
    "step_budget",
    "gave_way",
    "steps_in_flight",
    "obstacle",
    "comes_back",
    "expired",
    "class",
    "interrupted",
    "account",
    "late_share",
    "late",
    "order",
]

PREFILL: int
DECODE: int

def path_key(path: str) -> int: ...

@final
class Queued(_Record):
    __match_args__ = ("request",)
    @property
    def request(self) -> int: ...

@final
class Shed(_Record):
    __match_args__ = ("reason", "retry_after_ns")
    @property
    def reason(self) -> _ShedReason: ...
    @property
    def retry_after_ns(self) -> int | None: ...

@final
class Observed(_Record):
    __match_args__ = ("finished", "first_tokens", "output_tokens")
    @property
    def finished(self) -> int: ...
    @property
    def first_tokens(self) -> int: ...
    @property
    def output_tokens(self) -> int: ...

@final
class Progress(_Record):
    __match_args__ = ("stage", "obstacle", "output_tokens", "computed_tokens", "preemptions")
    @property
    def stage(self) -> _Stage: ...
    @property
    def obstacle(self) -> _Obstacle | None: ...
    @property
    def output_tokens(self) -> int: ...
    @property
    def computed_tokens(self) -> int: ...
    @property
    def preemptions(self) -> int: ...

@final
class Explanation(_Record):
    __match_args__ = (
        "reason",
        "obstacle",
        "stage",
        "ahead_requests",
        "ahead_tokens",
        "predicted_start_ns",
        "head",
        "head_class_index",
        "head_reason",
        "head_obstacle",
        "account_counter",
        "account_counter_min",
        "credit",
        "class_is_owed",
        "late_is_owed",
    )
    @property
    def reason(self) -> _Reason: ...
    @property
    def obstacle(self) -> _Obstacle | None: ...
    @property
    def stage(self) -> _Stage: ...
    @property
    def ahead_requests(self) -> int: ...
    @property
    def ahead_tokens(self) -> int: ...
    @property
    def predicted_start_ns(self) -> int | None: ...
    @property
    def head(self) -> int | None: ...
    @property
    def head_class_index(self) -> int: ...
    @property
    def head_reason(self) -> _Reason: ...
    @property
    def head_obstacle(self) -> _Obstacle | None: ...
    @property
    def account_counter(self) -> float: ...
    @property
    def account_counter_min(self) -> float: ...
    @property
    def credit(self) -> float: ...
    @property
    def class_is_owed(self) -> bool: ...
    @property
    def late_is_owed(self) -> bool: ...

@final
class BatcherStats(_Record):
    __match_args__ = (
        "waiting",
        "late",
        "running",
        "requests",
        "requests_max",
        "running_max",
        "accounts",
        "steps_in_flight",
        "kv_blocks_free",
        "kv_blocks",
        "kv_blocks_swapped",
        "shed",
        "expired",
    )
    @property
    def waiting(self) -> int: ...
    @property
    def late(self) -> int: ...
    @property
    def running(self) -> int: ...
    @property
    def requests(self) -> int: ...
    @property
    def requests_max(self) -> int: ...
    @property
    def running_max(self) -> int: ...
    @property
    def accounts(self) -> int: ...
    @property
    def steps_in_flight(self) -> int: ...
    @property
    def kv_blocks_free(self) -> int: ...
    @property
    def kv_blocks(self) -> int: ...
    @property
    def kv_blocks_swapped(self) -> int: ...
    @property
    def shed(self) -> int: ...
    @property
    def expired(self) -> int: ...

@final
class BatcherClassStats(_Record):
    __match_args__ = ("waiting", "late", "waiting_tokens", "drain_tokens_per_s")
    @property
    def waiting(self) -> int: ...
    @property
    def late(self) -> int: ...
    @property
    def waiting_tokens(self) -> int: ...
    @property
    def drain_tokens_per_s(self) -> float: ...

@final
class ModelStats(_Record):
    __match_args__ = (
        "samples",
        "limited",
        "error_ratio",
        "error_ratio_prefill",
        "time_scale",
        "determined_ratio",
    )
    @property
    def samples(self) -> int: ...
    @property
    def limited(self) -> int: ...
    @property
    def error_ratio(self) -> float: ...
    @property
    def error_ratio_prefill(self) -> float: ...
    @property
    def time_scale(self) -> float: ...
    @property
    def determined_ratio(self) -> list[float]: ...

@final
class Delta(_Record):
    __match_args__ = ("replica", "incarnation", "is_complete", "entries")
    @property
    def replica(self) -> int: ...
    @property
    def incarnation(self) -> int: ...
    @property
    def is_complete(self) -> bool: ...
    @property
    def entries(self) -> list[_DeltaEntry]: ...

@final
class Merged(_Record):
    __match_args__ = ("news", "older", "unknown")
    @property
    def news(self) -> int: ...
    @property
    def older(self) -> int: ...
    @property
    def unknown(self) -> int: ...

@final
class Preemption(_Record):
    __match_args__ = ("request", "tag", "computed_tokens", "swapped_out", "restore_s", "price")
    @property
    def request(self) -> int: ...
    @property
    def tag(self) -> int: ...
    @property
    def computed_tokens(self) -> int: ...
    @property
    def swapped_out(self) -> bool: ...
    @property
    def restore_s(self) -> float: ...
    @property
    def price(self) -> float: ...

@final
class Expiry(_Record):
    __match_args__ = ("request", "tag")
    @property
    def request(self) -> int: ...
    @property
    def tag(self) -> int: ...

@final
class Engine(_Record):
    def __new__(
        cls, *, kv_blocks: int, kv_block_tokens: int, step_coefficients: Sequence[float]
    ) -> Self: ...
    @staticmethod
    def named(engine_name: str) -> Engine: ...
    __match_args__ = ("kv_blocks", "kv_block_tokens", "step_coefficients")
    @property
    def kv_blocks(self) -> int: ...
    @property
    def kv_block_tokens(self) -> int: ...
    @property
    def step_coefficients(self) -> _Coefficients: ...

@final
class Column(Generic[_T]):
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, key: int, /) -> _T: ...
    @overload
    def __getitem__(self, key: slice, /) -> list[_T]: ...
    def __iter__(self) -> Iterator[_T]: ...
    def tolist(self) -> list[_T]: ...
    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class Plan:
    @property
    def step(self) -> int | None: ...
    @property
    def admissions(self) -> int: ...
    @property
    def starts_at_ns(self) -> int: ...
    @property
    def ends_at_ns(self) -> int: ...
    @property
    def prefill_tokens(self) -> int: ...
    @property
    def prefill_history_tokens(self) -> int: ...
    @property
    def decode_requests(self) -> int: ...
    @property
    def decode_context_tokens(self) -> int: ...
    @property
    def request(self) -> Column[int]: ...
    @property
    def tag(self) -> Column[int]: ...
    @property
    def computed_tokens(self) -> Column[int]: ...
    @property
    def tokens(self) -> Column[int]: ...
    @property
    def phase(self) -> Column[int]: ...
    @property
    def emits(self) -> Column[bool]: ...
    @property
    def admitted(self) -> Column[bool]: ...
    @property
    def swapped_in(self) -> Column[bool]: ...
    @property
    def preempted(self) -> list[Preemption]: ...
    @property
    def expired(self) -> list[Expiry]: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...

_Numbers: TypeAlias = Sequence[int] | Column[int] | memoryview[int] | Any
_Flags: TypeAlias = Sequence[bool] | Column[bool] | Any

@final
class Batcher:
    def __new__(cls, policy: Policy, engine: Engine) -> Self: ...
    @staticmethod
    def bytes_needed(policy: Policy) -> int: ...
    def submit(
        self,
        now_ns: int,
        *,
        account: int,
        prompt_tokens: int,
        output_tokens_max: int,
        class_index: int = 0,
        tag: int = 0,
        arrival_ns: int | None = None,
        cached_tokens: int = 0,
        deadline_ns: int | None = None,
        expires_at_ns: int | None = None,
        adapter: int = 0,
        shares: int | None = None,
        handed_over_output_tokens: int = 0,
        handed_over_first_token_ns: int = 0,
    ) -> Queued | Shed: ...
    def form(
        self, now_ns: int, *, cached_tokens: Callable[[int, int], int | None] | None = None
    ) -> Plan: ...
    def observe(
        self,
        now_ns: int,
        step: int,
        *,
        request: _Numbers | None = None,
        output_tokens: _Numbers | None = None,
        finished: _Flags | None = None,
        kv_blocks_free: int | None = None,
        duration_ns: int | None = None,
    ) -> Observed: ...
    def cancel(self, now_ns: int, request: int) -> None: ...
    def change(
        self,
        now_ns: int,
        request: int,
        *,
        class_index: int | None = None,
        deadline_ns: int | None = None,
        expires_at_ns: int | None = None,
    ) -> None: ...
    def release(self, now_ns: int, request: int) -> None: ...
    def set_cached_tokens(self, request: int, cached_tokens: int) -> None: ...
    def set_kv_blocks_free(self, now_ns: int, kv_blocks_free: int) -> None: ...
    def set_swap(
        self, *, kv_blocks: int, out_s_per_block: float, in_s_per_block: float
    ) -> None: ...
    def drop_swapped(self, now_ns: int, request: int) -> None: ...
    def next_event(self, now_ns: int) -> int | None: ...
    def progress(self, request: int) -> Progress: ...
    def explain(self, now_ns: int, request: int) -> Explanation: ...
    def stats(self) -> BatcherStats: ...
    def class_stats(self, class_index: int) -> BatcherClassStats: ...
    def model_stats(self) -> ModelStats | None: ...
    def set_policy(self, policy: Policy) -> None: ...
    def set_engine(self, engine: Engine) -> None: ...
    def policy_account(self, account_index: int) -> int: ...
    def open_account(self, parent: int | None = None, *, weight: float = 1.0) -> int: ...
    def close_account(self, account: int) -> None: ...
    def set_account_weight(self, account: int, weight: float) -> None: ...
    def set_account_queue(
        self, account: int, *, requests_max: int = 0, tokens_max: int = 0, wait_max_ns: int = 0
    ) -> None: ...
    def set_account_rates(
        self,
        account: int,
        *,
        requests_per_minute: int = 0,
        tokens_per_minute: int = 0,
        burst_ns: int | None = None,
    ) -> None: ...
    def account_service(self, class_index: int, account: int) -> float: ...
    def set_replica(self, replica: int, incarnation: int) -> None: ...
    def set_account_key(self, account: int, key: int) -> None: ...
    def delta(self, *, entries_max: int = 4096) -> Delta: ...
    def merge(
        self, *, replica: int, incarnation: int, entries: Sequence[_DeltaEntry]
    ) -> Merged: ...
    def forget_replica(self, replica: int) -> None: ...
    def save(self) -> bytes: ...
    @classmethod
    def restore(cls, policy: Policy, engine: Engine, snapshot: bytes) -> Batcher: ...
