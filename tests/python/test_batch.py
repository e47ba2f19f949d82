"""The batcher from Python: plans without copies, its answers, its refusals, snapshots, threads."""

import contextlib
import ctypes
import gc
import pickle
import struct
import threading
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rampmeter
from rampmeter.batch import (
    DECODE,
    PREFILL,
    Batcher,
    Column,
    Engine,
    Explanation,
    Progress,
    Queued,
    Shed,
    path_key,
)

MILLI = 1_000_000
ENGINE = Engine.named("llama-3.1-8b")
TWO = """
[[class]]
name = "chat"
ttft_target_s = 1.0

[[class]]
name = "bulk"
ttft_target_s = 60.0
queue_requests_max = 2

[[account]]
name = "search"

[limits]
replicas_max = 4
steps_in_flight_max = 2
"""


@pytest.fixture
def batcher():
    return Batcher(rampmeter.Policy(), ENGINE)


def submit(batcher, now_ns=0, **known):
    known = {"account": None, "prompt_tokens": 100, "output_tokens_max": 4} | known
    if known["account"] is None:
        known["account"] = batcher.open_account()
    return batcher.submit(now_ns, **known).request


def run(batcher, plan):
    """The engine: one token of each request that is to produce one."""
    emits = [request for request, token in zip(plan.request, plan.emits, strict=True) if token]
    return batcher.observe(plan.ends_at_ns, plan.step, request=emits)


def test_a_request_from_end_to_end(batcher):
    request = submit(batcher, tag=7)
    plan = batcher.form(0)
    assert (len(plan), plan.admissions, bool(plan)) == (1, 1, True)
    assert (plan.request[0], plan.tag[0], plan.phase[0]) == (request, 7, PREFILL)
    assert (plan.tokens[0], plan.computed_tokens[0], plan.prefill_tokens) == (100, 0, 100)
    assert (plan.emits[0], plan.admitted[0], plan.swapped_in[0]) == (True, True, False)
    assert run(batcher, plan).first_tokens == 1
    plan = batcher.form(plan.ends_at_ns)
    assert (plan.phase[0], plan.decode_requests, plan.decode_context_tokens) == (DECODE, 1, 100)
    seen = batcher.observe(plan.ends_at_ns, plan.step, request=plan.request, finished=[True])
    assert seen.as_dict() == {"finished": 1, "first_tokens": 0, "output_tokens": 1}
    assert batcher.next_event(plan.ends_at_ns) is None
    assert not batcher.form(plan.ends_at_ns)
    with pytest.raises(rampmeter.StaleError):
        batcher.progress(request)


def test_columns_are_the_plans_own_memory(batcher):
    account = batcher.open_account()
    requests = [submit(batcher, account=account, tag=tag, prompt_tokens=10) for tag in range(5)]
    plan = batcher.form(0)
    views = {name: memoryview(getattr(plan, name)) for name in ("request", "tokens", "emits")}
    assert [view.format for view in views.values()] == ["Q", "I", "?"]
    assert {view.strides for view in views.values()} == {(32,)}
    assert all(view.readonly and view.nbytes == 5 * view.itemsize for view in views.values())
    assert sorted(views["request"].tolist()) == sorted(requests) == sorted(plan.request)
    assert plan.tag[1:4] == plan.tag.tolist()[1:4] == list(plan.tag)[1:4]
    assert plan.tag[::-2] == plan.tag.tolist()[::-2]
    assert plan.tag[-1] == plan.tag.tolist()[-1]
    assert 3 in plan.tag
    assert isinstance(plan.tag, Column)
    assert repr(plan.emits) == f"Column({[True] * 5})"
    for wrong in (5, -6, 1 << 80):
        with pytest.raises((IndexError, TypeError)):
            plan.tag[wrong]
    with pytest.raises(TypeError):
        views["tokens"][0] = 1
    assert bytes(plan.emits) == b"\1" * 5
    with pytest.raises((TypeError, BufferError)):
        struct.pack_into("I", plan.tokens, 0, 1)
    with pytest.raises(BufferError, match="contiguous"):
        zlib.crc32(plan.tokens)


