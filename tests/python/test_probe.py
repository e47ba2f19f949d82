"""The probe from Python: readings, conditions, the poller, forks, bridges."""

import itertools
import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from fake_driver import FakeDriver, compiled
from hypothesis import given
from hypothesis import strategies as st

import rampmeter
from rampmeter.batch import Batcher, Engine
from rampmeter.place import Node, Placer, Task
from rampmeter.probe import (
    HANGING_AFTER_NS,
    STALE_AFTER_NS,
    Denied,
    Failed,
    KvBudget,
    KvGeometry,
    NoBudget,
    NodeBridge,
    Ok,
    Poller,
    Probe,
    Snapshot,
    Unclear,
    Unsupported,
    Visible,
    describe,
    kv_bytes_per_token,
)

SECOND = 1_000_000_000
GIB = 1 << 30
MIXED = Path(__file__).resolve().parents[2] / "examples/probe/mixed.json"
FAST = {"memory_ns": SECOND // 10, "inventory_ns": 5 * SECOND, "retry_ns": SECOND}


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("driver"))


@pytest.fixture
def driver(library, tmp_path):
    return FakeDriver(library, tmp_path)


def machine(*devices, at_ns=0, **more):
    return Snapshot.from_json(json.dumps({"devices": devices, **more}), taken_at_ns=at_ns)


def gpu(uuid, free=40 * GIB, **more):
    memory = {"status": "ok", "total_bytes": 80 * GIB, "free_bytes": free}
    return {"uuid": uuid, "memory": memory, **more}


