"""Planning from Python: what is safe, what is needed, what waits for urgent work."""

import math
import random

import pytest

import rampmeter
from rampmeter.headroom import (
    EngineSeats,
    Estimate,
    Headroom,
    HeadroomClass,
    HeadroomOptions,
    NotEnoughData,
    Reserve,
    ShadowPrice,
    engine_seats,
)

MILLI = 1_000_000
SECOND = 1_000 * MILLI


def options(replicas=4, **more):
    return HeadroomOptions([HeadroomClass(target_ns=500 * MILLI)], replicas=replicas, **more)


def poisson(desk, *, per_s, servers, requests, seed=7):
    """First come, first served, 100 ms each on average and not alike; seen at the last arrival."""
    draw = random.Random(seed)
    free = [0.0] * servers
    events, at = [], 1.0
    for _ in range(requests):
        at += draw.expovariate(per_s)
        ran = draw.expovariate(10.0)
        server = min(range(servers), key=free.__getitem__)
        start = max(at, free[server])
        free[server] = start + ran
        events += [(at, 0, 0.0), (start, 1, start - at), (start + ran, 2, ran)]
    for when, kind, span in sorted(event for event in events if event[0] <= at):
        now_ns, span_ns = int(when * SECOND), int(span * SECOND)
        if kind == 0:
            desk.arrived(now_ns)
        elif kind == 1:
            desk.started(now_ns, waited_ns=span_ns)
        else:
            desk.ended(now_ns, ran_ns=span_ns)
    return now_ns


def test_says_how_much_is_missing():
    desk = Headroom(options())
    assert desk.knee() == desk.ratio() == desk.replicas_needed()
    match desk.knee():
        case NotEnoughData(samples, samples_needed):
            assert samples == 0 < samples_needed
        case other:
            pytest.fail(f"{other}")
    answer = desk.can_remove()
    assert (answer.answer, answer.samples, answer.samples_needed) == ("not_enough_data", 0, 200)


def test_half_loaded_pool():
    """20 requests a second of 100 ms are two servers' work: of eight some can go, of two none."""
    desk = Headroom(options(8))
    now_ns = poisson(desk, per_s=20.0, servers=8, requests=3_000)
    knee = desk.knee()
    assert isinstance(knee, Estimate)
    assert knee.low <= knee.value <= knee.high
    assert 40 < knee.value < 80  # eight servers serve 80 a second at most
    assert desk.ratio().value == pytest.approx(1 - 20 / knee.value, abs=0.05)
    needed = desk.replicas_needed()
    assert needed.value == math.floor(needed.value)
    assert 2 < needed.value < 6
    assert desk.can_remove().answer == "yes"
    assert desk.wait_tail(wait_ns=500 * MILLI).value < 0.05
    assert desk.shadow_price(now_ns) < 1e-3  # hardly anybody waits
    stats = desk.stats()
    assert stats.rho == pytest.approx(0.25, rel=0.1)
    assert stats.arrived == 3_000 == stats.ended + stats.waiting + stats.running
    for knee_class in (1, 2**32 - 1):
        with pytest.raises(rampmeter.RangeError, match="class"):
            desk.knee(class_index=knee_class)


def test_busy_pool_keeps_its_replicas():
    desk = Headroom(options(3, replicas_max=16))
    now_ns = poisson(desk, per_s=27.0, servers=3, requests=3_000)
    assert desk.can_remove().answer == "no"
    assert desk.replicas_needed().value >= 3
    desk.set_replicas(now_ns, 16)
    assert desk.can_remove().answer in ("yes", "perhaps")
    with pytest.raises(rampmeter.RangeError, match="replicas"):
        desk.set_replicas(now_ns, 17)


def test_time_that_passes_is_seen():
    desk = Headroom(options(8))
    now_ns = poisson(desk, per_s=20.0, servers=8, requests=3_000)
    assert desk.replicas_needed().value > 2
    desk.passed(now_ns + 3_600 * SECOND)
    assert desk.replicas_needed().high == 1
    assert desk.ratio().low > 0.9
    with pytest.raises(rampmeter.TimeReversedError):
        desk.passed(now_ns)