def test_numpy_copies_nothing(batcher):
    numpy = pytest.importorskip("numpy")
    account = batcher.open_account()
    for tag in range(4):
        submit(batcher, account=account, tag=tag)
    plan = batcher.form(0)
    tokens = numpy.asarray(plan.tokens)
    assert (tokens.dtype, tokens.tolist()) == (numpy.uint32, [100] * 4)
    assert not tokens.flags.owndata
    assert not tokens.flags.writeable
    again = numpy.asarray(plan.tokens)
    assert numpy.shares_memory(tokens, again)
    assert numpy.asarray(plan.emits).dtype == bool
    emits = numpy.asarray(plan.request)[numpy.asarray(plan.emits)]
    ones = numpy.ones(len(emits), dtype=numpy.uint32)
    never = numpy.zeros(len(emits), dtype=bool)
    seen = batcher.observe(MILLI, plan.step, request=emits, output_tokens=ones, finished=never)
    assert seen.output_tokens == 4


def test_memory_is_used_again_only_when_nobody_holds_it(batcher):
    submit(batcher, output_tokens_max=60)
    addresses = set()
    now_ns = 0
    for _ in range(8):
        plan = batcher.form(now_ns)
        addresses.add(_address(plan.tokens))
        now_ns = plan.ends_at_ns
        run(batcher, plan)
        del plan
    assert len(addresses) == 1
    held, shown = [], []
    for _ in range(12):
        plan = batcher.form(now_ns)
        held.append(memoryview(plan.computed_tokens))
        shown.append(plan.computed_tokens.tolist())
        now_ns = plan.ends_at_ns
        run(batcher, plan)
        del plan
        gc.collect()
    # A view is enough to keep what it shows, of more plans than the batcher keeps itself.
    assert [view.tolist() for view in held] == shown
    assert [one for (one,) in shown] == list(range(shown[0][0], shown[0][0] + 12))


def _address(column):
    class View(ctypes.Structure):
        _fields_ = [("buf", ctypes.c_void_p), ("rest", ctypes.c_char * 256)]

    view = View()
    ctypes.pythonapi.PyObject_GetBuffer(
        ctypes.py_object(column), ctypes.byref(view), ctypes.c_int(0x0018)
    )
    try:
        return view.buf
    finally:
        ctypes.pythonapi.PyBuffer_Release(ctypes.byref(view))


def test_turned_away_with_a_reason():
    batcher = Batcher(rampmeter.Policy.from_toml(TWO), ENGINE)
    account = batcher.policy_account(0)
    known = {"account": account, "class_index": 1, "prompt_tokens": 9, "output_tokens_max": 1}
    assert all(isinstance(batcher.submit(0, **known), Queued) for _ in range(2))
    match batcher.submit(0, **known):
        case Shed(reason, retry_after_ns):
            assert (reason, retry_after_ns) == ("class_requests", 60 * 10**9)
        case other:
            pytest.fail(f"{other}")
    batcher.set_account_rates(account, requests_per_minute=1)
    batcher.submit(0, **known | {"class_index": 0})
    limited = batcher.submit(0, **known | {"class_index": 0})
    assert limited.reason == "rate_requests"
    assert batcher.stats().shed == 2
    assert batcher.class_stats(1).waiting_tokens == 18


def test_cancelled_changed_explained_expired():
    batcher = Batcher(rampmeter.Policy.from_toml(TWO), ENGINE)
    account = batcher.policy_account(0)
    first = submit(batcher, account=account, class_index=1, tag=1)
    second = submit(batcher, account=account, class_index=1, tag=2, expires_at_ns=5 * MILLI)
    why = batcher.explain(0, second)
    assert isinstance(why, Explanation)
    assert (why.reason, why.stage, why.head, why.ahead_requests) == ("order", "waiting", first, 1)
    batcher.change(0, second, class_index=0)
    assert batcher.explain(0, second).reason == "next"
    match batcher.progress(second):
        case Progress("waiting", None, output_tokens):
            assert output_tokens == 0
        case other:
            pytest.fail(f"{other}")
    batcher.cancel(MILLI, first)
    with pytest.raises(rampmeter.StaleError):
        batcher.cancel(MILLI, first)
    (expired,) = batcher.form(6 * MILLI).expired
    assert (expired.request, expired.tag) == (second, 2)
    assert batcher.stats().expired == 1


def test_the_cache_is_asked_when_a_request_is_let_in(batcher):
    account = batcher.open_account()
    request = submit(batcher, account=account, tag=3)
    asked = []

    def cached(request, tag):
        asked.append((request, tag))
        return 64

    plan = batcher.form(0, cached_tokens=cached)
    assert asked == [(request, 3)]
    assert (plan.computed_tokens[0], plan.tokens[0]) == (64, 36)


