"""Scheduling policy for GPUs: what runs next, where, and may this come in at all, and why.

The host keeps its sockets, queues and processes; the desks below keep policy state and answer
questions. Each can be used alone, takes the time from the caller, and may be shared by threads.

| desk | question |
|---|---|
| `Batcher` | what runs in the next step? |
| `Gate` | may this come in, now or later? |
"""

from ._native import __version__
from .batch import Batcher
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
from .policy import Policy

__all__ = [
    "Batcher",
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
    "ReentrantError",
    "SnapshotError",
    "StaleError",
    "TimeReversedError",
    "__version__",
]
