"""An autoscaling policy for Ray Serve: as many replicas as hold the waits below a target."""

import math
from typing import Any, Protocol

from .routing import hub_actor

__all__ = ["Autoscaler", "Context"]


class Context(Protocol):
    """What Ray says of a deployment."""

    app_name: str | None
    deployment_name: str
    current_num_replicas: int
    target_num_replicas: int
    capacity_adjusted_min_replicas: int
    capacity_adjusted_max_replicas: int
    config: Any

    @property
    def total_num_requests(self) -> float:
        """Requests that wait or run."""


class Autoscaler:
    """Says how many replicas a deployment needs, by the headroom of what comes.

    For `AutoscalingPolicy(policy_function="rampmeter.integrations.ray:Autoscaler")`, with its
    arguments as `policy_kwargs`, behind rampmeter's request router, which counts what comes.

    At most `late_ratio_max` of requests wait longer than `target_s`. `seats` are requests that a
    replica serves at once without slowing them down. While too little has come to say, it is Ray's
    own rule: ongoing requests over `target_ongoing_requests`. Replicas are added when they are
    needed, and taken away when fewer are enough for certain.
    """

    def __init__(
        self, *, target_s: float = 1.0, late_ratio_max: float = 0.05, seats: int = 1
    ) -> None:
        """Make one; Ray does it once, in its controller."""
        self._asked = {"seats": seats, "target_s": target_s, "late_ratio_max": late_ratio_max}
        self._hub: Any = None
        self._pending: Any = None
        self._needed: tuple[float, float] | None = None

    def __call__(self, ctx: Context) -> tuple[int, dict[str, Any]]:
        """Decide; Ray calls it every second or so."""
        self._look(ctx)
        replicas, basis = self.decide(ctx, self._needed)
        return replicas, {"rampmeter_basis": basis}

    @staticmethod
    def decide(ctx: Context, needed: tuple[float, float] | None) -> tuple[int, str]:
        """Decide by what is needed and what is enough for certain, or without them."""
        least, most = ctx.capacity_adjusted_min_replicas, ctx.capacity_adjusted_max_replicas
        if needed is None:
            ongoing = getattr(ctx.config, "target_ongoing_requests", None) or 1.0
            wanted, basis = math.ceil(ctx.total_num_requests / ongoing), "ongoing"
        else:
            # Infinitely many where no number of replicas would do.
            value, enough = (math.ceil(min(number, most)) for number in needed)
            now, basis = ctx.target_num_replicas, "headroom"
            wanted = value if value > now else min(enough, now)
        return max(least, min(wanted, most)), basis

    def _look(self, ctx: Context) -> None:
        """Take the last answer of the hub and ask again: the controller must not wait for it."""
        if self._pending is not None:
            if not self._pending.done():
                return
            failed = self._pending.exception() is not None
            self._needed = None if failed else self._pending.result()
            self._hub = None if failed else self._hub
        if self._hub is None:
            self._hub = hub_actor(ctx.app_name, ctx.deployment_name)
        replicas = ctx.current_num_replicas
        self._pending = self._hub.replicas_needed.remote(replicas=replicas, **self._asked).future()
