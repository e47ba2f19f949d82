"""The dynamic batcher from Python: its answers, its refusals, threads, snapshots."""

import math
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rampmeter
from rampmeter.dynamic import (
    Curve,
    DynamicBatcher,
    DynamicClass,
    DynamicOptions,
    Launch,
    Queued,
    Shed,
    Wait,
)

MILLI = 1_000_000


def options(**more):
    """5 ms and 1 ms a request; nothing is learned, so that times can be foretold."""
    curve = Curve(fixed_s=5e-3, each_s=1e-3, learns=False)
    return DynamicOptions([curve], **{"batch_size_max": 8, **more})


def submit(batcher, now_ns, account, **more):
    return batcher.submit(now_ns, account=account, **more)


def test_launches_and_ends():
    batcher = DynamicBatcher(options())
    account = batcher.open_account()
    queued = [submit(batcher, MILLI, account, tag=tag) for tag in (40, 41, 42)]
    assert all(isinstance(answer, Queued) for answer in queued)
    formed = batcher.form(MILLI)
    assert formed.expired == []
    match formed.decision:
        case Launch() as launch:
            assert launch.tags == [40, 41, 42]
            assert launch.requests == [answer.request for answer in queued]
            assert launch.late == [False] * 3
            assert (launch.bucket, launch.instance) == (0, 0)
            assert launch.ends_at_ns == MILLI + 8 * MILLI
        case other:
            pytest.fail(f"{other}")
    assert batcher.form(MILLI).decision is None
    assert batcher.explain(queued[0].request).stage == "running"
    observed = batcher.observe(9 * MILLI, launch.batch)
    assert observed.as_dict() == {"finished": 3, "in_time": 0, "missed": 0}
    assert batcher.next_event(9 * MILLI) is None
    with pytest.raises(rampmeter.StaleError):
        batcher.observe(9 * MILLI, launch.batch)


def test_waits_while_the_instance_is_busy():
    batcher = DynamicBatcher(options())
    account = batcher.open_account()
    submit(batcher, 0, account)
    first = batcher.form(0).decision
    second = submit(batcher, 0, account)
    match batcher.form(0).decision:
        case Wait(until_ns, why):
            assert why == "busy"
            assert until_ns == first.ends_at_ns == batcher.next_event(0)
        case other:
            pytest.fail(f"{other}")
    batcher.cancel(0, second.request)
    assert batcher.stats().waiting == 0


def test_deadlines():
    """A deadline decides the size; who cannot be in time any more says so."""
    target = DynamicClass(latency_target_ns=20 * MILLI)
    batcher = DynamicBatcher(options(classes=[target]))
    account = batcher.open_account()
    request = submit(batcher, MILLI, account).request
    known = batcher.explain(request)
    assert (known.stage, known.deadline_ns) == ("waiting", 21 * MILLI)
    assert known.latest_launch_ns == 15 * MILLI
    assert known.verdict is None
    late = submit(batcher, 30 * MILLI, account, arrival_ns=2 * MILLI, tag=9).request
    assert batcher.form(30 * MILLI).decision.late == [True, True]
    assert batcher.explain(late).stage == "running"
    batch = batcher.form(30 * MILLI)
    assert batch.decision is None


def test_expires_and_says_so():
    impatient = DynamicClass(timeout_ns=10 * MILLI)
    batcher = DynamicBatcher(options(classes=[impatient]))
    account = batcher.open_account()
    submit(batcher, 0, account)
    running = batcher.form(0).decision
    request = submit(batcher, 0, account, tag=5).request
    gone = batcher.form(11 * MILLI).expired
    assert [(one.request, one.tag) for one in gone] == [(request, 5)]
    batcher.observe(12 * MILLI, running.batch, failed=True)
    assert batcher.stats().expired == 1


def test_turned_away_with_a_reason():
    batcher = DynamicBatcher(options(requests_max=1))
    account = batcher.open_account()
    submit(batcher, 0, account)
    answer = submit(batcher, 0, account)
    assert isinstance(answer, Shed)
    assert (answer.reason, answer.retry_after_ns) == ("full", 6 * MILLI)
    short = DynamicBatcher(options(classes=[DynamicClass(queue_max=1)]))
    account = short.open_account()
    submit(short, 0, account)
    assert submit(short, 0, account).reason == "queue_full"


def test_learns_how_long_batches_take():
    batcher = DynamicBatcher(
        DynamicOptions([Curve([(1, 0.005), (8, 0.012)])], batch_size_max=8),
    )
    account, now_ns = batcher.open_account(), 0
    for _ in range(200):
        submit(batcher, now_ns, account)
        launch = batcher.form(now_ns).decision
        now_ns += 50 * MILLI
        batcher.observe(now_ns, launch.batch, duration_ns=50 * MILLI)
    curve = batcher.curve(1)
    assert curve.learns
    assert curve.samples == 200
    assert curve.seconds == pytest.approx(0.05, rel=0.05)
    assert batcher.batch_within(seconds=1.0, size_max=4) == 4
    assert batcher.batch_within(seconds=0.0, size_max=4) == 0
    with pytest.raises(rampmeter.RangeError, match="bucket"):
        batcher.curve(1, bucket=1)
    with pytest.raises(rampmeter.RangeError, match="seconds"):
        batcher.batch_within(seconds=-1.0, size_max=4)


