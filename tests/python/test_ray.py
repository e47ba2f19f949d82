"""rampmeter in Ray, without Ray: its decisions against small fakes."""

import asyncio
import math
import random
import sys
import time
from collections import deque
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rampmeter import Ledger
from rampmeter.integrations import ray
from rampmeter.integrations.ray import (
    Autoscaler,
    Facts,
    FairQueue,
    Hub,
    RayFleet,
    RequestDesk,
    Routing,
    describe,
)
from rampmeter.integrations.ray.hub import LEASE_S, SETTLED_NS, Event
from rampmeter.integrations.ray.placement import label_selectors
from rampmeter.place import NoRoom

SMALL = {"replicas_max": 8, "requests_max": 4096, "blocks_max": 65_536, "sets_max": 65_536}
PREFIX = "You are a helpful assistant. " * 100


class Clock:
    now_ns = 1_000_000_000

    def __call__(self):
        self.now_ns += 1_000
        return self.now_ns


def replica(name, most=4, **stats):
    return SimpleNamespace(replica_id=name, max_ongoing_requests=most, routing_stats=stats)


NUMBERS = iter(range(1_000_000))


def request(said="", *, user=None, model="", session="", streaming=False):
    metadata = SimpleNamespace(
        internal_request_id=f"r{next(NUMBERS)}",
        multiplexed_model_id=model,
        session_id=session,
        is_streaming=streaming,
    )
    said = {"prompt": said, "user": user} if user else said
    return SimpleNamespace(args=[said], kwargs={}, metadata=metadata, created_at=time.time())


def anywhere(_):
    return True


@pytest.fixture
def desk():
    desk = RequestDesk(clock=Clock(), **SMALL)
    desk.sync([replica("a"), replica("b"), replica("c")])
    return desk


def serve(desk, asked, has_room=anywhere):
    chosen = desk.choose(asked, has_room)
    desk.accepted(asked, chosen)
    desk.completed(chosen, asked.metadata.internal_request_id, whole=True)
    return chosen


def test_what_requests_say():
    chat = [{"role": "user", "content": "x" * 256}]
    same = describe(request({"messages": chat, "user": "org/team", "max_tokens": 7}))
    assert (same.account, same.output_tokens) == ("org/team", 7)
    assert same.hashes == describe(request(SimpleNamespace(messages=chat))).hashes
    assert len(same.hashes) == same.prompt_tokens // 16 == 4
    assert describe(request("y" * 64, session="s1")).account == "s1"
    other = describe(request("y" * 64, model="adapter"))
    assert other.adapter != 0
    assert other.hashes != describe(request("y" * 64)).hashes
    for odd in (None, b"\x80pickled", 7, {"prompt": [1, 2, 3]}, {"messages": 5}):
        facts = describe(request(odd))
        assert facts.prompt_tokens >= 1
        assert facts.account == ""


def test_prompts_go_where_they_were(desk):
    first = serve(desk, request(PREFIX + "one"))
    assert {serve(desk, request(PREFIX + f"{number}")) for number in range(5)} == {first}
    on_its_way = request(PREFIX + "lost")
    assert desk.choose(on_its_way, anywhere) == first
    desk.gone(first)
    desk.completed(first, on_its_way.metadata.internal_request_id, whole=True)
    assert serve(desk, request(PREFIX + "after")) != first
    assert desk.router.stats().requests == 0
    assert desk.router.stats().replicas == 2


def test_full_replicas_are_passed_over_until_they_have_room(desk):
    home = serve(desk, request(PREFIX))
    assert serve(desk, request(PREFIX), lambda name: name != home) != home
    assert serve(desk, request(PREFIX)) == home
    assert desk.choose(request(PREFIX), lambda _: False) is None
    assert desk.router.stats().requests == 0
    assert serve(desk, request(PREFIX)) == home


def test_a_refused_request_goes_again(desk):
    asked = request(PREFIX)
    name = asked.metadata.internal_request_id
    first = desk.choose(asked, anywhere)
    charged = desk.ledger.counter(desk.account(""))
    second = desk.choose(asked, lambda one: one != first)
    # That the first one refused it may become known late.
    desk.completed(first, name, whole=True)
    assert desk.router.stats().requests == 1
    desk.accepted(asked, second)
    desk.completed(second, name, whole=True)
    desk.completed(second, name, whole=True)
    assert desk.router.stats().requests == 0
    assert desk.ledger.counter(desk.account("")) == charged
    assert [event.kind for event in desk.events()] == ["arrived", "started", "ended"]
    desk.facts(again := request(PREFIX))
    desk.left(again)
    desk.left(again)
    assert [event.kind for event in desk.events()] == ["arrived", "left"]


