from collections.abc import Sequence
from typing import Any, Literal, Self, final

from . import _Record
from .policy import Policy

__all__ = [
    "Account",
    "Borrowed",
    "Dominance",
    "DominantShare",
    "Eligible",
    "Lead",
    "Ledger",
    "LedgerStats",
    "Merged",
    "Over",
    "Quota",
    "Ranked",
    "RateLimits",
    "ReclaimLimits",
    "ReclaimScope",
    "Rival",
    "ShareParts",
    "Standing",
    "Verdict",
    "compare_shares",
    "divide_level",
    "path_key",
]

@final
class LedgerStats(_Record):
    __match_args__ = ("accounts", "accounts_max", "has_rate_limits")
    @property
    def accounts(self) -> int: ...
    @property
    def accounts_max(self) -> int: ...
    @property
    def has_rate_limits(self) -> bool: ...

@final
class Account(_Record):
    __match_args__ = ("index", "parent", "weight", "depth", "children")
    @property
    def index(self) -> int: ...
    @property
    def parent(self) -> int | None: ...
    @property
    def weight(self) -> float: ...
    @property
    def depth(self) -> int: ...
    @property
    def children(self) -> int: ...

@final
class Eligible(_Record):
    __match_args__ = ("account", "counter")
    @property
    def account(self) -> int: ...
    @property
    def counter(self) -> float: ...

@final
class Lead(_Record):
    __match_args__ = ("counter", "counter_min")
    @property
    def counter(self) -> float: ...
    @property
    def counter_min(self) -> float: ...

@final
class Rival(_Record):
    __match_args__ = ("counter", "weight")
    @property
    def counter(self) -> float: ...
    @property
    def weight(self) -> float: ...

@final
class ShareParts(_Record):
    __match_args__ = ("wanted", "request", "guaranteed", "share")
    @property
    def wanted(self) -> int: ...
    @property
    def request(self) -> int: ...
    @property
    def guaranteed(self) -> int: ...
    @property
    def share(self) -> int: ...

@final
class DominantShare(_Record):
    __match_args__ = ("share", "resource")
    @property
    def share(self) -> float: ...
    @property
    def resource(self) -> int | None: ...

@final
class Dominance(_Record):
    __match_args__ = ("weighted", "entitled", "level", "shares")
    @property
    def weighted(self) -> DominantShare: ...
    @property
    def entitled(self) -> DominantShare: ...
    @property
    def level(self) -> float: ...
    @property
    def shares(self) -> list[float]: ...

@final
class Borrowed(_Record):
    __match_args__ = ("permille", "resource", "borrowing")
    @property
    def permille(self) -> int: ...
    @property
    def resource(self) -> int | None: ...
    @property
    def borrowing(self) -> bool: ...

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
class Ranked(_Record):
    __match_args__ = ("account", "factor", "rank")
    @property
    def account(self) -> int: ...
    @property
    def factor(self) -> float: ...
    @property
    def rank(self) -> int: ...

@final
class Standing(_Record):
    __match_args__ = (
        "shares",
        "shares_of_parent",
        "shares_norm",
        "usage",
        "usage_norm",
        "usage_effective",
        "level_fs",
        "factor",
        "rank",
        "users",
    )
    @property
    def shares(self) -> float | None: ...
    @property
    def shares_of_parent(self) -> bool: ...
    @property
    def shares_norm(self) -> float: ...
    @property
    def usage(self) -> float: ...
    @property
    def usage_norm(self) -> float: ...
    @property
    def usage_effective(self) -> float: ...
    @property
    def level_fs(self) -> float | None: ...
    @property
    def factor(self) -> float | None: ...
    @property
    def rank(self) -> int | None: ...
    @property
    def users(self) -> int: ...

@final
class Quota(_Record):
    __match_args__ = ("quota", "limit", "lending_limit", "over_quota_weight", "over_quota_priority")
    @property
    def quota(self) -> list[int | None]: ...
    @property
    def limit(self) -> list[int | None]: ...
    @property
    def lending_limit(self) -> list[int | None]: ...
    @property
    def over_quota_weight(self) -> list[float]: ...
    @property
    def over_quota_priority(self) -> int: ...

@final
class RateLimits(_Record):
    __match_args__ = ("requests_per_minute", "tokens_per_minute", "burst_ns")
    @property
    def requests_per_minute(self) -> int: ...
    @property
    def tokens_per_minute(self) -> int: ...
    @property
    def burst_ns(self) -> int: ...

@final
class Over(_Record):
    __match_args__ = ("limit", "account", "retry_after_ns")
    @property
    def limit(self) -> Literal["requests", "tokens"]: ...
    @property
    def account(self) -> int: ...
    @property
    def retry_after_ns(self) -> int: ...

@final
class ReclaimLimits(_Record):
    __match_args__ = ("min_runtime_ns", "loss_budget", "loss_window_ns")
    @property
    def min_runtime_ns(self) -> int | None: ...
    @property
    def loss_budget(self) -> list[int | None]: ...
    @property
    def loss_window_ns(self) -> int: ...

