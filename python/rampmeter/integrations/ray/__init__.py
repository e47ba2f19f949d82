"""rampmeter in Ray: a request router and an autoscaler for Serve, and placement for Ray itself.

`RequestRouter`, for `RequestRouterConfig(request_router_class=...)`, is made when it is first asked
for, since its base is Ray's. `docs/guides/ray.md` says how to use all of it.
"""

from typing import TYPE_CHECKING

from .autoscaling import Autoscaler
from .desk import RequestDesk
from .facts import Facts, describe
from .hub import Hub
from .placement import Placement, RayFleet
from .queue import FairQueue
from .routing import Routing, hub_actor, request_router

__all__ = [
    "Autoscaler",
    "Facts",
    "FairQueue",
    "Hub",
    "Placement",
    "RayFleet",
    "RequestDesk",
    "Routing",
    "describe",
    "hub_actor",
]

if TYPE_CHECKING:
    RequestRouter: type


def __getattr__(name: str) -> type:
    if name != "RequestRouter":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = request_router()
    # Once: Ray compares classes.
    globals()[name] = made
    return made
