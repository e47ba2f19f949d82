from collections.abc import Sequence
from typing import Any, Literal, Self, TypeAlias, final

from . import _Record
from .headroom import Reserve
from .policy import Policy
from .share import Ledger

__all__ = [
    "Choice",
    "Compaction",
    "Cycle",
    "Device",
    "DeviceModelStats",
    "DeviceState",
    "Expected",
    "FleetStats",
    "Hold",
    "Layout",
    "Move",
    "Nearest",
    "NoRoom",
    "Node",
    "NodeState",
    "Placer",
    "PlacerStats",
    "Price",
    "Profile",
    "Reservation",
    "Resized",
    "Running",
    "Task",
    "TaskState",
    "Totals",
    "WhatIf",
    "Why",
]

_Lack: TypeAlias = Literal[
    "status",
    "labels",
    "model",
    "cpu",
    "memory",
    "devices",
    "device_memory",
    "link_group",
    "partition",
    "spread",
    "topology",
    "reserved",
]
_Sharing: TypeAlias = Literal["shared", "exclusive", "partitioned"]
_Domain: TypeAlias = Literal["node", "rack", "zone", "fleet"]
_Change: TypeAlias = (
    tuple[Literal["add_node"], Node]
    | tuple[Literal["place"], Task]
    | tuple[Literal["release", "remove_node", "fail_node", "drain_node", "return_node"], int]
)

@final
class Profile(_Record):
    def __new__(
        cls,
        *,
        compute_slices: int,
        memory_slices: int,
        memory_mib: int,
        starts: Sequence[int],
    ) -> Self: ...
    __match_args__ = ("compute_slices", "memory_slices", "memory_mib", "starts")
    @property
    def compute_slices(self) -> int: ...
    @property
    def memory_slices(self) -> int: ...
    @property
    def memory_mib(self) -> int: ...
    @property
    def starts(self) -> list[int]: ...

@final
class Layout(_Record):
    def __new__(cls, *, compute_slices: int, profiles: Sequence[Profile]) -> Self: ...
    __match_args__ = ("compute_slices", "profiles")
    @property
    def compute_slices(self) -> int: ...
    @property
    def profiles(self) -> list[Profile]: ...

@final
class Hold(_Record):
    def __new__(
        cls,
        *,
        node: int,
        devices: Sequence[int] = ...,
        slices: int = 0,
        cpu_milli: int = 0,
        memory_mib: int = 0,
        device_milli: int = 0,
        device_memory_mib: int = 0,
    ) -> Self: ...
    __match_args__ = (
        "node",
        "cpu_milli",
        "memory_mib",
        "devices",
        "device_milli",
        "device_memory_mib",
        "slices",
    )
    @property
    def node(self) -> int: ...
    @property
    def cpu_milli(self) -> int: ...
    @property
    def memory_mib(self) -> int: ...
    @property
    def devices(self) -> list[int]: ...
    @property
    def device_milli(self) -> int: ...
    @property
    def device_memory_mib(self) -> int: ...
    @property
    def slices(self) -> int: ...

@final
class Price(_Record):
    __match_args__ = (
        "stranding_s",
        "warm_up_s",
        "link_s",
        "interference_s",
        "crowding_s",
        "lost_work_s",
        "total_s",
    )
    @property
    def stranding_s(self) -> float: ...
    @property
    def warm_up_s(self) -> float: ...
    @property
    def link_s(self) -> float: ...
    @property
    def interference_s(self) -> float: ...
    @property
    def crowding_s(self) -> float: ...
    @property
    def lost_work_s(self) -> float: ...
    @property
    def total_s(self) -> float: ...

@final
class Running(_Record):
    __match_args__ = ("task", "members", "price")
    @property
    def task(self) -> int: ...
    @property
    def members(self) -> list[Hold]: ...
    @property
    def price(self) -> Price: ...

@final
class NoRoom(_Record):
    __match_args__ = ("lack",)
    @property
    def lack(self) -> _Lack: ...

@final
class Resized(_Record):
    __match_args__ = ("members", "price")
    @property
    def members(self) -> list[Hold]: ...
    @property
    def price(self) -> Price: ...

@final
class TaskState(_Record):
    __match_args__ = ("tag", "account", "stage", "submitted_ns", "started_ns", "price", "holds")
    @property
    def tag(self) -> int: ...
    @property
    def account(self) -> int: ...
    @property
    def stage(self) -> Literal["pending", "running", "ending"]: ...
    @property
    def submitted_ns(self) -> int: ...
    @property
    def started_ns(self) -> int: ...
    @property
    def price(self) -> Price: ...
    @property
    def holds(self) -> list[Hold]: ...

