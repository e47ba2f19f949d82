"""Where each request goes: the decisions of a request router, without Ray.

One for each router, which Ray has in every proxy and every process with a handle. They tell each
other whom they served through a `Hub`.
"""

import logging
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from rampmeter import Ledger, Policy, RampmeterError, Router, StaleError
from rampmeter.share import path_key

from .facts import Describe, Facts, Request, describe
from .hub import Event, Letter
from .queue import FairQueue

__all__ = ["Flight", "Replica", "RequestDesk", "policy_of"]

logger = logging.getLogger("ray.serve")

OTHERS = "others"
"""The account of those for whom there is no room."""

FACTS_MAX = 65_536
"""Requests whose facts are remembered; those of one that is forgotten are read again."""

EVENTS_MAX = 100_000
"""Events that are kept while the hub is away; the older half is forgotten."""

REPORTED = ("running", "waiting", "kv_blocks_free", "context_tokens", "prefill_tokens")
"""What a replica's `record_routing_stats` may say; the first three are needed."""


class Replica(Protocol):
    """A replica as Ray describes it."""

    @property
    def replica_id(self) -> Hashable:
        """Names it."""

    @property
    def max_ongoing_requests(self) -> int:
        """Requests that it takes at once."""

    @property
    def routing_stats(self) -> Mapping[str, Any]:
        """What its `record_routing_stats` said last."""


@dataclass(slots=True)
class Flight:
    """A request on its way to a replica, or there."""

    request: int
    replica_id: Hashable
    facts: Facts
    routed_ns: int
    accepted: bool = False


def policy_of(given: Policy | str | None) -> Policy:
    """Give a policy as it is, of a document in TOML, or of the file that a text names."""
    if given is None:
        return Policy()
    if isinstance(given, Policy):
        return given
    return Policy.from_toml(given) if "\n" in given else Policy.load(given)


