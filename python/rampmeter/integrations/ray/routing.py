"""A request router for Ray Serve."""

import asyncio
import importlib
import logging
from collections.abc import Hashable, Sequence
from typing import Any, Protocol

from rampmeter import RampmeterError

from .desk import Replica, RequestDesk
from .facts import Describe, Request, describe
from .hub import Hub, Member

__all__ = ["Routing", "hub_actor", "request_router"]

logger = logging.getLogger("ray.serve")

PERIOD_S = 0.1
"""Between two letters of a router, as `docs/policies/exchange.md` has it measured."""

FULL_EVERY = 10
"""Of so many letters one tells everything."""

PROBES = 8
"""Replicas that are asked for their queue at once when none seems to have room."""


class _Handle(Protocol):
    def __getattr__(self, name: str) -> Any: ...


class Routing:
    """What makes a Ray request router one of rampmeter; it stands before Ray's class.

    `initialize_state` takes what `RequestDesk` takes, and `describe` also as "module:function";
    `share=False` keeps this deployment's routers to themselves.
    """

    # Of Ray's class.
    _deployment_id: Any
    _replicas: dict[Hashable, Replica]
    _replica_queue_len_cache: Any
    _pending_requests_to_route: Any

    def initialize_state(
        self, *, describe: Describe | str = describe, share: bool = True, **options: Any
    ) -> None:
        """Begin; Ray calls it with `request_router_kwargs`."""
        reader = _found(describe) if isinstance(describe, str) else describe
        self.desk = RequestDesk(describe=reader, **options)
        self._pending_requests_to_route = self.desk.queue()
        self._streaming: set[str] = set()
        self._probed = 0
        self._share = share
        self._talk: asyncio.Task[None] | None = None

    def _insert_pending_request_sorted(self, queue: Any, pending_request: Request) -> None:
        if queue is self._pending_requests_to_route:
            queue.appendleft(pending_request)
        else:
            super()._insert_pending_request_sorted(queue, pending_request)  # type: ignore[misc]

    def _remove_pending_request_from_indices(self, pending_request: Request) -> None:
        super()._remove_pending_request_from_indices(pending_request)  # type: ignore[misc]
        future: Any = pending_request
        if future.future.cancelled():
            self.desk.left(pending_request)

    def update_replicas(self, replicas: Sequence[Replica]) -> None:
        """Take the replicas that there are, with what they said."""
        self.desk.sync(replicas)
        super().update_replicas(replicas)  # type: ignore[misc]

    def on_replica_actor_died(self, replica_id: Hashable) -> None:
        """Forget a replica that was lost."""
        self.desk.gone(replica_id)
        super().on_replica_actor_died(replica_id)  # type: ignore[misc]

    def _has_room(self, replica_id: Hashable) -> bool:
        replica = self._replicas.get(replica_id)
        if replica is None:
            return False
        ongoing = self._replica_queue_len_cache.get(replica_id)
        return ongoing is None or ongoing < replica.max_ongoing_requests

    async def choose_replicas(
        self,
        candidate_replicas: Sequence[Replica],
        pending_request: Request | None = None,
    ) -> list[list[Replica]]:
        """Choose the cheapest replica that has room."""
        if pending_request is None:
            return [list(candidate_replicas)]
        if self._share and self._talk is None:
            self._talk = asyncio.get_running_loop().create_task(self._exchange())
        try:
            chosen = self.desk.choose(pending_request, self._has_room)
            if chosen is None and candidate_replicas:
                await self._probe(candidate_replicas)
                chosen = self.desk.choose(pending_request, self._has_room)
        except RampmeterError:
            # Facts that cannot be, or more requests than there is room for: Ray chooses.
            logger.exception("rampmeter: a request was not understood")
            return [list(candidate_replicas)]
        replica = None if chosen is None else self._replicas.get(chosen)
        return [] if replica is None else [[replica]]

    async def _probe(self, replicas: Sequence[Replica]) -> None:
        """Ask some replicas, in turn, how many requests they have."""
        count, begin = min(PROBES, len(replicas)), self._probed
        self._probed += count
        asked = [replicas[(begin + place) % len(replicas)] for place in range(count)]
        probe: Any = self
        await probe._probe_queue_lens(asked, 0)

    def on_request_routed(
        self, pending_request: Request, replica_id: Hashable, result: object
    ) -> None:
        """Take it that the replica took the request."""
        if pending_request.metadata.is_streaming:
            self._streaming.add(pending_request.metadata.internal_request_id)
        self.desk.accepted(pending_request, replica_id)
        super().on_request_routed(pending_request, replica_id, result)  # type: ignore[misc]

    def on_request_completed(self, replica_id: Hashable, internal_request_id: str) -> None:
        """End a request, or take it back from a replica that refused it."""
        whole = internal_request_id not in self._streaming
        self._streaming.discard(internal_request_id)
        self.desk.completed(replica_id, internal_request_id, whole=whole)
        super().on_request_completed(replica_id, internal_request_id)  # type: ignore[misc]

    async def _exchange(self) -> None:
        """Tell other routers whom this one served, for as long as it lives."""
        hub = hub_actor(self._deployment_id.app_name, self._deployment_id.name)
        member: Member | None = None
        turn = 0
        while True:
            try:
                if member is None:
                    member = await self._join(hub)
                else:
                    full = turn % FULL_EVERY == 0
                    letter, events = self.desk.letter(full=full), self.desk.events()
                    heard = await hub.exchange.remote(
                        member.number, member.incarnation, letter, full=full, events=events
                    )
                    if heard is None:
                        member = None
                    else:
                        self.desk.heard(heard)
                    turn += 1
            except Exception:
                # Whatever is wrong with the hub, requests must go on.
                logger.exception("rampmeter: the hub was not reached; shares are this router's own")
                await asyncio.sleep(PERIOD_S * FULL_EVERY)
            await asyncio.sleep(PERIOD_S)

    async def _join(self, hub: _Handle) -> Member | None:
        number = getattr(self, "_number", None)
        member: Member | None = await hub.join.remote(number)
        if member is not None:
            self._number = member.number
            self.desk.ledger.set_replica(member.number, incarnation=member.incarnation)
            self.desk.heard(member.letters)
        return member


def _found(path: str) -> Describe:
    module, _, name = path.partition(":")
    found: Describe = getattr(importlib.import_module(module), name)
    return found


def hub_actor(app_name: str | None, deployment_name: str) -> Any:
    """Give the actor in which the routers of a deployment meet; it is started if there is none."""
    ray = importlib.import_module("ray")
    options = {
        "name": f"{app_name or ''}#{deployment_name}",
        "namespace": "rampmeter",
        "get_if_exists": True,
        "lifetime": "detached",
        "num_cpus": 0,
        "max_restarts": -1,
    }
    return ray.remote(Hub).options(**options).remote()


def request_router() -> type:
    """Make the class for `RequestRouterConfig`. Raises `ImportError` without Ray."""
    base = importlib.import_module("ray.serve.request_router").RequestRouter
    place = {"__module__": "rampmeter.integrations.ray", "__doc__": Routing.__doc__}
    return type("RequestRouter", (Routing, base), place)
