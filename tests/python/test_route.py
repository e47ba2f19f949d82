"""The router from Python: choices, what it hears, its refusals, threads, snapshots."""

import array
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rampmeter
from rampmeter.route import Router, hash_blocks

SECOND = 1_000_000_000
SMALL = {"replicas_max": 4, "requests_max": 64, "blocks_max": 4096, "sets_max": 4096}


@pytest.fixture
def router():
    return Router(rampmeter.Policy(), **SMALL)


def ask(router, now_ns, tokens, **more):
    names = hash_blocks(tokens, block_tokens=16)
    return router.route(
        now_ns, class_index=0, prompt_tokens=max(len(tokens), 1), hashes=names, **more
    )


def finish(router, now_ns, routed):
    router.first_token(now_ns, routed.request)
    router.ended(now_ns + 1, routed.request, output_tokens=8)


def chain(tokens, block_tokens, root=0):
    """The same names from the formula of the documentation."""
    names, last, mask = [], root, (1 << 64) - 1
    for place, start in enumerate(range(0, len(tokens) - block_tokens + 1, block_tokens), 1):
        last = (last + place * 0x9E3779B97F4A7C15) & mask
        for token in tokens[start : start + block_tokens]:
            last = ((last ^ token) * 0x100000001B3) & mask
            last = ((last << 29) | (last >> 35)) & mask
        last = ((last ^ (last >> 30)) * 0xBF58476D1CE4E5B9) & mask
        last = ((last ^ (last >> 27)) * 0x94D049BB133111EB) & mask
        last ^= last >> 31
        names.append(last)
    return names


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 2**32 - 1), max_size=70),
    st.integers(1, 9),
    st.integers(0, 2**64 - 1),
)
def test_names_of_blocks(tokens, block_tokens, root):
    named = hash_blocks(tokens, block_tokens=block_tokens, root=root)
    assert named == chain(tokens, block_tokens, root)
    assert named == hash_blocks(array.array("I", tokens), block_tokens=block_tokens, root=root)
    assert named == hash_blocks(array.array("Q", tokens), block_tokens=block_tokens, root=root)


def test_a_prompt_goes_where_it_was(router):
    replicas = [router.add_replica(0, engine="llama-3.1-8b") for _ in range(3)]
    tokens = list(range(1024))
    first = ask(router, SECOND, tokens)
    assert first.replica in replicas
    assert first.cached_tokens == 0
    finish(router, 2 * SECOND, first)
    again = ask(router, 3 * SECOND, [*tokens, *range(32)])
    assert (again.replica, again.cached_tokens) == (first.replica, 1024)
    assert again.ttft_s < first.ttft_s
    other = router.route(3 * SECOND, class_index=0, prompt_tokens=1024)
    assert other.replica != first.replica


def test_prices_explain_the_choice(router):
    for _ in range(3):
        router.add_replica(0, engine="llama-3.1-8b")
    names = hash_blocks(range(640), block_tokens=16)
    finish(router, 2, router.route(1, class_index=0, prompt_tokens=640, hashes=names))
    before = router.save()
    seen = router.explain(3, class_index=0, prompt_tokens=640, hashes=names)
    assert len(seen) == 3
    best = min(seen, key=lambda candidate: candidate.prices.cost)
    assert router.save() == before
    routed = router.route(3, class_index=0, prompt_tokens=640, hashes=names)
    assert (routed.replica, routed.cost) == (best.replica, best.prices.cost)
    assert routed.ttft_s == best.prices.ttft_s
    assert all(candidate.prices.transfer_s == 0 for candidate in seen)


@pytest.mark.parametrize("kind", ["list", "tuple", "array", "signed", "bytes", "view", "numpy"])
def test_names_come_in_any_form(router, kind):
    names = hash_blocks(range(512), block_tokens=16)
    signed = [name - 2**64 if name >= 2**63 else name for name in names]
    numpy = pytest.importorskip("numpy") if kind == "numpy" else None
    given_names = {
        "list": lambda: names,
        "tuple": lambda: tuple(names),
        "array": lambda: array.array("Q", names),
        "signed": lambda: array.array("q", signed),
        "bytes": lambda: array.array("Q", names).tobytes(),
        "view": lambda: memoryview(array.array("Q", names)),
        "numpy": lambda: numpy.array(names, dtype=numpy.uint64),
    }[kind]()
    replicas = [router.add_replica(0, engine="llama-3.1-8b") for _ in range(2)]
    router.stored(1, replicas[1], hashes=given_names)
    routed = router.route(2, class_index=0, prompt_tokens=512, hashes=given_names)
    # The last token of a prompt is always computed.
    assert (routed.replica, routed.cached_tokens) == (replicas[1], 511)
    router.removed(3, replicas[1], hashes=given_names)
    assert router.route(3, class_index=0, prompt_tokens=512, hashes=names).cached_tokens == 0


def test_wrong_names_are_refused(router):
    router.add_replica(0, engine="llama-3.1-8b")
    for wrong in ([1.5], array.array("d", [1.0]), array.array("I", [1]), "text", 7):
        with pytest.raises(TypeError):
            router.route(1, class_index=0, prompt_tokens=1, hashes=wrong)
    for wrong in ([-1], [2**64]):
        with pytest.raises(OverflowError):
            router.route(1, class_index=0, prompt_tokens=1, hashes=wrong)
    with pytest.raises(ValueError, match="eights"):
        router.route(1, class_index=0, prompt_tokens=1, hashes=b"1234567")
    with pytest.raises(ValueError, match="outside"):
        hash_blocks(array.array("q", [-1]), block_tokens=1)
    with pytest.raises(rampmeter.RangeError, match="block_tokens"):
        hash_blocks([1], block_tokens=0)


