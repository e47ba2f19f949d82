"""Which replica takes it, by what each would cost."""

from ._native.route import (
    Candidate,
    Prices,
    Routed,
    RoutedPair,
    Router,
    RouterStats,
    hash_blocks,
)

__all__ = [
    "Candidate",
    "Prices",
    "Routed",
    "RoutedPair",
    "Router",
    "RouterStats",
    "hash_blocks",
]
