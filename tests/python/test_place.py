"""The placer from Python: placements, cycles, questions, refusals, snapshots."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rampmeter
from rampmeter.headroom import Reserve
from rampmeter.place import (
    Device,
    Hold,
    Layout,
    Node,
    NoRoom,
    Placer,
    Profile,
    Resized,
    Running,
    Task,
)
from rampmeter.share import Ledger

SECOND = 1_000_000_000
SMALL = {"nodes_max": 8, "tasks_max": 64, "members_max": 64, "accounts_max": 16}


def machine(devices=4, **more):
    return Node(cpu_milli=32_000, memory_mib=256_000, devices=[Device()] * devices, **more)


@pytest.fixture
def placer():
    return Placer(rampmeter.Policy(), **SMALL)


def test_placed_and_released(placer):
    node = placer.add_node(machine())
    match placer.place(0, Task(cpu_milli=4_000, devices="whole", device_count=2, tag=7)):
        case Running(task, [hold], price):
            assert (hold.node, len(hold.devices), hold.device_milli) == (node, 2, 1_000)
            assert price.total_s == pytest.approx(price.stranding_s + price.interference_s)
        case other:
            pytest.fail(f"{other}")
    state = placer.task(task)
    assert (state.tag, state.stage, state.holds) == (7, "running", [hold])
    assert placer.asked(task).tag == 7
    assert placer.node(node).cpu_free_milli == 28_000
    assert [device.free_milli for device in placer.devices(node)].count(0) == 2
    assert placer.place(1, Task(devices="whole", device_count=3)) == placer.place(
        1, Task(devices="whole", device_count=3)
    )
    assert placer.fleet_stats().free.gpu_milli == 2_000
    assert placer.device_model_stats(0).as_dict() == {
        "devices": 4,
        "devices_free": 2,
        "gpu_milli": 4_000,
        "gpu_free_milli": 2_000,
    }
    assert placer.device_model_stats(63).devices == 0
    placer.release(2, task)
    assert placer.stats().devices_free == 4
    with pytest.raises(rampmeter.StaleError):
        placer.release(3, task)


def test_what_is_lacking_is_named(placer):
    placer.add_node(machine(labels=0b01))
    cases = {
        "labels": Task(labels_required=0b10),
        "model": Task(devices="whole", models=[3]),
        "cpu": Task(cpu_milli=33_000),
        "memory": Task(memory_mib=300_000),
        "devices": Task(devices="whole", device_count=5),
    }
    for lack, task in cases.items():
        answer = placer.place(0, task)
        # Without a look at each node it is known that there are too few devices.
        assert isinstance(answer, NoRoom)
        assert answer.lack in (lack, "devices")
        why = placer.why(0, task)
        assert (why.fits, why.lacks, why.nearest.lack) == (0, [(lack, 1)], lack)
    assert placer.why(0, Task()).starts


def test_gangs_stay_together_and_change_size(placer):
    nodes = [placer.add_node(machine(rack=place // 2)) for place in range(4)]
    gang = Task(
        devices="whole",
        device_count=4,
        members=2,
        members_min=1,
        within="rack",
        within_required=True,
        tag=1,
    )
    running = placer.place(0, gang)
    racks = {placer.node(hold.node).rack for hold in running.members}
    assert len(running.members) == 2
    assert len(racks) == 1
    smaller = placer.resize(1, running.task, members=1)
    assert isinstance(smaller, Resized)
    assert len(smaller.members) == 1
    larger = placer.resize(2, running.task, members=2)
    assert {placer.node(hold.node).rack for hold in larger.members} == racks
    with pytest.raises(rampmeter.RangeError, match="members"):
        placer.resize(3, running.task, members=3)
    share = placer.place(3, Task(devices="share", device_milli=300, cpu_milli=1_000))
    grown = placer.resize_members(
        4, share.task, like=Task(devices="share", device_milli=600, cpu_milli=2_000)
    )
    assert grown.members[0].device_milli == 600
    assert placer.node(nodes[0]).zone == 0


def test_nodes_are_drained_lost_and_removed(placer):
    one, other = placer.add_node(machine()), placer.add_node(machine())
    task = placer.place(0, Task(devices="whole", device_count=4)).task
    there = placer.task(task).holds[0].node
    spare = other if there == one else one
    assert placer.drain_node(there) == [task]
    assert not placer.is_drained(there)
    assert placer.fail_device(spare, 0) == []
    assert placer.devices(spare)[0].health == "failed"
    assert placer.place(1, Task(devices="whole", device_count=4)).lack == "devices"
    placer.return_device(spare, 0)
    with pytest.raises(rampmeter.ContradictionError):
        placer.remove_node(there)
    placer.release(2, task)
    assert placer.is_drained(there)
    placer.remove_node(there)
    assert placer.nodes() == [spare]
    assert placer.fail_node(spare) == []
    assert placer.node(spare).status == "failed"
    assert placer.why(3, Task()).lacks == [("status", 1)]
    placer.return_node(spare)
    placer.set_warm(spare, 9, True)
    placer.set_labels(spare, 5)
    assert placer.is_warm(spare, 9)
    assert placer.choice(spare, Task(devices="whole")).lack is None


def test_shapes_are_known_once_they_were_asked_for(placer):
    placer.add_node(machine())
    asked, other = (Task(cpu_milli=cpu, devices="whole") for cpu in (4_000, 5_000))
    assert not placer.knows_shape(asked)
    placer.place(0, asked)
    assert placer.knows_shape(asked)
    assert not placer.knows_shape(other)
    with pytest.raises(rampmeter.RangeError, match="count"):
        placer.knows_shape(Task(devices="whole", device_count=0))


def test_cycles_start_in_order_and_promise(placer):
    placer.add_node(machine())
    ledger = Ledger(resources=3, dominant=True, borrowing=True, half_life_ns=SECOND)
    ledger.set_capacity([4_000, 32_000, 256_000])
    account = ledger.open()
    common = {"devices": "whole", "account": account, "duration_ns": 10 * SECOND}
    first = placer.submit(0, Task(device_count=3, **common))
    big = placer.submit(0, Task(device_count=4, **common))
    cycle = placer.cycle(1, ledger)
    assert cycle.started == [first]
    assert [reservation.task for reservation in placer.reservations()] == [big]
    expected = placer.expected_start(1, big)
    assert (expected.at_ns, expected.because) == (10 * SECOND + 1, "reserved")
    assert ledger.held(account)[0] == 3_000
    placer.checkpointed(2, first, at_ns=2)
    placer.requeue(SECOND, first)
    assert placer.task(first).stage == "pending"
    placer.release(2 * SECOND, first)
    assert placer.cycle(2 * SECOND, ledger).started == [big]
    placer.release(3 * SECOND, big)
    placer.settle(3 * SECOND, ledger)
    assert ledger.held(account) == [0, 0, 0]


def test_what_if(placer):
    node = placer.add_node(machine())
    task = placer.place(0, Task(devices="whole", device_count=4)).task
    whole = Task(devices="whole", device_count=4, members=2, members_min=1)
    assert placer.what_if(0, [], tasks=[whole]).members_fit == [0]
    assert placer.what_if(0, [("release", task)], tasks=[whole]).members_fit == [1]
    seen = placer.what_if(0, [("release", task), ("add_node", machine())], tasks=[whole])
    assert (seen.members_fit, seen.total.devices) == ([2], 8)
    assert placer.what_if(0, [("fail_node", node)]).total.devices == 0
    assert placer.what_if(0, [("place", whole)]).not_placed == 1
    with pytest.raises(rampmeter.NameUnknownError):
        placer.what_if(0, [("explode", node)])
    with pytest.raises(TypeError):
        placer.what_if(0, [("release", whole)])
    assert placer.stats().nodes == 1


def test_moves_are_proposed_and_told(placer):
    for _ in range(2):
        placer.add_node(machine())
    tasks = [placer.place(0, Task(devices="whole", device_count=2)).task for _ in range(4)]
    for gone in (0, 3):
        placer.release(1, tasks[gone])
    proposed = placer.compact(2, moves_max=4)
    for move in proposed.moves:
        placer.moved_to(3, move.task, to=move.to)
        assert placer.task(move.task).holds == [move.to]
    assert proposed.gain_s >= 0.0


def test_a_task_is_moved_elsewhere(placer):
    nodes = [placer.add_node(machine()) for _ in range(2)]
    task = placer.place(0, Task(devices="whole", device_count=2, cpu_milli=500)).task
    here = placer.task(task).holds[0].node
    there = next(node for node in nodes if node != here)
    placer.moved_to(1, task, to=Hold(node=there, devices=[1, 3]))
    [hold] = placer.task(task).holds
    assert (hold.node, hold.devices, hold.cpu_milli) == (there, [1, 3], 500)
    assert placer.node(here).cpu_free_milli == 32_000
    before = placer.save()
    for devices in ([1], [0, 99]):
        with pytest.raises(rampmeter.RangeError):
            placer.moved_to(2, task, to=Hold(node=here, devices=devices))
    assert placer.save() == before


def test_refused_calls_change_nothing(placer):
    node = placer.add_node(machine())
    placer.place(10, Task(cpu_milli=1))
    before = placer.save()
    with pytest.raises(rampmeter.TimeReversedError):
        placer.place(5, Task())
    with pytest.raises(rampmeter.RangeError, match="class_index"):
        placer.place(11, Task(class_index=99))
    with pytest.raises(rampmeter.RangeError, match="device_milli"):
        placer.place(11, Task(devices="share"))
    with pytest.raises(rampmeter.StaleError):
        placer.drain_node(node + 1)
    with pytest.raises(rampmeter.RangeError, match="device"):
        placer.fail_device(node, 9)
    with pytest.raises(rampmeter.NameUnknownError, match="devices"):
        Task(devices="some")
    with pytest.raises(rampmeter.NameUnknownError, match="within"):
        Task(within="galaxy")
    with pytest.raises(TypeError, match="gpus"):
        Task(gpus=1)
    with pytest.raises(rampmeter.RangeError, match="models"):
        Task(models=[64])
    with pytest.raises(rampmeter.NameUnknownError, match="layout"):
        Device(sharing="partitioned", layout="none-such")
    assert placer.save() == before


def test_goes_on_where_it_was_saved(placer):
    placer.add_node(machine())
    task = placer.place(0, Task(devices="whole")).task
    twin = Placer.restore(rampmeter.Policy(), placer.save(), **SMALL)
    for one in (placer, twin):
        one.release(1, task)
        one.place(2, Task(devices="whole", device_count=2))
    assert twin.save() == placer.save()
    assert twin.stats() == placer.stats()
    with pytest.raises(rampmeter.SnapshotError):
        Placer.restore(rampmeter.Policy(), placer.save(), **{**SMALL, "tasks_max": 65})
    placer.set_policy(rampmeter.Policy())
    placer.set_shadow_price(2.0)
    placer.set_mix([(Task(devices="whole"), 3)])
    assert placer.shadow_price() == 2.0


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 8_000), st.booleans()), max_size=40))
def test_books_balance(events):
    """Whatever comes and goes: what is held and what is free are all there is."""
    placer, running = Placer(rampmeter.Policy(), **SMALL), []
    for _ in range(3):
        placer.add_node(machine())
    for now_ns, (count, cpu_milli, goes) in enumerate(events):
        if goes and running:
            placer.release(now_ns, running.pop(0)[0])
        task = Task(
            cpu_milli=cpu_milli,
            devices="whole" if count else "none",
            device_count=max(count, 1),
        )
        answer = placer.place(now_ns, task)
        if isinstance(answer, Running):
            running.append((answer.task, count, cpu_milli))
        else:
            assert answer.lack in ("cpu", "devices")
        free = placer.fleet_stats().free
        assert free.gpu_milli == 12_000 - 1_000 * sum(count for _, count, _ in running)
        assert free.cpu_milli == 96_000 - sum(cpu for *_, cpu in running)


def test_batch_work_waits_where_the_reserve_says(placer):
    placer.add_node(machine())
    ledger = Ledger(resources=3, dominant=True, borrowing=True, half_life_ns=SECOND)
    ledger.set_capacity([4_000, 32_000, 256_000])
    account = ledger.open()
    reserve, now_ns = Reserve(0, rampmeter.Policy(), class_index=0, gpus=4), 0
    for _ in range(200):  # urgent work keeps three of four GPUs busy all the time
        now_ns += SECOND
        reserve.arrived(now_ns, gpus=1)
        reserve.started(now_ns)
        if reserve.stats().running > 3:
            reserve.ended(now_ns, ran_ns=3 * SECOND)
    for place in range(3):
        placer.submit(now_ns, Task(devices="whole", account=account, tag=place))
    assert len(placer.cycle(now_ns, ledger).started) == 3
    batch = placer.submit(now_ns, Task(devices="whole", account=account, class_index=1))
    before = reserve.save()
    cycle = placer.cycle_holding(now_ns, ledger, reserve)
    assert (cycle.started, cycle.held, placer.held_back()) == ([], 1, batch)
    assert placer.why(now_ns, placer.asked(batch)).held
    assert placer.expected_start(now_ns, batch).because == "held"
    assert reserve.save() == before, "it is only looked at"
    urgent = placer.submit(now_ns, Task(devices="whole", account=account))
    assert placer.cycle_holding(now_ns, ledger, reserve).started == [urgent]
    placer.release(now_ns, urgent)
    # Without the reserve there is room for it.
    assert placer.cycle(now_ns, ledger).started == [batch]
    assert placer.held_back() is None
    other = Reserve(now_ns, rampmeter.Policy(), class_index=1, gpus=4)
    assert placer.cycle_holding(now_ns, ledger, other).started == []
    with pytest.raises(rampmeter.TimeReversedError):
        placer.cycle_holding(
            now_ns, ledger, Reserve(2 * now_ns, rampmeter.Policy(), class_index=0, gpus=4)
        )


def test_layouts_of_the_host():
    quarter = Profile(compute_slices=1, memory_slices=1, memory_mib=6_000, starts=[0, 1, 2, 3])
    half = Profile(compute_slices=2, memory_slices=2, memory_mib=12_000, starts=[0, 2])
    own = Layout(compute_slices=4, profiles=[quarter, half])
    placer = Placer(rampmeter.Policy(), **SMALL, layouts=[own])
    cut = Device(sharing="partitioned", layout=0, memory_mib=24_000)
    known = Device(sharing="partitioned", layout="a30-24gb", memory_mib=24_000)
    assert (cut.layout, known.layout, Device().layout) == (0, "a30-24gb", None)
    node = placer.add_node(Node(devices=[cut, known]))
    assert [device.layout for device in placer.devices(node)] == [0, "a30-24gb"]
    assert placer.devices(node)[0].sharing == "partitioned"
    part = Task(devices="partition", compute_slices=2, device_memory_mib=12_000)
    choice = placer.choice(node, part)
    assert (len(choice.devices), choice.slices.bit_count(), choice.lack) == (1, 2, None)
    # Two of the host's halves; the other device has so much only as a whole.
    held = [placer.place(0, part) for _ in range(3)]
    seen = [(hold.devices, hold.slices) for one in held for hold in one.members]
    assert sorted(seen) == [([0], 0b0011), ([0], 0b1100), ([1], 0b1111)]
    assert isinstance(placer.place(0, part), NoRoom)
    with pytest.raises(rampmeter.RangeError, match="layout"):
        placer.add_node(Node(devices=[Device(sharing="partitioned", layout=1)]))
    with pytest.raises(rampmeter.RangeError, match="starts"):
        Placer(
            rampmeter.Policy(),
            layouts=[
                Layout(
                    compute_slices=1,
                    profiles=[Profile(compute_slices=1, memory_slices=1, memory_mib=1, starts=[8])],
                )
            ],
        )
    with pytest.raises(rampmeter.ContradictionError):
        Placer(rampmeter.Policy(), layouts=[Layout(compute_slices=4, profiles=[half, quarter])])
    with pytest.raises(rampmeter.FullError, match="layouts"):
        Placer(rampmeter.Policy(), layouts=[own] * 10)
    twin = Placer.restore(rampmeter.Policy(), placer.save(), **SMALL, layouts=[own])
    assert twin.devices(node) == placer.devices(node)
    assert own.as_dict()["profiles"] == [quarter, half]


def test_where_it_would_go(placer):
    node = placer.add_node(machine())
    task = placer.place(0, Task(devices="whole", device_count=4)).task
    gang = Task(devices="whole", device_count=2, members=2)
    before = placer.save()
    assert placer.place_if(0, [], gang) == []
    there = placer.place_if(0, [("release", task)], gang)
    assert [hold.node for hold in there] == [node, node]
    assert sorted(device for hold in there for device in hold.devices) == [0, 1, 2, 3]
    assert len(placer.place_if(0, [("add_node", machine())], gang)) == 2
    # Refused before there is room made for so many.
    with pytest.raises(rampmeter.RangeError, match="members"):
        placer.place_if(0, [], Task(members=2**32 - 1))
    with pytest.raises(rampmeter.StaleError):
        placer.place_if(0, [("release", task + 1)], gang)
    assert placer.save() == before


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["none", "whole", "share", "partition"]),
    st.integers(1, 16),
    st.one_of(st.none(), st.sets(st.integers(0, 63))),
    st.fixed_dictionaries(
        {},
        optional={
            "tag": st.integers(0, 2**64 - 1),
            "priority": st.integers(-(2**31), 2**31 - 1),
            "within": st.sampled_from(["node", "rack", "zone", "fleet"]),
            "spread_domain": st.sampled_from(["node", "rack", "zone", "fleet"]),
            "crowding_s": st.floats(0, 1e9),
            "preemptible": st.booleans(),
            "warm_up_ns": st.integers(0, 2**64 - 1),
        },
    ),
)
def test_a_task_can_be_asked_for_again(devices, count, models, more):
    if devices in ("whole", "share"):
        more["device_count"] = count
    if devices == "share":
        more["device_milli"] = 250
    task = Task(devices=devices, models=None if models is None else sorted(models), **more)
    known = task.as_dict()
    assert Task(**known) == task
    assert {name: known[name] for name in more} == more
