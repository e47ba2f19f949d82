"""From what GPUs say to what desks decide by: nodes, caches, signals, numbers of CUDA."""

import pytest
from fake_driver import GIB, gpu, machine, value
from hypothesis import given
from hypothesis import strategies as st

import rampmeter
from rampmeter.batch import Batcher, Engine
from rampmeter.place import Node, Placer, Task
from rampmeter.probe import (
    STALE_AFTER_NS,
    KvBudget,
    KvGeometry,
    NoBudget,
    NodeBridge,
    Probe,
    Unclear,
    Unsupported,
    Visible,
    describe,
    kv_bytes_per_token,
)


def test_numbers_of_cuda():
    address = {"status": "ok", "address": "00000000:09:00.0"}
    first = gpu("GPU-bb", name="H100", pci=address)
    second = gpu("GPU-aa", name="A100", pci={**address, "address": "00000000:03:00.0"})
    snapshot = machine(first, second)
    assert snapshot.visible(order="PCI_BUS_ID").uuids == ["GPU-aa", "GPU-bb"]
    assert snapshot.visible(order="PCI_BUS_ID", devices="1,7,0").as_dict() == {
        "uuids": ["GPU-bb"],
        "ended_at": 1,
    }
    assert snapshot.visible(devices="GPU-a").uuids == ["GPU-aa"]
    match snapshot.visible():
        case Unclear(why, reason):
            assert why == "fastest_first"
            assert "PCI_BUS_ID" in reason
        case other:
            pytest.fail(f"{other}")
    assert machine({"uuid": "GPU-a"}).visible().why == "address"


def test_numbers_of_cuda_here(monkeypatch):
    snapshot = machine(gpu("GPU-aa"), gpu("GPU-bb"))
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-b")
    assert snapshot.visible_here() == snapshot.visible(devices="GPU-b")
    assert snapshot.visible_here().uuids == ["GPU-bb"]


