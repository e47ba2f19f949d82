from collections.abc import Sequence
from typing import Literal, Protocol, Self, final

from typing_extensions import Buffer

from . import _Record
from .policy import Policy

__all__ = [
    "Candidate",
    "Prices",
    "Routed",
    "RoutedPair",
    "Router",
    "RouterStats",
    "hash_blocks",
]

class _Engine(Protocol):
    @property
    def step_coefficients(self) -> Sequence[float]: ...
    @property
    def kv_blocks(self) -> int: ...
    @property
    def kv_block_tokens(self) -> int: ...

@final
class Routed(_Record):
    __match_args__ = (
        "request",
        "replica",
        "ttft_s",
        "cost",
        "cached_tokens",
        "stale",
        "candidates",
    )
    @property
    def request(self) -> int: ...
    @property
    def replica(self) -> int: ...
    @property
    def ttft_s(self) -> float: ...
    @property
    def cost(self) -> float: ...
    @property
    def cached_tokens(self) -> int: ...
    @property
    def stale(self) -> bool: ...
    @property
    def candidates(self) -> int: ...

@final
class RoutedPair(_Record):
    __match_args__ = (
        "request",
        "prefill",
        "decode",
        "transfer_s",
        "ttft_s",
        "cost",
        "cached_tokens",
        "stale",
    )
    @property
    def request(self) -> int: ...
    @property
    def prefill(self) -> int: ...
    @property
    def decode(self) -> int: ...
    @property
    def transfer_s(self) -> float: ...
    @property
    def ttft_s(self) -> float: ...
    @property
    def cost(self) -> float: ...
    @property
    def cached_tokens(self) -> int: ...
    @property
    def stale(self) -> bool: ...

@final
class Prices(_Record):
    __match_args__ = (
        "cold_start_s",
        "queue_s",
        "step_s",
        "seats_s",
        "kv_s",
        "adapter_s",
        "load_s",
        "prefill_s",
        "transfer_s",
        "interference_s",
        "later_s",
        "ttft_s",
        "cost",
        "cached_tokens",
    )
    @property
    def cold_start_s(self) -> float: ...
    @property
    def queue_s(self) -> float: ...
    @property
    def step_s(self) -> float: ...
    @property
    def seats_s(self) -> float: ...
    @property
    def kv_s(self) -> float: ...
    @property
    def adapter_s(self) -> float: ...
    @property
    def load_s(self) -> float: ...
    @property
    def prefill_s(self) -> float: ...
    @property
    def transfer_s(self) -> float: ...
    @property
    def interference_s(self) -> float: ...
    @property
    def later_s(self) -> float: ...
    @property
    def ttft_s(self) -> float: ...
    @property
    def cost(self) -> float: ...
    @property
    def cached_tokens(self) -> int: ...

@final
class Candidate(_Record):
    __match_args__ = ("replica", "prices", "stale", "pace_ratio")
    @property
    def replica(self) -> int: ...
    @property
    def prices(self) -> Prices: ...
    @property
    def stale(self) -> bool: ...
    @property
    def pace_ratio(self) -> float: ...

@final
class RouterStats(_Record):
    __match_args__ = (
        "replicas",
        "replicas_max",
        "replicas_ready",
        "requests",
        "requests_max",
        "blocks",
        "blocks_max",
        "sets",
        "sets_max",
        "blocks_evicted",
        "decisions",
        "ended",
        "rate_per_s",
        "output_tokens_mean",
    )
    @property
    def replicas(self) -> int: ...
    @property
    def replicas_max(self) -> int: ...
    @property
    def replicas_ready(self) -> int: ...
    @property
    def requests(self) -> int: ...
    @property
    def requests_max(self) -> int: ...
    @property
    def blocks(self) -> int: ...
    @property
    def blocks_max(self) -> int: ...
    @property
    def sets(self) -> int: ...
    @property
    def sets_max(self) -> int: ...
    @property
    def blocks_evicted(self) -> int: ...
    @property
    def decisions(self) -> int: ...
    @property
    def ended(self) -> int: ...
    @property
    def rate_per_s(self) -> float: ...
    @property
    def output_tokens_mean(self) -> float: ...

