"""Which whole requests run together in the next batch of an ordinary model."""

from ._native.dynamic import (
    Curve,
    CurveStats,
    DynamicBatcher,
    DynamicClass,
    DynamicExplanation,
    DynamicOptions,
    DynamicStats,
    Expired,
    Formed,
    Launch,
    Observed,
    Queued,
    Shed,
    Verdict,
    Wait,
)

__all__ = [
    "Curve",
    "CurveStats",
    "DynamicBatcher",
    "DynamicClass",
    "DynamicExplanation",
    "DynamicOptions",
    "DynamicStats",
    "Expired",
    "Formed",
    "Launch",
    "Observed",
    "Queued",
    "Shed",
    "Verdict",
    "Wait",
]
