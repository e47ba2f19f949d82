"""The placer from Python: placements, cycles, questions, refusals, snapshots."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rampmeter
from rampmeter.place import Device, Node, NoRoom, Placer, Resized, Running, Task
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


def test_refused_calls_change_nothing(placer):
    node = placer.add_node(machine())
    placer.place(10, Task(cpu_milli=1))
    before = placer.save()
    with pytest.raises(rampmeter.TimeReversedError):
        placer.place(5, Task())
    with pytest.raises(rampmeter.RangeError, match="class"):
        placer.place(11, Task(class_index=99))
    with pytest.raises(rampmeter.RangeError, match="milli"):
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