@final
class Router:
    def __new__(
        cls,
        policy: Policy,
        *,
        replicas_max: int = 64,
        requests_max: int = 16_384,
        block_tokens: int = 16,
        blocks_max: int = 1_048_576,
        sets_max: int = 1_048_576,
        prompt_blocks_max: int = 8_192,
        adapters_max: int = 8,
        link_groups_max: int = 64,
        kv_bytes_per_token: int = 131_072,
        link_bytes_per_s: float = 400e9,
        network_bytes_per_s: float = 50e9,
    ) -> Self: ...
    @staticmethod
    def bytes_needed(
        policy: Policy,
        *,
        replicas_max: int = 64,
        requests_max: int = 16_384,
        block_tokens: int = 16,
        blocks_max: int = 1_048_576,
        sets_max: int = 1_048_576,
        prompt_blocks_max: int = 8_192,
        adapters_max: int = 8,
        link_groups_max: int = 64,
        kv_bytes_per_token: int = 131_072,
        link_bytes_per_s: float = 400e9,
        network_bytes_per_s: float = 50e9,
    ) -> int: ...
    def add_replica(
        self,
        now_ns: int,
        *,
        engine: str | _Engine | None = None,
        step_coefficients: Sequence[float] | None = None,
        kv_blocks: int | None = None,
        kv_block_tokens: int | None = None,
        running_max: int | None = None,
        step_tokens_max: int | None = None,
        mode: Literal["mixed", "prefill", "decode"] = "mixed",
        link_group: int = 0,
        ready_at_ns: int = 0,
        host_load_s_per_block: float = 0.0,
        disk_load_s_per_block: float = 0.0,
        adapter_load_s: float = 0.0,
    ) -> int: ...
    def report(
        self,
        now_ns: int,
        replica: int,
        *,
        running: int,
        waiting: int,
        kv_blocks_free: int,
        context_tokens: int = 0,
        prefill_tokens: int | None = None,
        as_of_ns: int | None = None,
    ) -> bool: ...
    def drain(self, now_ns: int, replica: int) -> None: ...
    def fail(self, now_ns: int, replica: int) -> int: ...
    def resume(self, now_ns: int, replica: int, *, ready_at_ns: int = 0) -> None: ...
    def remove_replica(self, now_ns: int, replica: int) -> None: ...
    def status(self, replica: int) -> Literal["ready", "draining", "failed"]: ...
    def route(
        self,
        now_ns: int,
        *,
        class_index: int,
        prompt_tokens: int,
        hashes: Buffer | Sequence[int] | None = None,
        adapter: int = 0,
    ) -> Routed | None: ...
    def route_pair(
        self,
        now_ns: int,
        *,
        class_index: int,
        prompt_tokens: int,
        hashes: Buffer | Sequence[int] | None = None,
        adapter: int = 0,
    ) -> RoutedPair | None: ...
    def explain(
        self,
        now_ns: int,
        *,
        class_index: int,
        prompt_tokens: int,
        hashes: Buffer | Sequence[int] | None = None,
        adapter: int = 0,
    ) -> list[Candidate]: ...
    def started(self, now_ns: int, request: int, *, cached_tokens: int) -> None: ...
    def first_token(self, now_ns: int, request: int) -> None: ...
    def ended(self, now_ns: int, request: int, *, output_tokens: int) -> None: ...
    def stored(
        self,
        now_ns: int,
        replica: int,
        *,
        hashes: Buffer | Sequence[int],
        tier: Literal["device", "host", "disk"] = "device",
    ) -> None: ...
    def removed(
        self,
        now_ns: int,
        replica: int,
        *,
        hashes: Buffer | Sequence[int],
        tier: Literal["device", "host", "disk"] = "device",
    ) -> None: ...
    def cleared(self, now_ns: int, replica: int) -> None: ...
    def adapter_loaded(self, now_ns: int, replica: int, *, adapter: int) -> None: ...
    def adapter_unloaded(self, now_ns: int, replica: int, *, adapter: int) -> None: ...
    def set_policy(self, policy: Policy) -> None: ...
    def save(self) -> bytes: ...
    @classmethod
    def restore(
        cls,
        policy: Policy,
        snapshot: bytes,
        *,
        replicas_max: int = 64,
        requests_max: int = 16_384,
        block_tokens: int = 16,
        blocks_max: int = 1_048_576,
        sets_max: int = 1_048_576,
        prompt_blocks_max: int = 8_192,
        adapters_max: int = 8,
        link_groups_max: int = 64,
        kv_bytes_per_token: int = 131_072,
        link_bytes_per_s: float = 400e9,
        network_bytes_per_s: float = 50e9,
    ) -> Router: ...
    def stats(self) -> RouterStats: ...

def hash_blocks(
    tokens: Buffer | Sequence[int], *, block_tokens: int, root: int = 0
) -> list[int]: ...
