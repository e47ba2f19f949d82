"""The place where routers of one deployment meet: they tell whom they served, and what came.

A plain object; in a cluster it is an actor, of which each deployment has one. Nothing waits for it:
a router that cannot reach it goes on with what it knows.
"""

import heapq
import itertools
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["Event", "Hub", "Letter", "Member"]

MEMBERS_MAX = 256
"""Routers that can meet: a ledger hears of 255 others."""

INBOX_MAX = 128
"""Letters that wait for a router; older ones are dropped, and the next full one makes up for it."""

LEASE_S = 30.0
"""A router that was silent for so long is gone, and its number is free."""

SETTLED_NS = 500_000_000
"""Events are counted when they are so old, five periods of routers: all have told theirs then."""


class Letter(NamedTuple):
    """What one router tells the others: a delta of its ledger, and accounts that are new to it."""

    delta: bytes
    accounts: tuple[str, ...]


class Event(NamedTuple):
    """Something that a request did: "arrived", "started", "ended" or "left" before it started.

    `ns` is when, on the router's clock, and in a message how long ago; `lasted_ns` how long it had
    waited when it started or left, or ran when it ended.
    """

    kind: str
    ns: int
    lasted_ns: int = 0


class Member(NamedTuple):
    """A router that has joined: its number, which of its lives this is, and what it missed."""

    number: int
    incarnation: int
    letters: list[Letter]


@dataclass(slots=True)
class _Place:
    incarnation: int
    seen_s: float
    inbox: deque[Letter]
    full: Letter | None = None


class Hub:
    """Hands on letters, and keeps the headroom of a deployment."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, seed: int | None = None
    ) -> None:
        """Make one that nobody has joined."""
        self._clock = clock
        self._draw = random.Random(seed)
        self._places: dict[int, _Place] = {}
        self._headroom: Any = None
        self._events: list[tuple[int, int, Event]] = []
        self._turns = itertools.count()
        self._counted_ns = 0
        self._waiting = self._running = 0
        self._shape: tuple[float, float, int] | None = None
        self._replicas = 0

    def join(self, wanted: int | None = None) -> Member | None:
        """Join, with the number `wanted` where that is free; `None` if all numbers are taken."""
        now_s = self._clock()
        for number in [n for n, place in self._places.items() if now_s - place.seen_s > LEASE_S]:
            del self._places[number]
        free = [number for number in range(MEMBERS_MAX) if number not in self._places]
        if wanted is not None:
            free = [wanted] if wanted in free else []
        if not free:
            return None
        number = self._draw.choice(free)
        incarnation = time.time_ns()
        letters = [place.full for place in self._places.values() if place.full is not None]
        self._places[number] = _Place(incarnation, now_s, deque(maxlen=INBOX_MAX))
        return Member(number, incarnation, letters)

    def exchange(
        self,
        number: int,
        incarnation: int,
        letter: Letter,
        *,
        full: bool,
        events: Sequence[Event] = (),
    ) -> list[Letter] | None:
        """Tell all others, and hear what they told since; `None`: join first."""
        place = self._places.get(number)
        if place is None or place.incarnation != incarnation:
            return None
        place.seen_s = self._clock()
        if full:
            place.full = letter
        for other, there in self._places.items():
            if other != number:
                there.inbox.append(letter)
        self._take(events)
        heard = list(place.inbox)
        place.inbox.clear()
        return heard

    def _take(self, events: Sequence[Event]) -> None:
        """Put what routers told into one order."""
        if self._headroom is None:
            return
        now_ns = self._now_ns()
        for event in events:
            heapq.heappush(self._events, (now_ns - event.ns, next(self._turns), event))
        self._count(now_ns - SETTLED_NS)

    def _count(self, until_ns: int) -> None:
        while self._events and self._events[0][0] <= until_ns:
            at_ns, _, event = heapq.heappop(self._events)
            # What comes later than it should have counts as now.
            self._counted_ns = at_ns = max(at_ns, self._counted_ns)
            self._tell(at_ns, event)

    def _tell(self, at_ns: int, event: Event) -> None:
        """Tell the headroom of an event, unless its beginning was before anybody counted."""
        if event.kind == "arrived":
            self._waiting += 1
            self._headroom.arrived(at_ns)
        elif event.kind == "started" and self._waiting > 0:
            self._waiting, self._running = self._waiting - 1, self._running + 1
            self._headroom.started(at_ns, waited_ns=event.lasted_ns)
        elif event.kind == "left" and self._waiting > 0:
            self._waiting -= 1
            self._headroom.left(at_ns, waited_ns=event.lasted_ns)
        elif event.kind == "ended" and self._running > 0:
            self._running -= 1
            self._headroom.ended(at_ns, ran_ns=event.lasted_ns)

    def _now_ns(self) -> int:
        return int(self._clock() * 1e9)

    def replicas_needed(
        self, *, replicas: int, seats: int, target_s: float, late_ratio_max: float
    ) -> tuple[float, float] | None:
        """How many replicas meet the target, and how many are enough for certain.

        `None` while too little has come to say. From the first call on requests are counted; one
        with another target or other seats begins anew.
        """
        from rampmeter.headroom import Estimate, Headroom, HeadroomClass, HeadroomOptions

        shape = (target_s, late_ratio_max, seats)
        if self._shape != shape:
            target = HeadroomClass(target_ns=int(target_s * 1e9), late_ratio_max=late_ratio_max)
            options = HeadroomOptions([target], replicas=replicas, replicas_max=4096, seats=seats)
            self._headroom, self._shape = Headroom(options), shape
            self._replicas = replicas
            self._events.clear()
            self._waiting = self._running = 0
        until_ns = max(self._now_ns() - SETTLED_NS, 0)
        self._count(until_ns)
        # Where nothing comes, only this says so.
        self._counted_ns = max(until_ns, self._counted_ns)
        self._headroom.passed(self._counted_ns)
        if replicas != self._replicas:
            self._headroom.set_replicas(self._counted_ns, replicas)
            self._replicas = replicas
        needed = self._headroom.replicas_needed()
        return (needed.value, needed.high) if isinstance(needed, Estimate) else None