def test_refused_calls_change_nothing():
    desk = Headroom(options())
    desk.arrived(SECOND)
    before = desk.save()
    with pytest.raises(rampmeter.TimeReversedError):
        desk.arrived(5)
    with pytest.raises(rampmeter.ContradictionError, match="ended"):
        desk.ended(SECOND, ran_ns=5)
    with pytest.raises(rampmeter.RangeError, match="waited_ns"):
        desk.started(SECOND, waited_ns=2 * SECOND)
    assert desk.save() == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"replicas": 2, "replicas_max": 1}, "replicas"),
        ({"replicas": 1, "seats": 0}, "seats"),
        ({"replicas": 1, "loaded_share": math.nan}, "loaded_share"),
        ({"replicas": 2**32 - 1, "seats": 4096}, "replicas_max"),
        ({"replicas": 1, "memory_requests": 0}, "memory_requests"),
    ],
)
def test_wrong_options_are_named(change, named):
    wrong = options(**change)
    with pytest.raises(rampmeter.RangeError, match=named):
        Headroom(wrong)
    assert Headroom.bytes_needed(wrong) >= 0
    with pytest.raises(rampmeter.RangeError, match="classes"):
        Headroom(HeadroomOptions([], replicas=1))
    with pytest.raises(TypeError):
        HeadroomOptions([1], replicas=1)


def test_goes_on_where_it_was_saved():
    desk = Headroom(options())
    now_ns = poisson(desk, per_s=30.0, servers=4, requests=500)
    twin = Headroom.restore(options(1, replicas_max=4), desk.save())
    for one in (desk, twin):
        one.arrived(now_ns + SECOND)
    assert twin.save() == desk.save()
    assert (twin.knee(), twin.stats()) == (desk.knee(), desk.stats())
    with pytest.raises(rampmeter.SnapshotError):
        Headroom.restore(options(), desk.save()[:-1])


class Small:
    """An engine by its numbers: as many blocks as ten requests of 1,025 tokens need."""

    step_coefficients = (5e-3, 2e-5, 1e-4, 1e-8, 0.0, 0.0, 0.0)
    kv_blocks = 650
    kv_block_tokens = 16


def test_seats_of_an_engine():
    shape = {"seats_max": 128, "prompt_tokens": 900, "output_tokens": 250}
    assert engine_seats("llama-3.1-8b", **shape).seats == 128
    few = engine_seats(Small(), **shape, output_scv=0.0)
    assert isinstance(few, EngineSeats)
    assert few.seats == 10
    assert 0 < few.loaded_share < 1
    with pytest.raises(rampmeter.NameUnknownError, match="lama"):
        engine_seats("lama", **shape)
    with pytest.raises(rampmeter.RangeError, match="seats_max"):
        engine_seats("llama-3.1-8b", **{**shape, "seats_max": 0})
    with pytest.raises(TypeError):
        engine_seats(5, **shape)


def test_batch_work_waits_for_urgent_work():
    reserve = Reserve(0, rampmeter.Policy(), class_index=0, gpus=10)
    now_ns = 0
    for _ in range(200):  # eight of ten GPUs are busy with urgent work all the time
        now_ns += SECOND
        reserve.arrived(now_ns, gpus=1)
        reserve.started(now_ns)
        if reserve.stats().running > 8:
            reserve.ended(now_ns, ran_ns=min(8 * SECOND, now_ns))
    eager = reserve.hold(now_ns, gpus=2, gpus_free=2, waiting=0, delay_value=0.0001)
    patient = reserve.hold(now_ns, gpus=2, gpus_free=2, waiting=0, delay_value=10_000)
    assert (eager.hold, eager.reason) == (True, "price")
    assert eager.urgent_price > eager.batch_price
    assert not patient.hold
    twin = Reserve.restore(rampmeter.Policy(), reserve.save(), class_index=0)
    assert twin.stats() == reserve.stats()
    before = reserve.save()
    with pytest.raises(rampmeter.RangeError, match="gpus"):
        reserve.arrived(now_ns, gpus=math.inf)
    with pytest.raises(rampmeter.TimeReversedError):
        reserve.hold(0, gpus=1, gpus_free=1, waiting=0)
    assert reserve.save() == before
    reserve.released(now_ns, gpus=1)
    reserve.set_gpus(now_ns, 12)
    reserve.arrived(now_ns, gpus=1)
    reserve.left(now_ns)
    reserve.set_policy(rampmeter.Policy("interactive"), class_index=1)
    assert reserve.stats().gpus == 12


def test_price_follows_what_waits():
    price = ShadowPrice(0, gpus=8)
    price.offered(0, gpu_seconds=100)
    price.waiting(0, value=8)
    single = price.price(3_600 * SECOND)
    price.waiting(0, value=16)
    assert price.price(3_600 * SECOND) == pytest.approx(2 * single)
    assert price.rho() == 0  # no time has passed between calls that change something
    price.set_gpus(SECOND, 0)
    assert price.price(SECOND) == 0
    with pytest.raises(rampmeter.TimeReversedError):
        price.waiting(0, value=1)