def test_slow_replicas_are_learned():
    clock = Clock()
    desk = RequestDesk(clock=clock, **SMALL)
    desk.sync([replica("fast", 64), replica("slow", 64)])
    taken = {"fast": 0, "slow": 0}
    for number in range(60):
        asked = request(f"{number} " * 2000)
        chosen = desk.choose(asked, anywhere)
        taken[chosen] += 1
        desk.accepted(asked, chosen)
        clock.now_ns += 4_000_000_000 if chosen == "slow" else 200_000_000
        desk.completed(chosen, asked.metadata.internal_request_id, whole=True)
    assert taken["slow"] < taken["fast"] / 4


def test_reports_of_replicas_are_heard(desk):
    busy = {"running": 4, "waiting": 60, "kv_blocks_free": 0, "prefill_tokens": 900_000}
    idle = {"running": 0, "waiting": 0, "kv_blocks_free": 1000, "prefill_tokens": 0}
    told = [replica("a", **busy), replica("b", **idle), replica("c", **busy)]
    desk.sync(told)
    assert serve(desk, request("new " * 100)) == "b"
    desk.sync([replica("a", tokens=1), replica("b")])
    assert desk.router.stats().replicas == 2


def test_nothing_that_clients_send_stops_it(desk):
    for user in ("a/" * 40, "\n", "x" * 500, "//", "others", 7, {"a": 1}):
        assert serve(desk, request("hello", user=user)) in ("a", "b", "c")
    for number in range(1_500):
        desk.account(f"tenant-{number}")
    assert desk.account("one too many") == desk.account("")

    def fails(_):
        raise KeyError("tenant")

    broken = RequestDesk(describe=fails, clock=Clock(), **SMALL)
    broken.sync([replica("a")])
    assert serve(broken, request("hello")) == "a"


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=60))
def test_the_least_served_account_is_next(events):
    """Against lists and sums: nobody is lost, and each account keeps its order."""
    ledger = Ledger()
    accounts = [ledger.open() for _ in range(4)]
    queue = FairQueue(ledger, lambda item: accounts[item[0]])
    lines = [deque() for _ in accounts]
    for number, (place, leaves) in enumerate(events):
        queue.append((place, number))
        lines[place].append((place, number))
        if leaves:
            counters = {one: ledger.counter(accounts[one]) for one in range(4) if lines[one]}
            given_ = queue.popleft()
            assert given_ == lines[given_[0]].popleft()
            assert counters[given_[0]] == min(counters.values())
            ledger.charge(accounts[given_[0]], 1.0 + given_[0])
        assert len(queue) == sum(map(len, lines))
        assert sorted(queue) == sorted(item for line in lines for item in line)
    if lines[0]:
        again = queue.popleft()
        queue.appendleft(again)
        assert again in list(queue)
    empty = FairQueue(Ledger(), lambda _: 0)
    with pytest.raises(IndexError):
        empty.popleft()


def test_one_tenant_at_many_routers_gets_one_share():
    """Three routers with a tenant each and one that is at all of them, with and without the hub."""

    def run(*, share):
        hub, desks, served = Hub(seed=1), [], {}
        for number in range(3):
            desk = RequestDesk(clock=Clock(), **SMALL)
            desk.sync([replica(f"{number}", 1)])
            member = hub.join()
            desk.ledger.set_replica(member.number, incarnation=member.incarnation)
            desks.append((desk, member, desk.queue()))
        for step in range(300):
            for number, (desk, member, queue) in enumerate(desks):
                for user in ("everywhere", f"tenant-{number}"):
                    # No two begin alike, so that all cost the same.
                    queue.append(request(f"{step:06}{user:12}{number}" * 20, user=user))
                asked = queue.popleft()
                served[asked.args[0]["user"]] = served.get(asked.args[0]["user"], 0) + 1
                serve(desk, asked)
                if share and step % 5 == 0:
                    letter, full = desk.letter(full=step % 50 == 0), step % 50 == 0
                    desk.heard(hub.exchange(member.number, member.incarnation, letter, full=full))
        return served["everywhere"] / max(served[f"tenant-{number}"] for number in range(3))

    assert run(share=False) == pytest.approx(3.0, rel=0.02)
    assert run(share=True) == pytest.approx(1.0, rel=0.05)


def test_the_hub_gives_numbers_and_takes_them_back():
    now = SimpleNamespace(s=0.0)
    hub = Hub(clock=lambda: now.s, seed=3)
    members = [hub.join() for _ in range(256)]
    assert len({member.number for member in members}) == 256
    assert hub.join() is None
    letter = RequestDesk(**SMALL)
    letter.ledger.set_replica(members[0].number, incarnation=1)
    full = letter.letter(full=True)
    first = members[0]
    assert hub.exchange(first.number, first.incarnation, full, full=True) == []
    other = members[1]
    heard = hub.exchange(other.number, other.incarnation, full, full=False)
    assert heard == [full]
    assert hub.exchange(first.number, 0, full, full=False) is None
    now.s = LEASE_S - 1.0
    hub.exchange(first.number, first.incarnation, full, full=True)
    now.s = LEASE_S + 1.0
    newcomer = hub.join(other.number)
    assert newcomer.letters == [full]
    assert hub.join(first.number) is None


