"""Scheduling policy for GPUs: what runs next, where, and may this come in at all, and why.

The host keeps its sockets, queues and processes; the desks below keep policy state and answer
questions. Each can be used alone, takes the time from the caller, and may be shared by threads.

| desk | question |
|---|---|
| `Gate` | may this come in, now or later? |
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
from .policy import Policy

__all__ = [
    "ContradictionError",
    "DocumentError",
    "FullError",
    "Gate",
    "InternalError",
    "NameUnknownError",
    "OutOfMemoryError",
    "Policy",
    "RampmeterError",
    "RangeError",
    "SnapshotError",
    "StaleError",
    "TimeReversedError",
    "__version__",
]
