"""Scheduling policy for GPUs: what runs next, where, and may this come in at all, and why.

The host keeps its sockets, queues and processes; the desks below keep policy state and answer
questions. Each can be used alone, takes the time from the caller, and may be shared by threads.

| desk | question |
|---|---|
| `DynamicBatcher` | which whole requests run together in the next batch? |
| `Batcher` | what runs in the next step? |
| `Gate` | may this come in, now or later? |
| `Router` | which replica takes it? |
| `Ledger` | who deserves it? |
| `Placer` | where does it run? |
| `Headroom` | how much is safe, and how many replicas does it take? |
| `Outcomes` | what did users feel? |
| `Probe` | what do the GPUs say? |
"""

from ._native import __version__
from .batch import Batcher
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
    ReentrantError,
    SnapshotError,
    StaleError,
    TimeReversedError,
)
from .gate import Gate
from .headroom import Headroom, Reserve
from .outcome import Outcomes
from .place import Placer
from .policy import Policy
from .probe import Poller, Probe
from .route import Router
from .share import Ledger

__all__ = [
    "Batcher",
    "ContradictionError",
    "DocumentError",
    "DynamicBatcher",
    "FullError",
    "Gate",
    "Headroom",
    "InternalError",
    "Ledger",
    "NameUnknownError",
    "OutOfMemoryError",
    "Outcomes",
    "Placer",
    "Policy",
    "Poller",
    "Probe",
    "RampmeterError",
    "RangeError",
    "ReentrantError",
    "Reserve",
    "Router",
    "SnapshotError",
    "StaleError",
    "TimeReversedError",
    "__version__",
]