def test_classes_of_a_policy():
    policy = rampmeter.Policy.from_toml("[[class]]\nname = 'chat'\nttft_target_s = 1.5\n")
    chat = DynamicClass.from_policy(policy, 0)
    assert chat.latency_target_ns == 1_500 * MILLI
    assert (chat.queue_max, chat.expiry) == (None, "reject")
    with pytest.raises(rampmeter.RangeError, match="class_index"):
        DynamicClass.from_policy(policy, 1)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"batch_size_max": 0}, "batch_size_max"),
        ({"instances": 65}, "instances"),
        ({"miss_ratio": math.nan}, "miss_ratio"),
        ({"preferred_sizes": [4, 4]}, "preferred_size"),
        ({"classes": []}, "classes"),
        ({"wait_max_ns": 0}, "wait_max_ns"),
    ],
)
def test_wrong_options_are_named(change, named):
    with pytest.raises(rampmeter.RangeError, match=named):
        DynamicBatcher(options(**change))


def test_wrong_names_are_named():
    with pytest.raises(rampmeter.NameUnknownError, match="prised"):
        options(rule="prised")
    with pytest.raises(rampmeter.NameUnknownError, match="expiry"):
        DynamicClass(expiry="drop")
    with pytest.raises(rampmeter.RangeError, match="buckets"):
        DynamicBatcher(DynamicOptions([], batch_size_max=8))
    with pytest.raises(rampmeter.RangeError, match="`points`"):
        DynamicBatcher(DynamicOptions([Curve([(1, 1e-3)] * 65)], batch_size_max=8))


def test_refused_calls_change_nothing():
    batcher = DynamicBatcher(options())
    account = batcher.open_account()
    submit(batcher, MILLI, account)
    before = batcher.save()
    with pytest.raises(rampmeter.TimeReversedError):
        submit(batcher, 0, account)
    with pytest.raises(rampmeter.StaleError):
        submit(batcher, MILLI, 12345)
    for wrong in ({"class_index": 1}, {"class_index": 2**31}, {"bucket": 70_000}):
        with pytest.raises(rampmeter.RangeError, match=next(iter(wrong)).split("_")[0]):
            submit(batcher, MILLI, account, **wrong)
    with pytest.raises(rampmeter.ContradictionError):
        batcher.close_account(account)
    with pytest.raises(OverflowError):
        submit(batcher, MILLI, account, tag=-1)
    with pytest.raises(TypeError):
        batcher.submit(MILLI, account)
    assert batcher.save() == before


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), max_size=60))
def test_everybody_is_launched_once(events):
    """Whatever comes, each request is launched, taken back or expired exactly once."""
    rules = options(instances=2, classes=[DynamicClass(timeout_ns=25 * MILLI)])
    batcher = DynamicBatcher(rules)
    account, now_ns, running, waiting = batcher.open_account(), 0, [], {}
    tag = 0

    def form():
        formed = batcher.form(now_ns)
        for gone in formed.expired:
            assert waiting.pop(gone.tag) == gone.request
        if isinstance(formed.decision, Launch):
            running.append(formed.decision.batch)
            assert len(running) <= 2
            for one, request in zip(formed.decision.tags, formed.decision.requests, strict=True):
                assert waiting.pop(one) == request
            form()

    for kind, milli in events:
        now_ns += milli * MILLI
        if kind < 2:
            tag += 1
            waiting[tag] = submit(batcher, now_ns, account, tag=tag).request
        elif kind == 2 and running:
            batcher.observe(now_ns + 1, running.pop(0))
            now_ns += 1
        elif waiting:
            batcher.cancel(now_ns, waiting.popitem()[1])
        form()
        assert batcher.stats().waiting == len(waiting)
        twin = DynamicBatcher.restore(rules, batcher.save())
        assert (twin.stats(), twin.save()) == (batcher.stats(), batcher.save())
    with pytest.raises(rampmeter.SnapshotError):
        DynamicBatcher.restore(rules, batcher.save()[:-1])


def test_shared_by_threads():
    batcher = DynamicBatcher(options(instances=4, batch_size_max=1))
    account = batcher.open_account()

    def work():
        for _ in range(200):
            submit(batcher, 0, account)
            launch = batcher.form(0).decision
            batcher.observe(0, launch.batch, failed=True)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = batcher.stats()
    assert (stats.launched, stats.requests) == (800, 0)