@final
class Totals(_Record):
    __match_args__ = ("nodes", "devices", "gpu_milli", "cpu_milli", "memory_mib")
    @property
    def nodes(self) -> int: ...
    @property
    def devices(self) -> int: ...
    @property
    def gpu_milli(self) -> int: ...
    @property
    def cpu_milli(self) -> int: ...
    @property
    def memory_mib(self) -> int: ...

@final
class FleetStats(_Record):
    __match_args__ = ("nodes", "total", "free")
    @property
    def nodes(self) -> int: ...
    @property
    def total(self) -> Totals: ...
    @property
    def free(self) -> Totals: ...

@final
class DeviceModelStats(_Record):
    __match_args__ = ("devices", "devices_free", "gpu_milli", "gpu_free_milli")
    @property
    def devices(self) -> int: ...
    @property
    def devices_free(self) -> int: ...
    @property
    def gpu_milli(self) -> int: ...
    @property
    def gpu_free_milli(self) -> int: ...

@final
class NodeState(_Record):
    __match_args__ = (
        "cpu_milli",
        "cpu_free_milli",
        "memory_mib",
        "memory_free_mib",
        "labels",
        "rack",
        "zone",
        "holds",
        "devices_len",
        "models",
        "status",
    )
    @property
    def cpu_milli(self) -> int: ...
    @property
    def cpu_free_milli(self) -> int: ...
    @property
    def memory_mib(self) -> int: ...
    @property
    def memory_free_mib(self) -> int: ...
    @property
    def labels(self) -> int: ...
    @property
    def rack(self) -> int: ...
    @property
    def zone(self) -> int: ...
    @property
    def holds(self) -> int: ...
    @property
    def devices_len(self) -> int: ...
    @property
    def models(self) -> list[int]: ...
    @property
    def status(self) -> Literal["ready", "draining", "failed"]: ...

@final
class DeviceState(_Record):
    __match_args__ = (
        "model",
        "memory_mib",
        "memory_free_mib",
        "free_milli",
        "holders",
        "slices",
        "numa",
        "link_group",
        "sharing",
        "layout",
        "health",
    )
    @property
    def model(self) -> int: ...
    @property
    def memory_mib(self) -> int: ...
    @property
    def memory_free_mib(self) -> int: ...
    @property
    def free_milli(self) -> int: ...
    @property
    def holders(self) -> int: ...
    @property
    def slices(self) -> int: ...
    @property
    def numa(self) -> int: ...
    @property
    def link_group(self) -> int: ...
    @property
    def sharing(self) -> _Sharing: ...
    @property
    def layout(self) -> str | int | None: ...
    @property
    def health(self) -> Literal["ready", "draining", "failed"]: ...

@final
class Choice(_Record):
    __match_args__ = ("devices", "slices", "lack")
    @property
    def devices(self) -> list[int]: ...
    @property
    def slices(self) -> int: ...
    @property
    def lack(self) -> _Lack | None: ...

@final
class Reservation(_Record):
    __match_args__ = ("task", "start_at_ns")
    @property
    def task(self) -> int: ...
    @property
    def start_at_ns(self) -> int: ...

@final
class Cycle(_Record):
    __match_args__ = (
        "started",
        "ending",
        "reserved",
        "looked_at",
        "no_room",
        "over_limit",
        "held",
        "passed_over",
        "replays",
        "more",
    )
    @property
    def started(self) -> list[int]: ...
    @property
    def ending(self) -> list[int]: ...
    @property
    def reserved(self) -> list[Reservation]: ...
    @property
    def looked_at(self) -> int: ...
    @property
    def no_room(self) -> int: ...
    @property
    def over_limit(self) -> int: ...
    @property
    def held(self) -> int: ...
    @property
    def passed_over(self) -> int: ...
    @property
    def replays(self) -> int: ...
    @property
    def more(self) -> bool: ...

@final
class Nearest(_Record):
    __match_args__ = ("node", "lack", "has", "needs")
    @property
    def node(self) -> int: ...
    @property
    def lack(self) -> _Lack: ...
    @property
    def has(self) -> int: ...
    @property
    def needs(self) -> int: ...

@final
class Why(_Record):
    __match_args__ = (
        "nodes",
        "fits",
        "lacks",
        "members_fit",
        "members_needed",
        "nearest",
        "held",
        "starts",
    )
    @property
    def nodes(self) -> int: ...
    @property
    def fits(self) -> int: ...
    @property
    def lacks(self) -> list[tuple[_Lack, int]]: ...
    @property
    def members_fit(self) -> int: ...
    @property
    def members_needed(self) -> int: ...
    @property
    def nearest(self) -> Nearest | None: ...
    @property
    def held(self) -> bool: ...
    @property
    def starts(self) -> bool: ...

