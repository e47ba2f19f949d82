from collections.abc import Callable, Sequence
from os import PathLike
from typing import Final, Generic, Literal, Self, TypeAlias, TypeVar, final

from . import _Record
from .place import Device as _PlaceDevice
from .place import Placer

__all__ = [
    "HANGING_AFTER_NS",
    "STALE_AFTER_NS",
    "Change",
    "Clocks",
    "Condition",
    "Denied",
    "Device",
    "Driver",
    "Failed",
    "Joined",
    "KvBudget",
    "KvGeometry",
    "Memory",
    "NoBudget",
    "NodeBridge",
    "NodeDevices",
    "NvLink",
    "Ok",
    "Poller",
    "PollerState",
    "Power",
    "Probe",
    "Process",
    "Processes",
    "Signals",
    "Snapshot",
    "Stopped",
    "Throttle",
    "Unclear",
    "Unsupported",
    "Utilization",
    "Visible",
    "Xid",
    "describe",
    "kv_bytes_per_token",
]

HANGING_AFTER_NS: Final[int]
STALE_AFTER_NS: Final[int]

_T_co = TypeVar("_T_co", covariant=True)
_Backend: TypeAlias = Literal["nvml", "cuda", "fixture", "none"]
_Permission: TypeAlias = Literal["look", "start", "make_contexts"]
_Group: TypeAlias = Literal["inventory", "memory", "utilization", "condition", "processes"]
_Kind: TypeAlias = Literal["gpu", "mig", "unified"]
_Health: TypeAlias = Literal["ready", "lost", "reset_required", "lost_xid_79", "unreachable"]
_Path: TypeAlias = Literal["internal", "PIX", "PXB", "PHB", "NODE", "SYS", "unknown"]
_Word: TypeAlias = Literal[
    "off",
    "ready",
    "no_devices",
    "no_driver",
    "not_the_driver",
    "driver_not_loaded",
    "stub_library",
    "version_mismatch",
    "access_lost",
    "denied",
    "not_ready",
    "not_started",
    "hanging",
    "failed",
]

@final
class Ok(_Record, Generic[_T_co]):
    __match_args__ = ("value", "age_ns")
    @property
    def value(self) -> _T_co: ...
    @property
    def age_ns(self) -> int: ...
    def fresh(self, snapshot_age_ns: int, age_max_ns: int) -> _T_co | None: ...
    @classmethod
    def __class_getitem__(cls, _of: object) -> type[Self]: ...

@final
class Unsupported(_Record):
    def __new__(cls) -> Self: ...
    __match_args__ = ()
    def fresh(self, _snapshot_age_ns: int, _age_max_ns: int) -> None: ...

@final
class Denied(_Record):
    def __new__(cls) -> Self: ...
    __match_args__ = ()
    def fresh(self, _snapshot_age_ns: int, _age_max_ns: int) -> None: ...

@final
class Failed(_Record):
    __match_args__ = ("call", "code")
    @property
    def call(self) -> str: ...
    @property
    def code(self) -> int: ...
    def fresh(self, _snapshot_age_ns: int, _age_max_ns: int) -> None: ...

_Reading: TypeAlias = Ok[_T_co] | Unsupported | Denied | Failed

@final
class Memory(_Record):
    __match_args__ = ("total_bytes", "free_bytes", "used_bytes", "reserved_bytes", "basis")
    @property
    def total_bytes(self) -> int: ...
    @property
    def free_bytes(self) -> int: ...
    @property
    def used_bytes(self) -> int | None: ...
    @property
    def reserved_bytes(self) -> int | None: ...
    @property
    def basis(self) -> Literal["driver", "driver_v1", "host_estimated", "cuda_context"]: ...

@final
class Utilization(_Record):
    __match_args__ = ("gpu_pct", "memory_pct", "window_max_ns")
    @property
    def gpu_pct(self) -> int: ...
    @property
    def memory_pct(self) -> int: ...
    @property
    def window_max_ns(self) -> int: ...