def test_a_function_of_the_host_cannot_break_it(batcher, monkeypatch):
    raised = []
    monkeypatch.setattr("sys.unraisablehook", lambda args: raised.append(args.exc_type))
    account = batcher.open_account()
    submit(batcher, account=account)
    wrong = []

    def reenters(request, _tag):
        for call in (batcher.stats, batcher.save, lambda: batcher.cancel(0, request)):
            with pytest.raises(rampmeter.errors.ReentrantError):
                call()
        wrong.append(request)
        return 1 << 80

    plan = batcher.form(0, cached_tokens=reenters)
    assert raised == [OverflowError]
    assert wrong == plan.request.tolist()
    assert plan.computed_tokens[0] == 0
    assert batcher.stats().running == 1


def test_kv_that_is_moved_out(batcher):
    assert batcher.stats().kv_blocks_swapped == 0
    batcher.set_swap(kv_blocks=10, out_s_per_block=1e-4, in_s_per_block=1e-4)
    batcher.set_kv_blocks_free(0, 5)
    assert batcher.stats().kv_blocks_free == 5
    with pytest.raises(rampmeter.RangeError):
        batcher.set_swap(kv_blocks=10, out_s_per_block=2.0, in_s_per_block=0.0)
    with pytest.raises(rampmeter.StaleError):
        batcher.drop_swapped(0, 77)
    with pytest.raises(rampmeter.RangeError, match="kv_blocks_free"):
        batcher.set_kv_blocks_free(0, ENGINE.kv_blocks + 1)


def test_preempted_when_the_cache_is_full():
    small = Engine(kv_blocks=8, kv_block_tokens=16, step_coefficients=ENGINE.step_coefficients)
    hope = rampmeter.Policy.from_toml("[batch]\nkv_overflow_risk_ratio = 1.0\n")
    batcher = Batcher(hope, small)
    account = batcher.open_account()
    for tag in range(2):
        submit(batcher, account=account, tag=tag, prompt_tokens=62, output_tokens_max=60)
    now_ns, gave_way = 0, []
    for _ in range(20):
        plan = batcher.form(now_ns)
        gave_way += plan.preempted
        now_ns = plan.ends_at_ns
        run(batcher, plan)
    assert gave_way
    assert gave_way[0].computed_tokens >= 62
    assert gave_way[0].restore_s > 0
    assert not gave_way[0].swapped_out


def test_refused_calls_change_nothing(batcher):
    account = batcher.open_account()
    request = submit(batcher, now_ns=9, account=account)
    plan = batcher.form(10)
    before = batcher.save()
    calls = [
        (rampmeter.TimeReversedError, lambda: batcher.form(5)),
        (rampmeter.StaleError, lambda: batcher.observe(11, plan.step + 1)),
        (rampmeter.StaleError, lambda: batcher.observe(11, plan.step, request=[1])),
        (
            rampmeter.ContradictionError,
            lambda: batcher.observe(11, plan.step, request=[request], finished=[]),
        ),
        (
            rampmeter.RangeError,
            lambda: batcher.observe(11, plan.step, request=[request], output_tokens=[99]),
        ),
        (TypeError, lambda: batcher.observe(11, plan.step, request="ab")),
        (TypeError, lambda: batcher.observe(11, plan.step, request=3)),
        (OverflowError, lambda: batcher.observe(11, plan.step, request=[-1])),
        (rampmeter.StaleError, lambda: submit(batcher, 11, account=account + 1)),
        (rampmeter.RangeError, lambda: submit(batcher, 11, account=account, prompt_tokens=0)),
        (rampmeter.RangeError, lambda: submit(batcher, 11, account=account, class_index=99)),
        (OverflowError, lambda: submit(batcher, 11, account=account, class_index=1 << 16)),
        (OverflowError, lambda: submit(batcher, -1, account=account)),
        (rampmeter.ContradictionError, lambda: batcher.close_account(account)),
        (rampmeter.RangeError, batcher.delta),
        (rampmeter.RangeError, lambda: batcher.delta(entries_max=0)),
        (rampmeter.RangeError, lambda: batcher.policy_account(99)),
    ]
    for error, call in calls:
        with pytest.raises(error):
            call()
        assert batcher.save() == before