def test_a_node_is_described_and_kept_in_step():
    reserved = {"total_bytes": 80 * GIB, "free_bytes": 79 * GIB, "reserved_bytes": GIB}
    ready = gpu("GPU-a")
    ready["memory"] |= reserved
    cut = gpu("GPU-b", mig={"status": "ok", "enabled": True}, name="cut")
    cut["memory"] |= reserved
    status = {"condition": "ready"}
    snapshot = machine(ready, cut, gpu("GPU-c", name="other"), status=status)
    asked = []

    def model(device):
        asked.append(device.uuid)
        return None if device.name == "other" else 3

    known = describe(snapshot, model=model, layout=lambda _: "h100-80gb")
    assert (asked, known.uuids, len(known)) == (["GPU-a", "GPU-b", "GPU-c"], ["GPU-a", "GPU-b"], 2)
    shared, partitioned = known.devices
    assert (shared.model, shared.memory_mib, shared.sharing) == (3, 79 * 1_024, "shared")
    assert (partitioned.sharing, partitioned.layout) == ("partitioned", "h100-80gb")
    assert describe(snapshot, model=lambda _: 0).devices[1].memory_mib == 0
    with pytest.raises(rampmeter.RangeError, match="`model` = 64"):
        describe(snapshot, model=lambda _: 64)
    with pytest.raises(rampmeter.NameUnknownError, match="layout"):
        describe(snapshot, model=lambda _: 0, layout=lambda _: "b300")
    with pytest.raises(ZeroDivisionError):
        describe(snapshot, model=lambda _: 1 // 0)

    placer = Placer(rampmeter.Policy(), nodes_max=2)
    node = placer.add_node(Node(cpu_milli=8_000, memory_mib=8_000, devices=known.devices))
    task = placer.place(0, Task(devices="whole")).task
    bridge = NodeBridge(node, known)
    assert bridge.changes(0, snapshot, placer) == []
    lost = machine({**ready, "health": "lost"}, cut, status=status)
    [change] = bridge.changes(0, lost, placer)
    assert (change.device, change.action, change.why, change.detail) == (0, "fail", "lost", "lost")
    assert change.apply(placer) == [task]
    assert placer.devices(node)[0].health == "failed"
    assert bridge.changes(0, lost, placer) == [], "what is done is not asked for again"
    [back] = bridge.changes(0, snapshot, placer)
    assert (back.action, back.why) == ("return", "recovered")
    assert back.apply(placer) == []
    late = bridge.changes(STALE_AFTER_NS + 1, snapshot, placer)
    assert [(one.device, one.action, one.why) for one in late] == [
        (0, "drain", "stale"),
        (1, "drain", "stale"),
    ]
    taken = NodeBridge(node, known, slack_mib=10)
    placer.release(1, task)
    short = dict(ready, memory=dict(ready["memory"], free_bytes=78 * GIB))
    [change] = taken.changes(1, machine(short, cut, status=status), placer)
    assert (change.why, change.missing_mib) == ("memory_taken", 1_024)
    off = machine(status={"condition": "access_lost"})
    assert {one.detail for one in NodeBridge(node, known).changes(1, off, placer)} == {
        "access_lost"
    }
    gone = Placer(rampmeter.Policy(), nodes_max=2)
    with pytest.raises(rampmeter.StaleError):
        bridge.changes(2, snapshot, gone)
    with pytest.raises(rampmeter.StaleError):
        change.apply(gone)


def test_free_memory_becomes_a_cache():
    token = kv_bytes_per_token(
        layers=32, kv_heads=8, head_size=128, bytes_per_value=2, tensor_parallel=2
    )
    assert token == 65_536
    snapshot = machine(gpu("GPU-a", 10 * GIB), gpu("GPU-b", 4 * GIB), {"uuid": "GPU-c"})
    budget = KvBudget(bytes_per_token=token, keep_free_bytes=GIB)
    match budget.geometry(0, snapshot, ["GPU-a", "GPU-b"]):
        case KvGeometry(kv_blocks, kv_block_tokens):
            assert (kv_blocks, kv_block_tokens) == (3 * GIB // token // 16, 16)
        case other:
            pytest.fail(f"{other}")
    profile = Engine.named("llama-3.1-8b")
    engine = Engine(
        kv_blocks=kv_blocks,
        kv_block_tokens=kv_block_tokens,
        step_coefficients=profile.step_coefficients,
    )
    assert Batcher(rampmeter.Policy(), engine).stats().kv_blocks_free == kv_blocks
    none = {
        (): ("no_devices", None),
        ("GPU-a", "GPU-x"): ("unknown", 1),
        ("GPU-c",): ("not_read", 0),
    }
    for uuids, (why, place) in none.items():
        answer = budget.geometry(0, snapshot, uuids)
        assert isinstance(answer, NoBudget)
        assert (answer.why, answer.place) == (why, place)
    assert budget.geometry(STALE_AFTER_NS + 1, snapshot, ["GPU-a"]).why == "not_read"
    full = KvBudget(bytes_per_token=token, keep_free_bytes=80 * GIB)
    assert full.geometry(0, snapshot, ["GPU-a"]).why == "no_room"
    with pytest.raises(rampmeter.RangeError, match="bytes_per_token"):
        KvBudget(bytes_per_token=0).geometry(0, snapshot, ["GPU-a"])


def test_signals_say_what_figures_mean(driver):
    driver.becomes(
        "gpu uuid=GPU-a util=97,40 throttle=0x4 power=350000,700000 clocks=1980,2619 temp=71 "
        "total=17179869184 used=536870912 reserved=0 free=4294967296\nxid 0 63\n"
    )
    probe = Probe(library=driver.library)
    snapshot = probe.read()
    [seen] = snapshot.signals(snapshot.taken_at_ns + 5)
    assert (seen.uuid, seen.source, seen.snapshot_age_ns) == ("GPU-a", "nvml", 5)
    assert value(seen.kernel_time_ratio) == pytest.approx(0.97)
    assert value(seen.memory_taken_ratio) == pytest.approx(0.75)
    assert (value(seen.power_draw_w), value(seen.power_of_limit_ratio)) == (350.0, 0.5)
    assert (value(seen.slowed_by), value(seen.is_power_capped)) == ([], True)
    assert seen.memory_free_bytes.age_ns >= 5
    assert (value(seen.xid_events), value(seen.xid_last)) == (1, 63)
    nothing = machine({"uuid": "GPU-x"}).signals(0)[0]
    readings = [getattr(nothing, name) for name in nothing.__match_args__[8:]]
    assert readings == [Unsupported()] * len(readings)
    # A clock that fell while something ran.
    assert snapshot.sm_clock_drop_ratio("GPU-a", before=snapshot) is None
    driver.becomes("gpu uuid=GPU-a throttle=0x40 clocks=1485,2619")
    hot = probe.read()
    assert hot.sm_clock_drop_ratio("GPU-a", before=snapshot) == pytest.approx(0.25)
    assert value(hot.signals(hot.taken_at_ns)[0].slowed_by) == ["hw_thermal"]
    with pytest.raises(rampmeter.NameUnknownError):
        hot.sm_clock_drop_ratio("GPU-b", before=snapshot)


@given(st.text(max_size=40), st.one_of(st.none(), st.text(max_size=40)))
def test_any_list_of_devices_is_survived(order, devices):
    seen = machine(gpu("GPU-aa"), gpu("GPU-bb")).visible(order=order, devices=devices)
    if isinstance(seen, Visible):
        assert len(set(seen.uuids)) == len(seen.uuids) <= 2
    else:
        assert seen.why == "address"