@final
class Process(_Record):
    __match_args__ = ("pid", "memory_bytes", "gpu_instance")
    @property
    def pid(self) -> int: ...
    @property
    def memory_bytes(self) -> int | None: ...
    @property
    def gpu_instance(self) -> int | None: ...

@final
class Processes(_Record):
    __match_args__ = ("found", "processes")
    @property
    def found(self) -> int: ...
    @property
    def processes(self) -> list[Process]: ...

@final
class Power(_Record):
    __match_args__ = ("draw_mw", "limit_mw")
    @property
    def draw_mw(self) -> int: ...
    @property
    def limit_mw(self) -> int | None: ...

@final
class Clocks(_Record):
    __match_args__ = ("sm_mhz", "memory_mhz")
    @property
    def sm_mhz(self) -> int: ...
    @property
    def memory_mhz(self) -> int | None: ...

@final
class Throttle(_Record):
    __match_args__ = ("bits", "names", "is_limiting")
    @property
    def bits(self) -> int: ...
    @property
    def names(self) -> list[str]: ...
    @property
    def is_limiting(self) -> bool: ...

@final
class Xid(_Record):
    __match_args__ = ("count", "last", "last_age_ns")
    @property
    def count(self) -> int: ...
    @property
    def last(self) -> int: ...
    @property
    def last_age_ns(self) -> int: ...

@final
class NvLink(_Record):
    __match_args__ = ("number", "version", "peer", "peer_pci")
    @property
    def number(self) -> int: ...
    @property
    def version(self) -> int | None: ...
    @property
    def peer(self) -> Literal["gpu", "switch", "other", "unknown"]: ...
    @property
    def peer_pci(self) -> str | None: ...