def test_goes_on_where_it_was_saved():
    policy = rampmeter.Policy.from_toml(TWO)
    batcher = Batcher(policy, ENGINE)
    account = batcher.policy_account(0)
    for tag in range(6):
        submit(batcher, account=account, tag=tag)
    plan = batcher.form(0)
    twin = Batcher.restore(policy, ENGINE, batcher.save())
    for one in (batcher, twin):
        one.observe(plan.ends_at_ns, plan.step, request=plan.request)
        one.form(plan.ends_at_ns)
    assert twin.save() == batcher.save()
    assert twin.stats() == batcher.stats()
    assert twin.model_stats() == batcher.model_stats()
    with pytest.raises(rampmeter.SnapshotError):
        Batcher.restore(policy, ENGINE, batcher.save()[:-1])
    batcher.set_policy(policy)
    batcher.set_engine(Engine.named("qwen3-32b"))
    with pytest.raises(rampmeter.RangeError):
        batcher.set_policy(rampmeter.Policy())


def test_engines_tell_each_other_whom_they_served():
    policy = rampmeter.Policy.from_toml(TWO)
    one, two = Batcher(policy, ENGINE), Batcher(policy, ENGINE)
    for number, batcher in enumerate((one, two)):
        batcher.set_replica(number, 1)
    account = one.policy_account(0)
    submit(one, account=account)
    run(one, one.form(0))
    delta = pickle.loads(pickle.dumps(one.delta().as_dict()))
    assert [entry[0] for entry in delta["entries"]] == [path_key("search")]
    known = {name: delta[name] for name in ("replica", "incarnation", "entries")}
    assert two.merge(**known).news == 1
    assert two.merge(**known).older == 1
    served = one.account_service(0, account)
    assert two.account_service(0, two.policy_account(0)) == served > 0
    two.forget_replica(0)
    opened = two.open_account(weight=2.0)
    two.set_account_key(opened, path_key("guests"))
    two.set_account_weight(opened, 3.0)
    two.set_account_queue(opened, requests_max=1)
    two.close_account(opened)


def test_an_engine_is_checked_and_shown():
    known = ENGINE.as_dict()
    assert Engine(**known) == ENGINE
    assert eval(repr(ENGINE), {"Engine": Engine}) == ENGINE
    with pytest.raises(rampmeter.RangeError, match="block"):
        Engine(**known | {"kv_block_tokens": 0})
    with pytest.raises(rampmeter.RangeError):
        Engine(**known | {"step_coefficients": [float("nan")] * 7})
    with pytest.raises(ValueError, match="7"):
        Engine(**known | {"step_coefficients": [1.0]})
    with pytest.raises(rampmeter.NameUnknownError, match="lama"):
        Engine.named("lama")
    assert Batcher.bytes_needed(rampmeter.Policy()) > 100_000


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4_000), st.integers(1, 40)), max_size=120)
)
def test_books_balance(events):
    """Whatever comes: columns agree with what was submitted, and everybody ends."""
    batcher = Batcher(rampmeter.Policy(), ENGINE)
    accounts = [batcher.open_account() for _ in range(3)]
    now_ns, left, prompts = 0, {}, {}
    for tag, (who, prompt, output) in enumerate(events):
        if who == 3 and left:
            gone = next(iter(left))
            batcher.cancel(now_ns, gone)
            del left[gone]
            continue
        request = submit(
            batcher,
            now_ns,
            account=accounts[who % 3],
            tag=tag,
            prompt_tokens=prompt,
            output_tokens_max=output,
        )
        left[request], prompts[request] = output, prompt
    while left:
        plan = batcher.form(now_ns)
        assert plan.step is not None
        chunks = zip(plan.request, plan.tokens, plan.computed_tokens, plan.phase, strict=True)
        for request, tokens, computed, phase in chunks:
            assert phase == DECODE or computed + tokens <= prompts[request]
        assert sum(plan.tokens) == plan.prefill_tokens + plan.decode_requests
        now_ns = plan.ends_at_ns
        emits = [request for request, token in zip(plan.request, plan.emits, strict=True) if token]
        batcher.observe(now_ns, plan.step, request=emits)
        for request in emits:
            left[request] -= 1
            if not left[request]:
                del left[request]
    assert batcher.stats().requests == 0


def test_shared_by_threads():
    batcher = Batcher(rampmeter.Policy(), ENGINE)
    account = batcher.open_account()
    stop = threading.Event()

    def work():
        for _ in range(300):
            request = submit(batcher, account=account)
            batcher.cancel(0, request)

    def look():
        while not stop.is_set():
            batcher.stats()
            with contextlib.suppress(rampmeter.FullError):
                batcher.form(0, cached_tokens=lambda *_: None).tag.tolist()

    threads = [threading.Thread(target=work) for _ in range(4)]
    looking = threading.Thread(target=look)
    looking.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    looking.join()
    assert batcher.stats().waiting == 0
