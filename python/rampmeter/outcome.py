"""What users felt: the books by which everything else is judged."""

from ._native.outcome import (
    AccountWork,
    Counts,
    Difference,
    Distribution,
    Outcomes,
    OutcomesStats,
    finish_time_fairness,
    jain,
)

__all__ = [
    "AccountWork",
    "Counts",
    "Difference",
    "Distribution",
    "Outcomes",
    "OutcomesStats",
    "finish_time_fairness",
    "jain",
]