def test_the_hub_says_how_many_replicas_are_needed():
    """Two routers tell of 20 requests a second that run 100 ms: two servers' worth of work."""
    now = SimpleNamespace(s=1_000.0)
    hub, draw = Hub(clock=lambda: now.s), random.Random(5)
    asked = {"seats": 1, "target_s": 1.0, "late_ratio_max": 0.05}
    assert hub.replicas_needed(replicas=4, **asked) is None
    members = [hub.join() for _ in range(2)]
    letter = RequestDesk(**SMALL)
    letter.ledger.set_replica(members[0].number, incarnation=1)
    told = letter.letter(full=False)
    for _ in range(3_000):
        now.s += 0.1
        for member in members:
            events = []
            for _ in range(draw.choice((0, 0, 1, 1, 3))):
                ago_ns = draw.randrange(100_000_000)
                events += [Event("arrived", ago_ns), Event("started", ago_ns, 1_000)]
                events += [Event("ended", ago_ns, draw.randrange(200_000_000))]
            hub.exchange(member.number, member.incarnation, told, full=False, events=events)
    value, enough = hub.replicas_needed(replicas=4, **asked)
    assert 2.0 < value <= 5.0
    assert value <= enough <= 6.0
    assert hub.replicas_needed(replicas=3, **asked) is not None
    # Scaled to nothing, while requests come.
    value, enough = hub.replicas_needed(replicas=0, **asked)
    assert 2.0 < value <= enough <= 8.0
    # Nobody comes any more, and nobody tells: the time alone says so.
    now.s += 3_600.0
    assert hub.replicas_needed(replicas=3, **asked) == (1.0, 1.0)
    # What began before anybody counted has ends without a beginning.
    odd = [Event("ended", 0, 5), Event("started", 0, 5), Event("left", 0, 5)] * 50
    member = members[0]
    hub.exchange(member.number, member.incarnation, told, full=False, events=odd)
    now.s += SETTLED_NS / 1e9
    assert hub.replicas_needed(replicas=5, **asked) is not None


def test_autoscaling_adds_when_needed_and_removes_when_certain():
    ctx = SimpleNamespace(
        config=SimpleNamespace(target_ongoing_requests=2.0),
        total_num_requests=9.0,
        current_num_replicas=4,
        target_num_replicas=4,
        capacity_adjusted_min_replicas=1,
        capacity_adjusted_max_replicas=8,
    )
    assert Autoscaler.decide(ctx, None) == (5, "ongoing")
    assert Autoscaler.decide(ctx, (5.2, 7.0)) == (6, "headroom")
    assert Autoscaler.decide(ctx, (2.0, 6.0)) == (4, "headroom")
    assert Autoscaler.decide(ctx, (2.0, 3.0)) == (3, "headroom")
    assert Autoscaler.decide(ctx, (50.0, 60.0)) == (8, "headroom")
    # Not even 65,536 replicas would do.
    assert Autoscaler.decide(ctx, (math.inf, math.inf)) == (8, "headroom")
    assert Autoscaler.decide(ctx, (5.0, math.inf)) == (5, "headroom")
    ctx.capacity_adjusted_min_replicas = 4
    assert Autoscaler.decide(ctx, (1.0, 1.0)) == (4, "headroom")


class Cache(dict):
    """Queue lengths, as Ray keeps them."""


class Base:
    """What `Routing` needs of Ray's class."""

    def __init__(self):
        self._deployment_id = SimpleNamespace(app_name="app", name="deployment")
        self._replicas = {}
        self._replica_queue_len_cache = Cache()
        self._pending_requests_to_route = deque()
        self.probes, self.calls = [], []

    def update_replicas(self, replicas):
        self._replicas = {one.replica_id: one for one in replicas}

    def on_replica_actor_died(self, replica_id):
        self._replicas.pop(replica_id, None)

    async def _probe_queue_lens(self, replicas, _):
        self.probes.append([one.replica_id for one in replicas])
        for one in replicas:
            self._replica_queue_len_cache[one.replica_id] = 0

    def _insert_pending_request_sorted(self, queue, _):
        self.calls.append(queue)

    def _remove_pending_request_from_indices(self, _):
        self.calls.append("removed")

    def on_request_routed(self, *_):
        self.calls.append("routed")

    def on_request_completed(self, *_):
        self.calls.append("completed")


class Router(Routing, Base):
    pass


