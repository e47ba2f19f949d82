"""Who may come in, who waits, and for whom a server is free."""

from ._native.gate import (
    Admit,
    Displaced,
    Expired,
    Gate,
    GateStats,
    GivenUp,
    Hold,
    Outlook,
    Shed,
    Start,
)

__all__ = [
    "Admit",
    "Displaced",
    "Expired",
    "Gate",
    "GateStats",
    "GivenUp",
    "Hold",
    "Outlook",
    "Shed",
    "Start",
]