@final
class Device(_Record):
    __match_args__ = (
        "uuid",
        "name",
        "kind",
        "health",
        "index",
        "parent_uuid",
        "gpu_instance",
        "compute_instance",
        "cuda_ordinal",
        "pci",
        "compute_capability",
        "memory",
        "utilization",
        "processes",
        "power",
        "clocks",
        "temperature_c",
        "throttle",
        "numa",
        "cpus",
        "nvlinks",
        "mig",
        "xid",
    )
    @property
    def uuid(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> _Kind: ...
    @property
    def health(self) -> _Health: ...
    @property
    def index(self) -> int: ...
    @property
    def parent_uuid(self) -> str | None: ...
    @property
    def gpu_instance(self) -> int | None: ...
    @property
    def compute_instance(self) -> int | None: ...
    @property
    def cuda_ordinal(self) -> int | None: ...
    @property
    def pci(self) -> _Reading[str]: ...
    @property
    def compute_capability(self) -> _Reading[tuple[int, int]]: ...
    @property
    def memory(self) -> _Reading[Memory]: ...
    @property
    def utilization(self) -> _Reading[Utilization]: ...
    @property
    def processes(self) -> _Reading[Processes]: ...
    @property
    def power(self) -> _Reading[Power]: ...
    @property
    def clocks(self) -> _Reading[Clocks]: ...
    @property
    def temperature_c(self) -> _Reading[int]: ...
    @property
    def throttle(self) -> _Reading[Throttle]: ...
    @property
    def numa(self) -> _Reading[int]: ...
    @property
    def cpus(self) -> _Reading[list[int]]: ...
    @property
    def nvlinks(self) -> _Reading[list[NvLink]]: ...
    @property
    def mig(self) -> _Reading[bool]: ...
    @property
    def xid(self) -> _Reading[Xid]: ...

@final
class Condition(_Record):
    __match_args__ = ("word", "is_success", "reason", "remedy", "call", "code")
    @property
    def word(self) -> _Word: ...
    @property
    def is_success(self) -> bool: ...
    @property
    def reason(self) -> str: ...
    @property
    def remedy(self) -> str: ...
    @property
    def call(self) -> str | None: ...
    @property
    def code(self) -> int | None: ...

@final
class Driver(_Record):
    __match_args__ = ("version", "nvml_version", "cuda_version")
    @property
    def version(self) -> str: ...
    @property
    def nvml_version(self) -> str: ...
    @property
    def cuda_version(self) -> int: ...

@final
class Visible(_Record):
    __match_args__ = ("uuids", "ended_at")
    @property
    def uuids(self) -> list[str]: ...
    @property
    def ended_at(self) -> int | None: ...

@final
class Unclear(_Record):
    __match_args__ = ("why", "reason")
    @property
    def why(self) -> Literal["fastest_first", "address"]: ...
    @property
    def reason(self) -> str: ...

@final
class Signals(_Record):
    __match_args__ = (
        "uuid",
        "kind",
        "health",
        "source",
        "condition",
        "at_ns",
        "snapshot_age_ns",
        "memory_is_estimated",
        "memory_total_bytes",
        "memory_free_bytes",
        "memory_taken_ratio",
        "kernel_time_ratio",
        "memory_access_time_ratio",
        "utilization_window_max_ns",
        "processes",
        "power_draw_w",
        "power_of_limit_ratio",
        "temperature_c",
        "sm_clock_mhz",
        "memory_clock_mhz",
        "slowed_by",
        "is_power_capped",
        "is_clock_idle",
        "xid_events",
        "xid_last",
    )
    @property
    def uuid(self) -> str: ...
    @property
    def kind(self) -> _Kind: ...
    @property
    def health(self) -> _Health: ...
    @property
    def source(self) -> _Backend: ...
    @property
    def condition(self) -> Condition: ...
    @property
    def at_ns(self) -> int: ...
    @property
    def snapshot_age_ns(self) -> int: ...
    @property
    def memory_is_estimated(self) -> bool: ...
    @property
    def memory_total_bytes(self) -> _Reading[int]: ...
    @property
    def memory_free_bytes(self) -> _Reading[int]: ...
    @property
    def memory_taken_ratio(self) -> _Reading[float]: ...
    @property
    def kernel_time_ratio(self) -> _Reading[float]: ...
    @property
    def memory_access_time_ratio(self) -> _Reading[float]: ...
    @property
    def utilization_window_max_ns(self) -> _Reading[int]: ...
    @property
    def processes(self) -> _Reading[int]: ...
    @property
    def power_draw_w(self) -> _Reading[float]: ...
    @property
    def power_of_limit_ratio(self) -> _Reading[float]: ...
    @property
    def temperature_c(self) -> _Reading[int]: ...
    @property
    def sm_clock_mhz(self) -> _Reading[int]: ...
    @property
    def memory_clock_mhz(self) -> _Reading[int]: ...
    @property
    def slowed_by(self) -> _Reading[list[str]]: ...
    @property
    def is_power_capped(self) -> _Reading[bool]: ...
    @property
    def is_clock_idle(self) -> _Reading[bool]: ...
    @property
    def xid_events(self) -> _Reading[int]: ...
    @property
    def xid_last(self) -> _Reading[int]: ...

@final
class Snapshot:
    @classmethod
    def from_json(cls, document: str, *, taken_at_ns: int) -> Snapshot: ...
    def to_json(self) -> str: ...
    @property
    def taken_at_ns(self) -> int: ...
    @property
    def seq(self) -> int: ...
    @property
    def source(self) -> _Backend: ...
    @property
    def condition(self) -> Condition: ...
    @property
    def driver(self) -> Driver: ...
    @property
    def devices(self) -> tuple[Device, ...]: ...
    @property
    def devices_left_out(self) -> int: ...
    def age_ns(self, now_ns: int) -> int: ...
    def is_stale(self, now_ns: int, *, age_max_ns: int = ...) -> bool: ...
    def device(self, uuid: str) -> Device | None: ...
    def path(self, uuid: str, other_uuid: str) -> _Path: ...
    def nvlinks_between(self, uuid: str, other_uuid: str) -> int: ...
    def visible(
        self, *, order: str | None = None, devices: str | None = None
    ) -> Visible | Unclear: ...
    def visible_here(self) -> Visible | Unclear: ...
    def signals(self, now_ns: int) -> list[Signals]: ...
    def sm_clock_drop_ratio(self, uuid: str, *, before: Snapshot) -> float | None: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Joined(_Record):
    __match_args__ = ("snapshot", "condition")
    @property
    def snapshot(self) -> Snapshot: ...
    @property
    def condition(self) -> Condition: ...

@final
class Probe:
    def __new__(
        cls,
        backend: _Backend = "nvml",
        *,
        library: str | PathLike[str] | None = None,
        path: str | PathLike[str] | None = None,
        permission: _Permission | None = None,
    ) -> Self: ...
    def read(self, groups: Sequence[_Group] | None = None) -> Snapshot: ...
    def join(self, snapshot: Snapshot) -> Joined: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_raised: object) -> None: ...