@final
class ReclaimScope(_Record):
    __match_args__ = ("fits", "quota_depth", "share_depth", "over_account")
    @property
    def fits(self) -> bool: ...
    @property
    def quota_depth(self) -> int | None: ...
    @property
    def share_depth(self) -> int | None: ...
    @property
    def over_account(self) -> int | None: ...

@final
class Verdict(_Record):
    __match_args__ = (
        "basis",
        "refusal",
        "account",
        "resource",
        "held",
        "entitled",
        "until_ns",
        "below",
    )
    @property
    def basis(self) -> Literal["quota", "fair_share"] | None: ...
    @property
    def refusal(
        self,
    ) -> (
        Literal[
            "same_branch",
            "nothing_wanted",
            "reclaimer_over",
            "victim_within",
            "victim_guarantee",
            "min_runtime",
            "budget",
        ]
        | None
    ): ...
    @property
    def account(self) -> int | None: ...
    @property
    def resource(self) -> int | None: ...
    @property
    def held(self) -> int: ...
    @property
    def entitled(self) -> int: ...
    @property
    def until_ns(self) -> int | None: ...
    @property
    def below(self) -> list[int]: ...

@final
class Ledger:
    def __new__(
        cls,
        *,
        accounts_max: int = 1024,
        lanes: int = 1,
        resources: int = 0,
        dominant: bool = False,
        borrowing: bool = False,
        half_life_ns: int = 0,
        rates: bool = False,
        names: bool = False,
        replicas_max: int = 0,
    ) -> Self: ...
    @classmethod
    def from_policy(
        cls,
        policy: Policy,
        *,
        accounts_max: int = ...,
        lanes: int = ...,
        resources: int = ...,
        dominant: bool = ...,
        borrowing: bool = ...,
        half_life_ns: int = ...,
        rates: bool = ...,
        names: bool = ...,
        replicas_max: int = ...,
    ) -> Ledger: ...
    @staticmethod
    def bytes_needed(
        policy: Policy | None = None,
        *,
        accounts_max: int = ...,
        lanes: int = ...,
        resources: int = ...,
        dominant: bool = ...,
        borrowing: bool = ...,
        half_life_ns: int = ...,
        rates: bool = ...,
        names: bool = ...,
        replicas_max: int = ...,
    ) -> int: ...
    def save(self) -> bytes: ...
    @classmethod
    def restore(
        cls,
        snapshot: bytes,
        policy: Policy | None = None,
        *,
        accounts_max: int = ...,
        lanes: int = ...,
        resources: int = ...,
        dominant: bool = ...,
        borrowing: bool = ...,
        half_life_ns: int = ...,
        rates: bool = ...,
        names: bool = ...,
        replicas_max: int = ...,
    ) -> Ledger: ...
    def stats(self) -> LedgerStats: ...
    def open(self, parent: int | None = None, *, weight: float = 1.0) -> int: ...
    def close(self, account: int) -> None: ...
    def set_weight(self, account: int, weight: float) -> None: ...
    def account(self, account: int) -> Account: ...
    def account_at(self, index: int) -> int | None: ...
    def set_name(self, account: int, name: str) -> None: ...
    def name(self, account: int) -> str: ...
    def account_named(self, name: str, *, parent: int | None = None) -> int | None: ...
    def account_at_path(self, path: str) -> int | None: ...
    def arrive(self, account: int, *, lane: int = 0) -> None: ...
    def depart(self, account: int, *, lane: int = 0) -> None: ...
    def charge(self, account: int, cost: float, *, lane: int = 0) -> None: ...
    def counter(self, account: int, *, lane: int = 0) -> float: ...
    def waiting(self, account: int, *, lane: int = 0) -> int: ...
    def counter_min(self, *, lane: int = 0) -> float | None: ...
    def eligible(self, *, lane: int = 0, credit: float = 0.0) -> list[Eligible]: ...
    def lead(self, account: int, *, lane: int = 0) -> Lead: ...
    def rivals(self, account: int, other: int, *, lane: int = 0) -> tuple[Rival, Rival]: ...
    def set_capacity(self, capacity: Sequence[int]) -> None: ...
    def set_quota(
        self,
        account: int,
        *,
        quota: Sequence[int | None] = (),
        limit: Sequence[int | None] = (),
        lending_limit: Sequence[int | None] = (),
        over_quota_weight: Sequence[float] = (),
        over_quota_priority: int = 0,
    ) -> None: ...
    def quota(self, account: int) -> Quota: ...
    def first_over_limit(self, account: int, more: Sequence[int]) -> int | None: ...
    def ask(self, account: int, amounts: Sequence[int]) -> None: ...
    def withdraw(self, account: int, amounts: Sequence[int]) -> None: ...
    def allocate(self, account: int, amounts: Sequence[int]) -> None: ...
    def release(self, account: int, amounts: Sequence[int]) -> None: ...
    def held(self, account: int) -> list[int]: ...
    def asked(self, account: int) -> list[int]: ...
    def fair_share(self, account: int) -> list[int]: ...
    def divide(
        self,
        *,
        usage_weight: float = 0.0,
        usage: Sequence[float] = ...,
        units: Sequence[int] = ...,
    ) -> None: ...
    def divide_by_history(
        self,
        now_ns: int,
        *,
        usage_weight: float,
        usage_per_s_max: float,
        units: Sequence[int] = ...,
    ) -> None: ...
    def share_parts(self, *, resource: int) -> list[ShareParts]: ...
    def dominance(self, account: int) -> Dominance: ...
    def set_next_task(self, account: int, task: Sequence[int] | None) -> None: ...
    def next_task(self, account: int) -> list[int] | None: ...
    def most_deserving(self) -> int | None: ...
    def borrowed(self, account: int, *, more: Sequence[int] | None = None) -> Borrowed: ...
    def record_usage(self, now_ns: int, account: int, *, amount: float) -> None: ...
    def usage(self, now_ns: int, account: int | None = None) -> float: ...
    def set_shares(
        self, account: int, shares: float | None = None, *, of_parent: bool = False
    ) -> None: ...
    def set_ranked(self, account: int, ranked: bool) -> None: ...
    def next_ranked(
        self, *, ranking: Literal["fair_tree", "classic"] = "fair_tree", damping: float = 1.0
    ) -> int | None: ...
    def rank_users(
        self, *, ranking: Literal["fair_tree", "classic"] = "fair_tree", damping: float = 1.0
    ) -> list[Ranked]: ...
    def standing(
        self,
        now_ns: int,
        account: int,
        *,
        ranking: Literal["fair_tree", "classic"] = "fair_tree",
        damping: float = 1.0,
    ) -> Standing: ...
    def standings(
        self,
        now_ns: int,
        *,
        ranking: Literal["fair_tree", "classic"] = "fair_tree",
        damping: float = 1.0,
    ) -> list[Standing]: ...
    def factor(
        self,
        account: int,
        *,
        ranking: Literal["fair_tree", "classic"] = "fair_tree",
        damping: float = 1.0,
    ) -> float | None: ...
    def set_rates(
        self,
        now_ns: int,
        account: int,
        *,
        requests_per_minute: int = 0,
        tokens_per_minute: int = 0,
        burst_ns: int = ...,
    ) -> None: ...
    def rates(self, account: int) -> RateLimits: ...
    def admit_rate(self, now_ns: int, account: int, *, tokens: int = 0) -> Over | None: ...
    def rate_check(self, now_ns: int, account: int, *, tokens: int = 0) -> Over | None: ...
    def charge_rate(self, now_ns: int, account: int, *, tokens: int) -> None: ...
    def refund_rate(
        self, now_ns: int, account: int, *, requests: int = 0, tokens: int = 0
    ) -> None: ...
    def set_replica(self, replica: int, *, incarnation: int) -> None: ...
    def set_key(self, account: int, key: int) -> None: ...
    def account_of(self, key: int) -> int | None: ...
    def service(self, account: int, *, lane: int = 0) -> float: ...
    def delta(self) -> bytes: ...
    def delta_all(self) -> bytes: ...
    def merge(self, delta: bytes) -> Merged: ...
    def forget_replica(self, replica: int) -> None: ...
    def set_reclaim_limits(
        self,
        account: int,
        *,
        min_runtime_ns: int | None = None,
        loss_budget: Sequence[int | None] = ...,
        loss_window_ns: int | None = None,
    ) -> None: ...
    def reclaim_limits(self, account: int) -> ReclaimLimits: ...
    def loss_left(self, now_ns: int, account: int) -> list[int | None]: ...
    def may_reclaim(
        self, reclaimer: int, *, wanted: Sequence[int], missing: Sequence[int]
    ) -> ReclaimScope: ...
    def victims(
        self,
        reclaimer: int,
        *,
        wanted: Sequence[int],
        missing: Sequence[int],
        victims_max: int = 64,
    ) -> list[int]: ...
    def reclaimable(
        self,
        now_ns: int,
        reclaimer: int,
        *,
        wanted: Sequence[int],
        missing: Sequence[int],
        account: int,
        amounts: Sequence[int],
        started_ns: int,
        saved_ns: int | None = None,
    ) -> Verdict: ...
    def reclaimed(
        self,
        now_ns: int,
        reclaimer: int,
        *,
        account: int,
        amounts: Sequence[int],
        started_ns: int,
        saved_ns: int | None = None,
    ) -> None: ...
    def reclaim_undone(
        self,
        now_ns: int,
        reclaimer: int,
        *,
        account: int,
        amounts: Sequence[int],
        started_ns: int,
        saved_ns: int | None = None,
    ) -> None: ...

def divide_level(
    claims: Sequence[dict[str, Any]],
    *,
    total: int,
    unit: int = 1,
    usage_weight: float = 0.0,
    excess: Literal["keep", "cut"] = "keep",
) -> tuple[list[int], int]: ...
def compare_shares(shares: Sequence[float], other: Sequence[float]) -> tuple[int, float]: ...
def path_key(path: str) -> int: ...
