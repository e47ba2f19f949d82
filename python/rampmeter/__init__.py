"""Scheduling policy for GPUs: what runs next, where, and may this come in at all, and why.

The host keeps its sockets, queues and processes; the desks below keep policy state and answer
questions. Each can be used alone, takes the time from the caller, and may be shared by threads.

| desk | question |
|---|---|
| `Gate` | may this come in, now or later? |
| `Router` | which replica takes it? |
| `Ledger` | who deserves it? |
| `Placer` | where does it run? |
"""

from ._native import __version__
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
from .place import Placer
from .policy import Policy
from .route import Router
from .share import Ledger

__all__ = [
    "ContradictionError",
    "DocumentError",
    "FullError",
    "Gate",
    "InternalError",
    "Ledger",
    "NameUnknownError",
    "OutOfMemoryError",
    "Placer",
    "Policy",
    "RampmeterError",
    "RangeError",
    "Router",
    "SnapshotError",
    "StaleError",
    "TimeReversedError",
    "__version__",
]