@final
class PollerState(_Record):
    __match_args__ = ("word", "call", "since_ns")
    @property
    def word(self) -> Literal["running", "hanging", "ended", "forked"]: ...
    @property
    def call(self) -> str | None: ...
    @property
    def since_ns(self) -> int | None: ...

@final
class Stopped(_Record):
    __match_args__ = ("how", "call")
    @property
    def how(self) -> Literal["clean", "detached", "forked"]: ...
    @property
    def call(self) -> str | None: ...

@final
class Poller:
    @staticmethod
    def start(
        backend: _Backend = "nvml",
        *,
        library: str | PathLike[str] | None = None,
        path: str | PathLike[str] | None = None,
        permission: _Permission | None = None,
        memory_ns: int = ...,
        utilization_ns: int = ...,
        condition_ns: int = ...,
        processes_ns: int = ...,
        inventory_ns: int = ...,
        retry_ns: int = ...,
    ) -> Poller: ...
    def latest(self) -> Snapshot: ...
    def state(self, now_ns: int) -> PollerState: ...
    def wait_first(self, patience_ns: int = ...) -> bool: ...
    def stop(self, patience_ns: int = ...) -> Stopped: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_raised: object) -> None: ...

@final
class NodeDevices:
    @property
    def devices(self) -> list[_PlaceDevice]: ...
    @property
    def uuids(self) -> list[str]: ...
    def __len__(self) -> int: ...

def describe(
    snapshot: Snapshot,
    *,
    model: Callable[[Device], int | None],
    layout: Callable[[Device], str | None] | None = None,
) -> NodeDevices: ...

@final
class Change(_Record):
    __match_args__ = ("node", "device", "action", "why", "detail", "missing_mib")
    @property
    def node(self) -> int: ...
    @property
    def device(self) -> int: ...
    @property
    def action(self) -> Literal["fail", "drain", "return"]: ...
    @property
    def why(self) -> Literal["lost", "stale", "missing", "driver", "memory_taken", "recovered"]: ...
    @property
    def detail(self) -> str | None: ...
    @property
    def missing_mib(self) -> int | None: ...
    def apply(self, placer: Placer) -> list[int]: ...

@final
class NodeBridge:
    def __new__(
        cls,
        node: int,
        devices: NodeDevices,
        *,
        stale_after_ns: int | None = None,
        slack_mib: int | None = None,
    ) -> Self: ...
    def changes(self, now_ns: int, snapshot: Snapshot, placer: Placer) -> list[Change]: ...

@final
class KvGeometry(_Record):
    __match_args__ = ("kv_blocks", "kv_block_tokens")
    @property
    def kv_blocks(self) -> int: ...
    @property
    def kv_block_tokens(self) -> int: ...

@final
class NoBudget(_Record):
    __match_args__ = ("why", "place")
    @property
    def why(self) -> Literal["no_devices", "unknown", "not_read", "no_room"]: ...
    @property
    def place(self) -> int | None: ...

@final
class KvBudget:
    def __new__(
        cls,
        *,
        bytes_per_token: int,
        kv_block_tokens: int = 16,
        keep_free_bytes: int = 0,
        age_max_ns: int = ...,
    ) -> Self: ...
    def geometry(
        self, now_ns: int, snapshot: Snapshot, uuids: Sequence[str]
    ) -> KvGeometry | NoBudget: ...

def kv_bytes_per_token(
    *,
    layers: int,
    kv_heads: int,
    head_size: int,
    bytes_per_value: int,
    tensor_parallel: int = 1,
) -> int: ...
