"""How much load is safe, how many replicas that takes, and what a GPU is worth meanwhile."""

from ._native.headroom import (
    CanRemove,
    EngineSeats,
    Estimate,
    Headroom,
    HeadroomClass,
    HeadroomOptions,
    HeadroomStats,
    HoldVerdict,
    NotEnoughData,
    Reserve,
    ReserveStats,
    ShadowPrice,
    engine_seats,
)

__all__ = [
    "CanRemove",
    "EngineSeats",
    "Estimate",
    "Headroom",
    "HeadroomClass",
    "HeadroomOptions",
    "HeadroomStats",
    "HoldVerdict",
    "NotEnoughData",
    "Reserve",
    "ReserveStats",
    "ShadowPrice",
    "engine_seats",
]
