"""The probe from Python: readings, conditions, the poller, forks."""

import itertools
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from fake_driver import machine, value

import rampmeter
from rampmeter.probe import (
    HANGING_AFTER_NS,
    STALE_AFTER_NS,
    Denied,
    Failed,
    Ok,
    Poller,
    Probe,
    Snapshot,
    Unsupported,
)

SECOND = 1_000_000_000
MIXED = Path(__file__).resolve().parents[2] / "examples/probe/mixed.json"
FAST = {"memory_ns": SECOND // 10, "inventory_ns": 5 * SECOND, "retry_ns": SECOND}


def until(is_so, seconds=20):
    """Wait until it is so."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


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


def test_a_poller_that_nobody_holds_ends():
    def threads():
        names = (path.read_text() for path in Path("/proc/self/task").glob("*/comm"))
        return sum(name.startswith("rampmeter-probe") for name in names)

    before = threads()
    poller = Poller.start("none")
    until(lambda: threads() == before + 1)
    del poller
    until(lambda: threads() <= before)
