"""Scheduling policy for GPUs: what runs next, where, and may this come in at all, and why.

The host keeps its sockets, queues and processes; the desks below keep policy state and answer
questions. Each can be used alone, takes the time from the caller, and may be shared by threads.

| desk | question |
|---|---|
| `DynamicBatcher` | which whole requests run together in the next batch? |
| `Gate` | may this come in, now or later? |
| `Headroom` | how much is safe, and how many replicas does it take? |
| `Outcomes` | what did users feel? |
"""

from ._native import __version__
from .dynamic import DynamicBatcher
from .errors import (
    ContradictionError,
    DocumentError,
    FullError,
    InternalError,
    NameUnknownError,
    OutOfMemoryError,
    RampmeterError,
    RangeError,
    SnapshotError,
    StaleError,
    TimeReversedError,
)
from .gate import Gate
from .headroom import Headroom, Reserve
from .outcome import Outcomes
from .policy import Policy

__all__ = [
    "ContradictionError",
    "DocumentError",
    "DynamicBatcher",
    "FullError",
    "Gate",
    "Headroom",
    "InternalError",
    "NameUnknownError",
    "OutOfMemoryError",
    "Outcomes",
    "Policy",
    "RampmeterError",
    "RangeError",
    "Reserve",
    "SnapshotError",
    "StaleError",
    "TimeReversedError",
    "__version__",
]