def until(is_so, seconds=20):
    """Wait until it is so."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def value(reading):
    assert isinstance(reading, Ok), reading
    return reading.value


def test_a_driver_is_read_on_demand(driver):
    driver.becomes(
        "driver 570.1\nlog\n"
        "gpu uuid=GPU-a name=H100 pci=0:1b:0 cc=9.0 numa=1 cpus=0xf0f util=40,7 throttle=0x84 "
        "power=640000,700000 clocks=1980,2619 temp=71 links=2 free=1000 proc=7:64 proc=8:n/a\n"
        "gpu uuid=GPU-b memory=none\n"
    )
    with Probe(library=driver.library) as probe:
        assert driver.calls() == [], "nothing is loaded before the first reading"
        before_ns = time.monotonic_ns()
        snapshot = probe.read()
        assert before_ns <= snapshot.taken_at_ns <= time.monotonic_ns()
        assert (snapshot.source, snapshot.seq, snapshot.driver.version) == ("nvml", 1, "570.1")
        assert snapshot.condition.is_success
        first, second = snapshot.devices
        assert (first.uuid, first.name) == ("GPU-a", "H100")
        assert (first.kind, first.health) == ("gpu", "ready")
        assert value(first.memory).free_bytes == 1_000
        assert value(first.utilization).gpu_pct == 40
        assert value(first.throttle).names == ["sw_power_cap", "hw_power_brake"]
        assert value(first.throttle).is_limiting
        assert value(first.power).as_dict() == {"draw_mw": 640_000, "limit_mw": 700_000}
        assert (value(first.clocks).sm_mhz, value(first.temperature_c)) == (1_980, 71)
        assert value(first.pci) == "00000000:1b:00.0"
        assert value(first.compute_capability) == (9, 0)
        assert (value(first.numa), value(first.cpus)) == (1, [0, 1, 2, 3, 8, 9, 10, 11])
        assert [link.peer for link in value(first.nvlinks)] == ["switch", "switch"]
        pids = [(one.pid, one.memory_bytes) for one in value(first.processes).processes]
        assert pids == [(7, 64), (8, None)]
        assert value(first.mig) is False
        assert second.memory == Unsupported()
        assert not any(call.startswith("cu") for call in driver.calls())
        # Only what is asked for is read anew; the rest ages.
        driver.becomes("log\ngpu uuid=GPU-a free=2000 util=50,7\ngpu uuid=GPU-b memory=none\n")
        again = probe.read(["memory"]).devices[0]
        assert value(again.memory).free_bytes == 2_000
        assert value(again.utilization).gpu_pct == 40
        assert again.utilization.age_ns > again.memory.age_ns
    assert driver.calls()[-1] == "nvmlShutdown"


def test_readings_say_why_there_is_none(driver):
    driver.becomes(
        "gpu uuid=GPU-a\nwhen nvmlDeviceGetPowerUsage answer=4\n"
        "when nvmlDeviceGetTemperature answer=12345\nwhen nvmlDeviceGetClockInfo answer=3\n"
    )
    device = Probe(library=driver.library).read().devices[0]
    assert device.power == Denied()
    assert device.clocks == Unsupported()
    match device.temperature_c:
        case Failed(call, code):
            assert (call, code) == ("nvmlDeviceGetTemperature", 12_345)
        case other:
            pytest.fail(f"{other}")
    match device.memory:
        case Ok(memory, age_ns):
            assert memory.free_bytes <= memory.total_bytes
        case other:
            pytest.fail(f"{other}")
    assert device.memory.fresh(5, age_ns + 5) == device.memory.value
    assert device.memory.fresh(6, age_ns + 5) is None
    assert [reading.fresh(0, 2**63) for reading in (device.power, device.clocks)] == [None, None]
    assert device.temperature_c.fresh(0, 2**63) is None
    assert repr(device.power) == "Denied()"
    assert device.temperature_c.as_dict() == {"call": "nvmlDeviceGetTemperature", "code": 12_345}
    assert (device.clocks.as_dict(), Unsupported.__match_args__) == ({}, ())
    assert device.memory != device.power
    assert Ok[int] is Ok


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (4, "denied"),
        (9, "driver_not_loaded"),
        (18, "version_mismatch"),
        (27, "not_ready"),
        (999, "access_lost"),
        (12_345, "failed"),
    ],
)
def test_why_there_is_no_gpu(driver, code, word):
    driver.becomes(f"gpu\nwhen nvmlInit_v2 answer={code}\n")
    snapshot = Probe(library=driver.library).read()
    condition = snapshot.condition
    assert (condition.word, condition.is_success, snapshot.devices) == (word, False, ())
    assert condition.reason
    assert condition.remedy
    expected = ("nvmlInit_v2", 12_345) if word == "failed" else (None, None)
    assert (condition.call, condition.code) == expected


def test_without_a_driver_there_is_a_reason(tmp_path):
    snapshot = Probe(library=tmp_path / "libnvidia-ml.so.1").read()
    assert (snapshot.condition.word, snapshot.devices) == ("no_driver", ())
    assert "--gpus all" in snapshot.condition.remedy
    assert Probe("none").read().condition.word == "off"
    # Whatever this machine has: to look does no harm, and starts nothing.
    assert Probe("cuda").read().condition.word in {"no_driver", "not_started", "stub_library"}


def test_wrong_arguments_are_named(tmp_path):
    with pytest.raises(rampmeter.NameUnknownError, match="backend"):
        Probe("rocm")
    with pytest.raises(rampmeter.NameUnknownError, match="permission"):
        Probe("cuda", permission="all")
    with pytest.raises(rampmeter.NameUnknownError, match="groups"):
        Probe("none").read(["colour"])
    with pytest.raises(TypeError, match="library"):
        Probe("none", library="x")
    with pytest.raises(TypeError, match="path"):
        Probe("fixture")
    with pytest.raises(TypeError, match="permission"):
        Probe(permission="look")
    with pytest.raises(FileNotFoundError):
        Probe("fixture", path=tmp_path / "none.json")
    with pytest.raises(rampmeter.NameUnknownError, match="backend"):
        Probe("none").join(Probe("none").read())
    file = tmp_path / "machine.json"
    file.write_text('{"devices": [{"colour": 1}]}')
    with pytest.raises(rampmeter.DocumentError, match="colour"):
        Probe("fixture", path=file)
    with pytest.raises(rampmeter.RangeError, match="`memory_ns` = 1 is outside"):
        Poller.start("none", memory_ns=1)
    with pytest.raises(TypeError, match="speed"):
        Poller.start("none", speed=1)


def test_a_machine_in_a_file():
    snapshot = Probe("fixture", path=MIXED).read()
    assert [device.kind for device in snapshot.devices] == ["gpu", "gpu", "mig", "gpu"]
    busy, cut, part, lost = snapshot.devices
    assert (part.parent_uuid, part.gpu_instance, part.compute_instance) == (cut.uuid, 1, 0)
    assert (cut.memory, lost.health) == (Denied(), "lost")
    assert lost.memory == Snapshot.from_json(snapshot.to_json(), taken_at_ns=0).devices[3].memory
    assert snapshot.device(busy.uuid.lower()) == busy
    assert snapshot.device("GPU-none") is None
    assert snapshot.path(busy.uuid, part.uuid) == "NODE"
    assert snapshot.nvlinks_between(busy.uuid, cut.uuid) == 0
    with pytest.raises(rampmeter.NameUnknownError, match="GPU-none"):
        snapshot.path(busy.uuid, "GPU-none")
    assert "4 devices" in repr(snapshot)


def test_snapshots_go_through_json():
    snapshot = Snapshot.from_json(MIXED.read_text(), taken_at_ns=7)
    again = Snapshot.from_json(snapshot.to_json(), taken_at_ns=snapshot.taken_at_ns)
    assert again == snapshot
    assert again.devices == snapshot.devices
    assert again != Snapshot.from_json(snapshot.to_json(), taken_at_ns=0)
    with pytest.raises(rampmeter.DocumentError, match="kind"):
        machine({"uuid": "GPU-a", "kind": "tpu"})


def test_the_poller_publishes_what_changes(driver):
    driver.becomes("gpu uuid=GPU-a free=1000")
    with Poller.start(library=driver.library, **FAST) as poller:
        assert poller.wait_first()
        held = poller.latest()
        assert value(held.devices[0].memory).free_bytes == 1_000
        assert not held.is_stale(time.monotonic_ns())
        driver.becomes("gpu uuid=GPU-a free=2000")
        until(lambda: value(poller.latest().devices[0].memory).free_bytes == 2_000)
        assert value(held.devices[0].memory).free_bytes == 1_000, "who holds one keeps it"
        driver.becomes("gpu uuid=GPU-a\nwhen nvmlDeviceGetMemoryInfo* answer=15")
        until(lambda: poller.latest().devices[0].health == "lost")
    now_ns = time.monotonic_ns()
    assert poller.state(now_ns).word == "ended"
    assert poller.latest().devices[0].health == "lost"
    assert poller.latest().is_stale(now_ns + STALE_AFTER_NS + SECOND)
    assert poller.stop().how == "clean", "twice is once"


def test_a_driver_that_hangs_delays_nobody(driver):
    driver.becomes("gpu\nwhen nvmlDeviceGetMemoryInfo_v2 stall_ms=2500 after=1 count=1")
    poller = Poller.start(library=driver.library, **FAST)
    assert poller.wait_first()
    until(lambda: poller.state(time.monotonic_ns()).word == "hanging")
    state = poller.state(time.monotonic_ns())
    assert state.call == "nvmlDeviceGetMemoryInfo_v2"
    assert time.monotonic_ns() - state.since_ns > HANGING_AFTER_NS
    began = time.perf_counter()
    for _ in range(100):
        poller.latest()
    assert time.perf_counter() - began < 0.5, "nobody waits for the driver"
    assert poller.latest().seq >= 1
    stopped = poller.stop(patience_ns=1_000_000)
    assert (stopped.how, stopped.call) == ("detached", "nvmlDeviceGetMemoryInfo_v2")


def test_a_reading_lets_other_threads_go_on(driver):
    driver.becomes("gpu\nwhen nvmlDeviceGetMemoryInfo_v2 stall_ms=600 count=1")
    probe, ticks, done = Probe(library=driver.library), [], threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.005)

    thread = threading.Thread(target=tick)
    thread.start()
    began = time.monotonic()
    probe.read()
    took = time.monotonic() - began
    done.set()
    thread.join()
    assert took >= 0.6
    # Somebody who held the interpreter would have left a gap as long as the stall.
    gaps = [after - before for before, after in itertools.pairwise(ticks)]
    assert max(gaps) < 0.5


def test_one_poller_is_read_by_many_threads(driver):
    driver.becomes("gpu uuid=GPU-a\ngpu uuid=GPU-b")
    with Poller.start(library=driver.library, **FAST) as poller:
        assert poller.wait_first()
        seen, wrong = [], []

        def look():
            last = 0
            for _ in range(300):
                snapshot = poller.latest()
                if snapshot.seq < last or len(snapshot.devices) != 2:
                    wrong.append(snapshot)
                last = snapshot.seq
            seen.append(last)

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (len(seen), wrong) == (4, [])


def in_a_child(check):
    """Whether it holds in a forked child, which must come to its end."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if check() else 1)
        except BaseException:
            os._exit(2)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