@final
class Expected(_Record):
    __match_args__ = ("at_ns", "because")
    @property
    def at_ns(self) -> int | None: ...
    @property
    def because(
        self,
    ) -> Literal["started", "reserved", "ends", "held", "many_before", "unknown", "never_fits"]: ...

@final
class Move(_Record):
    __match_args__ = ("task", "from_", "to", "stranded_milli", "lost_work_s", "gain_s")
    @property
    def task(self) -> int: ...
    @property
    def from_(self) -> Hold: ...
    @property
    def to(self) -> Hold: ...
    @property
    def stranded_milli(self) -> int: ...
    @property
    def lost_work_s(self) -> float: ...
    @property
    def gain_s(self) -> float: ...

@final
class Compaction(_Record):
    __match_args__ = ("moves", "stranded_milli", "gain_s")
    @property
    def moves(self) -> list[Move]: ...
    @property
    def stranded_milli(self) -> int: ...
    @property
    def gain_s(self) -> float: ...

@final
class WhatIf(_Record):
    __match_args__ = ("not_placed", "total", "free", "members_fit")
    @property
    def not_placed(self) -> int: ...
    @property
    def total(self) -> Totals: ...
    @property
    def free(self) -> Totals: ...
    @property
    def members_fit(self) -> list[int]: ...

@final
class PlacerStats(_Record):
    __match_args__ = (
        "tasks",
        "tasks_max",
        "pending",
        "reservations",
        "reservations_max",
        "members",
        "members_max",
        "nodes",
        "nodes_max",
        "nodes_ready",
        "devices",
        "devices_free",
        "gpu_free_milli",
        "cycles",
    )
    @property
    def tasks(self) -> int: ...
    @property
    def tasks_max(self) -> int: ...
    @property
    def pending(self) -> int: ...
    @property
    def reservations(self) -> int: ...
    @property
    def reservations_max(self) -> int: ...
    @property
    def members(self) -> int: ...
    @property
    def members_max(self) -> int: ...
    @property
    def nodes(self) -> int: ...
    @property
    def nodes_max(self) -> int: ...
    @property
    def nodes_ready(self) -> int: ...
    @property
    def devices(self) -> int: ...
    @property
    def devices_free(self) -> int: ...
    @property
    def gpu_free_milli(self) -> int: ...
    @property
    def cycles(self) -> int: ...