def test_replicas_come_report_drain_fail_and_go(router):
    one = router.add_replica(0, engine="llama-3.1-8b")
    other = router.add_replica(
        0,
        step_coefficients=[0.01, 1e-4, 1e-4, 1e-8, 1e-9, 0.0, 0.0],
        kv_blocks=1000,
        kv_block_tokens=16,
        running_max=8,
    )
    assert router.report(5, one, running=2, waiting=1, kv_blocks_free=10, prefill_tokens=99)
    assert not router.report(6, one, running=2, waiting=1, kv_blocks_free=10, as_of_ns=4)
    router.drain(7, one)
    assert router.status(one) == "draining"
    assert ask(router, 8, [1]).replica == other
    assert router.fail(9, other) == 1
    assert (router.status(other), ask(router, 10, [1])) == ("failed", None)
    router.resume(11, one, ready_at_ns=50)
    assert ask(router, 12, [1]).replica == one
    router.remove_replica(13, other)
    with pytest.raises(rampmeter.StaleError):
        router.status(other)
    assert router.stats().replicas_ready == 1


def test_pairs_and_adapters(router):
    prefill = router.add_replica(0, engine="llama-3.1-8b", mode="prefill")
    assert router.route_pair(1, class_index=0, prompt_tokens=100) is None
    decode = router.add_replica(1, engine="llama-3.1-8b", mode="decode", link_group=1)
    pair = router.route_pair(2, class_index=0, prompt_tokens=100, adapter=7)
    assert (pair.prefill, pair.decode) == (prefill, decode)
    assert 0 < pair.transfer_s < pair.ttft_s
    router.started(3, pair.request, cached_tokens=0)
    finish(router, 4, pair)
    mixed = [router.add_replica(5, engine="llama-3.1-8b", adapter_load_s=9.0) for _ in range(2)]
    router.adapter_loaded(6, mixed[1], adapter=8)
    assert ask(router, 7, [1], adapter=8).replica == mixed[1]
    router.adapter_unloaded(8, mixed[1], adapter=8)
    assert ask(router, 9, [1], adapter=8).replica == mixed[0]


def test_refused_calls_change_nothing(router):
    replica = router.add_replica(10, engine="llama-3.1-8b")
    before = router.save()
    with pytest.raises(rampmeter.TimeReversedError, match="now_ns"):
        ask(router, 5, [1])
    with pytest.raises(rampmeter.RangeError, match="99"):
        router.route(11, class_index=99, prompt_tokens=1)
    with pytest.raises(rampmeter.RangeError, match="prompt_tokens"):
        router.route(11, class_index=0, prompt_tokens=0)
    with pytest.raises(rampmeter.RangeError, match="kv_blocks_free"):
        router.report(11, replica, running=0, waiting=0, kv_blocks_free=2**31)
    with pytest.raises(rampmeter.NameUnknownError, match="engine"):
        router.add_replica(11, engine="none-such")
    with pytest.raises(rampmeter.NameUnknownError, match="tier"):
        router.stored(11, replica, hashes=[], tier="tape")
    with pytest.raises(rampmeter.StaleError):
        router.ended(11, 12345, output_tokens=1)
    with pytest.raises(TypeError, match="kv_block"):
        router.add_replica(11)
    with pytest.raises(TypeError, match="colour"):
        router.add_replica(11, engine="llama-3.1-8b", colour=1)
    assert router.save() == before


def test_options():
    policy = rampmeter.Policy()
    assert Router.bytes_needed(policy, **SMALL) < Router.bytes_needed(policy)
    with pytest.raises(rampmeter.RangeError, match="replicas_max"):
        Router(policy, replicas_max=0)
    with pytest.raises(TypeError, match="replica_max"):
        Router(policy, replica_max=1)


def test_goes_on_where_it_was_saved(router):
    for _ in range(3):
        router.add_replica(0, engine="llama-3.1-8b")
    tokens = list(range(256))
    running = [ask(router, 10, tokens) for _ in range(4)]
    twin = Router.restore(rampmeter.Policy(), router.save(), **SMALL)
    for one in (router, twin):
        finish(one, 20, running[0])
    assert ask(router, 30, tokens) == ask(twin, 30, tokens)
    assert twin.save() == router.save()
    assert twin.stats() == router.stats()
    with pytest.raises(rampmeter.SnapshotError):
        Router.restore(rampmeter.Policy(), router.save()[:-1], **SMALL)
    with pytest.raises(rampmeter.SnapshotError):
        Router.restore(rampmeter.Policy(), router.save(), **{**SMALL, "requests_max": 65})


def test_policy_may_change(router):
    router.set_policy(rampmeter.Policy("balanced"))
    with pytest.raises(rampmeter.RangeError):
        router.set_policy(rampmeter.Policy.from_toml("[[class]]\nname = 'only'"))


def test_shared_by_threads(router):
    for _ in range(4):
        router.add_replica(0, engine="llama-3.1-8b")
    names = array.array("Q", hash_blocks(range(160), block_tokens=16))

    def work():
        for _ in range(300):
            routed = router.route(1, class_index=0, prompt_tokens=160, hashes=names)
            router.ended(1, routed.request, output_tokens=1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (router.stats().decisions, router.stats().requests) == (2_400, 0)