@pytest.fixture
def router():
    router = Router()
    router.initialize_state(share=False, policy=None, **SMALL)
    router.update_replicas([replica("a"), replica("b"), replica("c")])
    return router


def chosen(router, asked):
    ranks = asyncio.run(router.choose_replicas(list(router._replicas.values()), asked))
    return [one.replica_id for rank in ranks for one in rank]


def test_the_router_chooses_one(router):
    asked = request(PREFIX)
    (first,) = chosen(router, asked)
    router.on_request_routed(asked, first, None)
    router.on_request_completed(first, asked.metadata.internal_request_id)
    assert router.calls == ["routed", "completed"]
    assert chosen(router, request(PREFIX)) == [first]
    router._replica_queue_len_cache[first] = 4
    assert chosen(router, request(PREFIX)) != [first]
    router.on_replica_actor_died(first)
    assert first not in chosen(router, request(PREFIX))
    assert chosen(router, None) == list(router._replicas)


def test_the_router_asks_replicas_when_none_has_room(router):
    for name in "abc":
        router._replica_queue_len_cache[name] = 4
    assert len(chosen(router, request(PREFIX))) == 1
    assert sorted(router.probes[0]) == ["a", "b", "c"]
    router.update_replicas([])
    assert chosen(router, request(PREFIX)) == []


def test_the_router_goes_on_with_facts_that_cannot_be():
    router = Router()
    router.initialize_state(
        share=False, describe=lambda _: Facts(class_index=9, prompt_tokens=1), **SMALL
    )
    router.update_replicas([replica("a"), replica("b")])
    assert chosen(router, request("x")) == ["a", "b"]


def test_requests_that_wait_are_fair(router):
    for number in range(6):
        router._pending_requests_to_route.append(request("x" * 400, user="greedy"))
        if number == 5:
            router._pending_requests_to_route.append(request("x" * 400, user="modest"))
    order = []
    while router._pending_requests_to_route:
        asked = router._pending_requests_to_route.popleft()
        order.append(asked.args[0]["user"])
        serve(router.desk, asked)
    assert order.index("modest") <= 1
    again = request("x", user="greedy")
    router._insert_pending_request_sorted(router._pending_requests_to_route, again)
    assert list(router._pending_requests_to_route) == [again]
    router._insert_pending_request_sorted([], again)
    assert router.calls[-1] == []
    again.future = SimpleNamespace(cancelled=lambda: True)
    router._remove_pending_request_from_indices(again)
    assert [event.kind for event in router.desk.events()][-2:] == ["arrived", "left"]


def node(name, *, gpus=4, alive=True, **labels):
    resources = {"CPU": 16.0, "GPU": float(gpus), "memory": float(64 << 30)}
    if gpus:
        resources["accelerator_type:H100"] = 1.0
    return {"NodeID": name, "Alive": alive, "Resources": resources, "Labels": labels}


def test_tasks_go_to_nodes_of_a_cluster():
    fleet = RayFleet(clock=Clock(), nodes_max=8)
    nodes = [node("n1", rack="r1"), node("n2", rack="r1"), node("n3", rack="r2", disk="nvme")]
    assert fleet.update(nodes) == []
    assert fleet.update(nodes) == []
    gang = fleet.place(num_gpus=4, num_cpus=1, members=2, within="rack", within_required=True)
    assert set(gang.node_ids) == {"n1", "n2"}
    arguments = gang.bundles()
    assert arguments["bundles"] == [{"CPU": 1, "GPU": 4}] * 2
    assert arguments["bundle_label_selector"] == label_selectors(gang.node_ids)
    half = fleet.place(num_gpus=0.5, labels={"disk": "nvme"}, memory=1 << 30)
    assert half.node_ids == ("n3",)
    assert half.bundle == {"GPU": 0.5, "memory": float(1 << 30)}
    assert isinstance(fleet.place(num_gpus=4), NoRoom)
    assert fleet.place(num_gpus=1, accelerator_type="H100").node_ids == ("n3",)
    assert isinstance(fleet.place(num_gpus=1, accelerator_type="A100"), NoRoom)
    with pytest.raises(LookupError, match="tape"):
        fleet.place(labels={"disk": "tape"})
    with pytest.raises(ValueError, match="num_gpus"):
        fleet.place(num_gpus=1.5)
    lost = fleet.update([nodes[0], {**nodes[1], "Alive": False}, nodes[2]])
    assert lost == [gang.task]
    assert fleet.place(num_gpus=4).node_ids == ("n1",)
    fleet.release(half.task)
    assert fleet.placer.stats().nodes == 2


def test_without_ray_only_the_router_class_is_missing():
    if "ray" not in sys.modules:
        with pytest.raises((ImportError, AttributeError)):
            _ = ray.RequestRouter
    with pytest.raises(AttributeError, match="nonsense"):
        _ = ray.nonsense