@final
class Device:
    def __new__(
        cls,
        *,
        model: int = 0,
        memory_mib: int = 0,
        sharing: _Sharing = "shared",
        layout: str | int | None = None,
        numa: int = 0,
        link_group: int = 0,
    ) -> Self: ...
    @property
    def model(self) -> int: ...
    @property
    def memory_mib(self) -> int: ...
    @property
    def sharing(self) -> _Sharing: ...
    @property
    def layout(self) -> str | int | None: ...
    @property
    def numa(self) -> int: ...
    @property
    def link_group(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Node:
    def __new__(
        cls,
        *,
        cpu_milli: int = 0,
        memory_mib: int = 0,
        devices: Sequence[Device] = (),
        labels: int = 0,
        rack: int = 0,
        zone: int = 0,
    ) -> Self: ...

@final
class Task:
    def __new__(
        cls,
        *,
        cpu_milli: int = 0,
        memory_mib: int = 0,
        devices: Literal["none", "whole", "share", "partition"] = "none",
        device_count: int = 1,
        device_milli: int = 0,
        device_memory_mib: int = 0,
        compute_slices: int = 0,
        models: Sequence[int] | None = None,
        one_link_group: bool = False,
        tag: int = 0,
        account: int = 0,
        class_index: int = 0,
        priority: int = 0,
        members: int = 1,
        members_min: int = 0,
        duration_ns: int = 0,
        artifact: int = 0,
        warm_up_ns: int = 0,
        preemptible: bool = False,
        min_runtime_ns: int = 0,
        labels_required: int = 0,
        labels_forbidden: int = 0,
        within: _Domain = "fleet",
        within_required: bool = False,
        slowdown_ratio: float = 0.0,
        link_slowdown_ratio: float = 0.0,
        spread_group: int = 0,
        spread_domain: _Domain = "fleet",
        spread_members_max: int = 0,
        crowding_s: float = 0.0,
    ) -> Self: ...
    @property
    def tag(self) -> int: ...
    @property
    def account(self) -> int: ...
    @property
    def members(self) -> int: ...
    @property
    def gpu_milli(self) -> int: ...
    def as_dict(self) -> dict[str, Any]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Placer:
    def __new__(
        cls,
        policy: Policy,
        *,
        nodes_max: int = 1024,
        devices_per_node_max: int = 8,
        tasks_max: int = 16_384,
        members_max: int = 16_384,
        task_members_max: int = 1024,
        accounts_max: int = 1024,
        layouts: Sequence[Layout] = (),
    ) -> Self: ...
    @staticmethod
    def bytes_needed(
        policy: Policy,
        *,
        nodes_max: int = 1024,
        devices_per_node_max: int = 8,
        tasks_max: int = 16_384,
        members_max: int = 16_384,
        task_members_max: int = 1024,
        accounts_max: int = 1024,
        layouts: Sequence[Layout] = (),
    ) -> int: ...
    def set_policy(self, policy: Policy) -> None: ...
    def set_shadow_price(self, shadow_price: float) -> None: ...
    def shadow_price(self) -> float: ...
    def set_mix(self, mix: Sequence[tuple[Task, int]]) -> None: ...
    def save(self) -> bytes: ...
    @classmethod
    def restore(
        cls,
        policy: Policy,
        snapshot: bytes,
        *,
        nodes_max: int = 1024,
        devices_per_node_max: int = 8,
        tasks_max: int = 16_384,
        members_max: int = 16_384,
        task_members_max: int = 1024,
        accounts_max: int = 1024,
        layouts: Sequence[Layout] = (),
    ) -> Placer: ...
    def stats(self) -> PlacerStats: ...
    def knows_shape(self, task: Task) -> bool: ...
    def add_node(self, node: Node) -> int: ...
    def remove_node(self, node: int) -> None: ...
    def drain_node(self, node: int) -> list[int]: ...
    def fail_node(self, node: int) -> list[int]: ...
    def return_node(self, node: int) -> None: ...
    def drain_device(self, node: int, device: int) -> list[int]: ...
    def fail_device(self, node: int, device: int) -> list[int]: ...
    def return_device(self, node: int, device: int) -> None: ...
    def set_labels(self, node: int, labels: int) -> None: ...
    def set_warm(self, node: int, artifact: int, warm: bool) -> None: ...
    def is_warm(self, node: int, artifact: int) -> bool: ...
    def is_drained(self, node: int) -> bool: ...
    def nodes(self) -> list[int]: ...
    def node(self, node: int) -> NodeState: ...
    def devices(self, node: int) -> list[DeviceState]: ...
    def choice(self, node: int, task: Task) -> Choice: ...
    def fleet_stats(self) -> FleetStats: ...
    def device_model_stats(self, model: int) -> DeviceModelStats: ...
    def place(self, now_ns: int, task: Task) -> Running | NoRoom: ...
    def submit(self, now_ns: int, task: Task) -> int: ...
    def release(self, now_ns: int, task: int) -> None: ...
    def requeue(self, now_ns: int, task: int) -> None: ...
    def resize(self, now_ns: int, task: int, *, members: int) -> Resized | NoRoom: ...
    def resize_members(self, now_ns: int, task: int, *, like: Task) -> Resized | NoRoom: ...
    def moved_to(self, now_ns: int, task: int, *, to: Hold) -> None: ...
    def checkpointed(self, now_ns: int, task: int, *, at_ns: int) -> None: ...
    def task(self, task: int) -> TaskState: ...
    def asked(self, task: int) -> Task: ...
    def lost_work_s(self, now_ns: int, task: int) -> float: ...
    def cycle(
        self,
        now_ns: int,
        ledger: Ledger,
        *,
        started_max: int = 256,
        ending_max: int = 256,
        reserved_max: int = 64,
    ) -> Cycle: ...
    def cycle_holding(
        self,
        now_ns: int,
        ledger: Ledger,
        reserve: Reserve,
        *,
        started_max: int = 256,
        ending_max: int = 256,
        reserved_max: int = 64,
    ) -> Cycle: ...
    def held_back(self) -> int | None: ...
    def settle(self, now_ns: int, ledger: Ledger) -> None: ...
    def reclaim_for(self, now_ns: int, ledger: Ledger, task: int) -> list[int] | None: ...
    def reservations(self) -> list[Reservation]: ...
    def why(self, now_ns: int, task: Task) -> Why: ...
    def expected_start(self, now_ns: int, task: int) -> Expected: ...
    def compact(self, now_ns: int, *, moves_max: int = 16) -> Compaction: ...
    def what_if(
        self, now_ns: int, changes: Sequence[_Change], *, tasks: Sequence[Task] = ...
    ) -> WhatIf: ...
    def place_if(self, now_ns: int, changes: Sequence[_Change], task: Task) -> list[Hold]: ...