class RequestDesk:
    """Chooses replicas, knows what is under way, and whose turn it is.

    `engine` and `replica` describe every replica as `Router.add_replica` takes them. With
    `learn_pace` an answer that comes in one piece tells how fast a replica is. Other options are
    the router's.
    """

    def __init__(
        self,
        *,
        policy: Policy | str | None = None,
        engine: str = "llama-3.1-8b",
        replica: Mapping[str, Any] | None = None,
        describe: Describe = describe,
        learn_pace: bool = True,
        clock: Callable[[], int] = time.monotonic_ns,
        **router_options: Any,
    ) -> None:
        """Make one without replicas."""
        self._policy = policy_of(policy)
        self._clock = clock
        self._describe = describe
        self._engine = engine
        self._spec = dict(replica or {})
        self._learn_pace = learn_pace
        self.router = Router(self._policy, **router_options)
        self.ledger = Ledger.from_policy(
            self._policy,
            lanes=1,
            names=True,
            replicas_max=255,
            resources=0,
            half_life_ns=0,
            dominant=False,
            borrowing=False,
            rates=False,
        )
        self._handles: dict[Hashable, int] = {}
        self._ids: dict[int, Hashable] = {}
        self._stats: dict[Hashable, Mapping[str, Any]] = {}
        self._closed: set[Hashable] = set()
        self._flights: dict[str, Flight] = {}
        self._facts: dict[str, Facts] = {}
        self._accounts: dict[str, int] = {}
        self._opened: list[str] = []
        self._others = self._open(OTHERS)
        self._waiting: dict[str, int] = {}
        self._events: list[Event] = []

    def queue(self) -> FairQueue[Request]:
        """Make the queue in which requests wait for their turn."""
        return FairQueue(self.ledger, lambda request: self.account(self.facts(request).account))

    def facts(self, request: Request) -> Facts:
        """Say what a request is; it is read once."""
        name = request.metadata.internal_request_id
        known = self._facts.get(name)
        if known is None:
            known = self._read(request)
            while len(self._facts) >= FACTS_MAX:
                self._facts.pop(next(iter(self._facts)))
            self._facts[name] = known
            self._waiting[name] = self._happened("arrived")
        return known

    def _happened(self, kind: str, lasted_ns: int = 0) -> int:
        now_ns = self._clock()
        self._events.append(Event(kind, now_ns, lasted_ns))
        if len(self._events) > EVENTS_MAX:
            del self._events[: EVENTS_MAX // 2]
        return now_ns

    def _read(self, request: Request) -> Facts:
        try:
            return self._describe(request)
        except Exception:
            # What a client sends must not stop the router.
            logger.exception("rampmeter: a request could not be read")
            return Facts()

    def account(self, path: str) -> int:
        """Give the handle of the account at the end of a path; it is opened if it is new.

        Where there is no room, or the path can be none, it is that of all others.
        """
        known = self._accounts.get(path)
        if known is None:
            try:
                known = self._open(path or OTHERS)
            except RampmeterError:
                return self._others
            self._accounts[path] = known
        return known

    def _open(self, path: str) -> int:
        parent, done = None, ""
        for name in path.split("/"):
            done = f"{done}/{name}" if done else name
            found = self.ledger.account_at_path(done)
            if found is None:
                found = self.ledger.open(parent)
                self.ledger.set_name(found, name)
                self.ledger.set_key(found, path_key(done))
                self._opened.append(done)
            parent = found
        assert parent is not None
        return parent

    def sync(self, replicas: Iterable[Replica]) -> None:
        """Take the replicas that there are from now on, with what they say."""
        now_ns, present = self._clock(), set()
        for replica in replicas:
            name = replica.replica_id
            present.add(name)
            if name not in self._handles:
                spec = {"running_max": replica.max_ongoing_requests, **self._spec}
                handle = self.router.add_replica(now_ns, engine=self._engine, **spec)
                self._handles[name], self._ids[handle] = handle, name
            self._report(now_ns, replica)
        for name in [name for name in self._handles if name not in present]:
            self.gone(name)

    def _report(self, now_ns: int, replica: Replica) -> None:
        said = replica.routing_stats
        if not said or self._stats.get(replica.replica_id) == said:
            return
        self._stats[replica.replica_id] = said
        if all(name in said for name in REPORTED[:3]):
            state = {name: said[name] for name in REPORTED if said.get(name) is not None}
            self.router.report(now_ns, self._handles[replica.replica_id], **state)

    def gone(self, replica_id: Hashable) -> None:
        """Forget a replica that ended or was lost."""
        handle = self._handles.pop(replica_id, None)
        if handle is not None:
            del self._ids[handle]
            self._stats.pop(replica_id, None)
            self._closed.discard(replica_id)
            self.router.remove_replica(self._clock(), handle)

    def choose(self, request: Request, has_room: Callable[[Hashable], bool]) -> Hashable | None:
        """Choose the replica that a request goes to; `None` if none has room.

        The request is on its way from now on, until `completed` or the next `choose` for it.
        """
        name, facts, now_ns = (
            request.metadata.internal_request_id,
            self.facts(request),
            self._clock(),
        )
        earlier = self._flights.pop(name, None)
        if earlier is not None:
            self._end(now_ns, earlier, output_tokens=0)
        for closed in [closed for closed in self._closed if has_room(closed)]:
            self._closed.discard(closed)
            self.router.resume(now_ns, self._handles[closed])
        while True:
            routed = self.router.route(
                now_ns,
                class_index=facts.class_index,
                prompt_tokens=facts.prompt_tokens,
                hashes=facts.hashes,
                adapter=facts.adapter,
            )
            if routed is None:
                return None
            chosen = self._ids[routed.replica]
            if has_room(chosen):
                break
            self.router.ended(now_ns, routed.request, output_tokens=0)
            self._closed.add(chosen)
            self.router.drain(now_ns, routed.replica)
        arrived_ns = self._waiting.pop(name, None)
        if arrived_ns is not None:
            self._happened("started", now_ns - arrived_ns)
            cost = float(facts.prompt_tokens - routed.cached_tokens + facts.output_tokens)
            self.ledger.charge(self.account(facts.account), cost)
        self._flights[name] = Flight(routed.request, chosen, facts, now_ns)
        return chosen

    def accepted(self, request: Request, replica_id: Hashable) -> None:
        """Take it that the replica took the request."""
        flight = self._flights.get(request.metadata.internal_request_id)
        if flight is not None and flight.replica_id == replica_id:
            flight.accepted = True

    def completed(self, replica_id: Hashable, name: str, *, whole: bool) -> None:
        """End a request: it was answered, refused by the replica, failed or cancelled.

        `whole`: its answer came in one piece, so that its first token is its last.
        """
        flight = self._flights.get(name)
        if flight is None or flight.replica_id != replica_id:
            return
        now_ns = self._clock()
        del self._flights[name]
        if not flight.accepted:
            self._end(now_ns, flight, output_tokens=0)
            return
        self._facts.pop(name, None)
        self._happened("ended", now_ns - flight.routed_ns)
        if whole and self._learn_pace:
            self._first_token(now_ns, flight)
        # What a replica took has an answer, however long it was meant to be.
        self._end(now_ns, flight, output_tokens=max(flight.facts.output_tokens, 1))

    def left(self, request: Request) -> None:
        """Take it that a request was cancelled before it was on its way."""
        name = request.metadata.internal_request_id
        arrived_ns = self._waiting.pop(name, None)
        if arrived_ns is not None:
            self._facts.pop(name, None)
            self._happened("left", self._clock() - arrived_ns)

    def events(self) -> list[Event]:
        """Say what requests did since the last time, and how long ago."""
        now_ns, events = self._clock(), self._events
        self._events = []
        return [event._replace(ns=now_ns - event.ns) for event in events]

    def _first_token(self, now_ns: int, flight: Flight) -> None:
        try:
            self.router.first_token(now_ns, flight.request)
        except StaleError:
            return

    def _end(self, now_ns: int, flight: Flight, *, output_tokens: int) -> None:
        try:
            self.router.ended(now_ns, flight.request, output_tokens=output_tokens)
        except StaleError:
            return

    def letter(self, *, full: bool) -> Letter:
        """Say what is to be told to other routers: whom this one served, and who is new."""
        if full:
            return Letter(self.ledger.delta_all(), tuple(self._accounts))
        opened, self._opened = tuple(self._opened), []
        return Letter(self.ledger.delta(), opened)

    def heard(self, letters: Iterable[Letter]) -> None:
        """Take what other routers told."""
        for letter in letters:
            for path in letter.accounts:
                self.account(path)
            self.ledger.merge(letter.delta)
