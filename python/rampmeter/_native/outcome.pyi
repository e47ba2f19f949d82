from collections.abc import Sequence
from typing import Literal, Self, TypeAlias, final

from . import _Record
from .policy import Policy

__all__ = [
    "AccountWork",
    "Counts",
    "Difference",
    "Distribution",
    "Outcomes",
    "OutcomesStats",
    "finish_time_fairness",
    "jain",
]

@final
class Counts(_Record):
    __match_args__ = (
        "offered",
        "completed",
        "refused",
        "failed",
        "cancelled",
        "cancelled_late",
        "unfinished",
        "attained",
        "satisfied",
        "tolerating",
        "output_tokens",
        "judged",
        "attainment",
        "apdex",
        "goodput_per_s",
    )
    @property
    def offered(self) -> int: ...
    @property
    def completed(self) -> int: ...
    @property
    def refused(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def cancelled(self) -> int: ...
    @property
    def cancelled_late(self) -> int: ...
    @property
    def unfinished(self) -> int: ...
    @property
    def attained(self) -> int: ...
    @property
    def satisfied(self) -> int: ...
    @property
    def tolerating(self) -> int: ...
    @property
    def output_tokens(self) -> int: ...
    @property
    def judged(self) -> int: ...
    @property
    def attainment(self) -> float | None: ...
    @property
    def apdex(self) -> float | None: ...
    @property
    def goodput_per_s(self) -> float: ...

@final
class Distribution(_Record):
    __match_args__ = ("count", "mean", "value_min", "value_max", "underflow", "overflow")
    @property
    def count(self) -> int: ...
    @property
    def mean(self) -> float | None: ...
    @property
    def value_min(self) -> int | None: ...
    @property
    def value_max(self) -> int | None: ...
    @property
    def underflow(self) -> int: ...
    @property
    def overflow(self) -> int: ...

@final
class OutcomesStats(_Record):
    __match_args__ = ("accounts_max", "span_ns", "gpu_busy_ns", "utilization", "jain")
    @property
    def accounts_max(self) -> int: ...
    @property
    def span_ns(self) -> int: ...
    @property
    def gpu_busy_ns(self) -> int: ...
    @property
    def utilization(self) -> float: ...
    @property
    def jain(self) -> float: ...

@final
class Difference(_Record):
    __match_args__ = ("difference_max", "difference_mean", "compared_pair_s", "uncompared")
    @property
    def difference_max(self) -> float: ...
    @property
    def difference_mean(self) -> float: ...
    @property
    def compared_pair_s(self) -> float: ...
    @property
    def uncompared(self) -> int: ...

@final
class AccountWork(_Record):
    __match_args__ = ("prompt_tokens", "cached_tokens", "output_tokens", "weighted_service")
    @property
    def prompt_tokens(self) -> int: ...
    @property
    def cached_tokens(self) -> int: ...
    @property
    def output_tokens(self) -> int: ...
    @property
    def weighted_service(self) -> float: ...

_Felt: TypeAlias = Literal["queue_wait", "ttft", "tpot", "end_to_end", "slowdown"]

@final
class Outcomes:
    def __new__(
        cls,
        policy: Policy,
        *,
        account_histograms: bool = False,
        backlogged_max: int | None = None,
    ) -> Self: ...
    @staticmethod
    def bytes_needed(
        policy: Policy,
        *,
        account_histograms: bool = False,
        backlogged_max: int | None = None,
    ) -> int: ...
    def set_policy(self, policy: Policy) -> None: ...
    def record(
        self,
        *,
        class_index: int,
        account_index: int,
        arrival_ns: int,
        ended_ns: int,
        status: Literal["completed", "refused", "failed", "cancelled", "unfinished"] = "completed",
        first_scheduled_ns: int | None = None,
        first_token_ns: int | None = None,
        output_tokens: int = 0,
    ) -> None: ...
    def served(
        self,
        now_ns: int,
        *,
        account_index: int,
        prompt_tokens: int = 0,
        cached_tokens: int = 0,
        output_tokens: int = 0,
    ) -> None: ...
    def set_backlogged(self, now_ns: int, *, account_index: int, backlogged: bool) -> None: ...
    def difference(self, now_ns: int) -> Difference: ...
    def work(self, account_index: int) -> AccountWork: ...
    def set_weight(self, account_index: int, *, weight: float) -> None: ...
    def forget_account(self, now_ns: int, account_index: int) -> None: ...
    def add_gpu_busy(self, busy_ns: int) -> None: ...
    def merge(self, other: Outcomes) -> None: ...
    def counts(
        self, *, class_index: int | None = None, account_index: int | None = None
    ) -> Counts: ...
    def distribution(
        self,
        felt: _Felt,
        *,
        class_index: int | None = None,
        account_index: int | None = None,
    ) -> Distribution: ...
    def quantiles(
        self,
        felt: _Felt,
        parts: Sequence[float],
        *,
        class_index: int | None = None,
        account_index: int | None = None,
    ) -> list[int | None]: ...
    def counts_at_most(
        self,
        felt: _Felt,
        values: Sequence[int],
        *,
        class_index: int | None = None,
        account_index: int | None = None,
    ) -> list[int]: ...
    def stats(self, *, gpus: int = 1) -> OutcomesStats: ...

def jain(values: Sequence[float]) -> float: ...
def finish_time_fairness(*, shared_s: float, alone_s: float) -> float: ...