# A fork while threads run is what this is about.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_of_a_fork_is_not_broken(driver):
    driver.becomes("gpu uuid=GPU-a free=1000\nlog")
    probe = Probe(library=driver.library)
    probe.read()
    poller = Poller.start(library=driver.library, **FAST)
    assert poller.wait_first()

    def check():
        now_ns = time.monotonic_ns()
        old = poller.latest()
        assert poller.state(now_ns).word == "forked"
        assert not poller.wait_first(0)
        assert value(old.devices[0].memory).free_bytes == 1_000
        time.sleep(0.3)
        assert poller.latest().seq == old.seq, "nobody reads here"
        assert poller.latest().age_ns(time.monotonic_ns()) > SECOND // 4
        assert poller.stop().how == "forked"
        # What it starts itself works, and so does a probe that it inherited.
        driver.becomes("gpu uuid=GPU-a free=3000\nlog")
        assert value(probe.read().devices[0].memory).free_bytes == 3_000
        with Poller.start(library=driver.library, **FAST) as mine:
            assert mine.wait_first()
            assert value(mine.latest().devices[0].memory).free_bytes == 3_000
        return True

    assert in_a_child(check)
    assert "nvmlShutdown" in driver.calls(), "the child's own"
    # The parent goes on.
    seq = poller.latest().seq
    until(lambda: poller.latest().seq > seq)
    assert poller.state(time.monotonic_ns()).word == "running"
    assert poller.stop().how == "clean"


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


def test_a_poller_that_nobody_holds_ends():
    def threads():
        names = (path.read_text() for path in Path("/proc/self/task").glob("*/comm"))
        return sum(name.startswith("rampmeter-probe") for name in names)

    before = threads()
    poller = Poller.start("none")
    until(lambda: threads() == before + 1)
    del poller
    until(lambda: threads() <= before)
