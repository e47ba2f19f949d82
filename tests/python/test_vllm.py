"""The steering of vLLM without vLLM: turns, settings, and an adviser before a small fake engine."""

import random
import statistics
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rampmeter
from rampmeter.errors import DocumentError
from rampmeter.integrations import vllm as integration
from rampmeter.integrations.vllm import seams
from rampmeter.integrations.vllm.advisor import Advisor
from rampmeter.integrations.vllm.settings import EngineShape, Settings, SettingsError, policy_for
from rampmeter.integrations.vllm.turns import TurnQueue

MILLI = 1_000_000
SHAPE = EngineShape(
    kv_blocks=60,
    kv_block_tokens=16,
    running_max=4,
    step_tokens_max=128,
    sequence_tokens_max=900,
    steps_in_flight_max=2,
)
TWO = """
[[class]]
name = "chat"

[[class]]
name = "bulk"
queue_requests_max = 1

[[account]]
name = "search"

[limits]
accounts_max = 3
"""


def test_nothing_of_vllm_is_imported():
    assert not any(name == "vllm" or name.startswith("vllm.") for name in sys.modules)
    with pytest.raises(AttributeError, match="Schedule"):
        _ = integration.Schedule


def test_settings_are_checked(tmp_path):
    assert Settings.read(None) == Settings.read({}) == Settings.read({"other": 1}) == Settings()
    path = tmp_path / "fair.toml"
    path.write_text(TWO)
    read = Settings.read({"rampmeter": {"policy": str(path), "metrics_port": 9}})
    assert read.document().class_names == ["chat", "bulk"]
    assert Settings(policy=TWO).document() == read.document()
    for wrong in ({"polcy": "x"}, {"policy": 3}, {"metrics_port": True}, {"engine": None}, []):
        with pytest.raises(SettingsError):
            Settings.read({"rampmeter": wrong})
    with pytest.raises(FileNotFoundError):
        Settings(policy="none.toml").document()
    with pytest.raises(DocumentError):
        Settings(policy="a = \n").document()
    with pytest.raises(rampmeter.NameUnknownError):
        Advisor(rampmeter.Policy(), SHAPE, Settings(engine="lama"))


def test_limits_are_the_engines():
    policy = policy_for(rampmeter.Policy.from_toml(TWO), SHAPE)
    assert "running_max = 4\n" in policy.to_toml()
    assert "step_tokens_max = 128\n" in policy.to_toml()
    assert "steps_in_flight_max = 2\n" in policy.to_toml()
    assert policy.account_names == ["search"]
    with_adapters = EngineShape(**{**_fields(SHAPE), "adapter_slots_max": 2})
    assert "adapter_slots_max = 2\n" in policy_for(rampmeter.Policy(), with_adapters).to_toml()


def _fields(shape):
    return {name: getattr(shape, name) for name in shape.__dataclass_fields__}


class _Request:
    def __init__(self, number):
        self.number = number


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 30)), max_size=60))
def test_the_queue_loses_nobody(calls):
    """Against a list: whoever came and was not taken is there, once, and only turns are offered."""
    queue, here, turn = TurnQueue(lambda one: one.number % 3 > 0), [], None
    for what, number in calls:
        match what:
            case 0 | 1:
                one = _Request(number)
                (queue.add_request if what else queue.prepend_request)(one)
                here.append(one)
            case 2 if here:
                gone = here.pop(number % len(here))
                queue.remove_request(gone)
                queue.remove_requests([gone, _Request(1)])
            case 3:
                turn = [one for one in here if one.number % 2]
                queue.begin(turn)
            case 4:
                queue.end()
                turn = None
            case 5 if queue:
                taken = queue.pop_request()
                here.remove(taken)
                assert turn is None or taken.number % 3 == 0 or taken in turn
            case 6 if not queue:
                with pytest.raises(IndexError):
                    queue.peek_request()
        assert len(queue) == len(here)
        assert {*queue} == {*here}
        offered = [one for one in here if turn is None or one.number % 3 == 0 or one in turn]
        assert bool(queue) == bool(offered)
    queue.release()
    left = [queue.pop_request() for _ in range(len(queue))]
    assert {*left} == {*here}
    assert not queue


def enter(advisor, name, now_ns=0, **known):
    known = {"prompt_tokens": 100, "output_tokens_max": 5, "tenant": "search"} | known
    return advisor.enter(name, now_ns, **known)


def test_refused_and_expired_and_why():
    advisor = Advisor(rampmeter.Policy.from_toml(TWO), SHAPE)
    assert enter(advisor, "a", class_index=1) is None
    assert enter(advisor, "b", class_index=1).reason == "class_requests"
    assert "b" not in advisor
    assert enter(advisor, "c", expires_at_ns=5 * MILLI) is None
    advice = advisor.advise(6 * MILLI, kv_blocks_free=60)
    assert [ticket.name for ticket in advice.expired] == ["c"]
    assert "c" not in advisor
    with pytest.raises(rampmeter.RangeError):
        enter(advisor, "long", 6 * MILLI, prompt_tokens=901)
    assert len(advisor) == 1


def test_tenants_have_accounts_as_far_as_there_are():
    advisor = Advisor(rampmeter.Policy.from_toml(TWO), SHAPE)
    for number in range(5):
        enter(advisor, f"{number}", tenant=f"tenant-{number}")
    accounts = {advisor.ticket(f"{number}").account for number in range(5)}
    assert len(accounts) == 2
    assert advisor.account_name(advisor.ticket("0")) == "other"
    for number in range(5):
        advisor.leave(f"{number}", 0)
    enter(advisor, "again", tenant="tenant-9")
    assert advisor.batcher.stats().accounts == 3
    assert advisor.class_index("bulk", 0) == 1
    assert advisor.class_index("bulky", -3) == advisor.class_index(None, 0) == 0
    assert advisor.class_index(3.5, 99) == 1


def test_the_cache_is_asked_for_who_is_let_in():
    advisor = Advisor(rampmeter.Policy(), SHAPE)
    enter(advisor, "a")
    enter(advisor, "b")
    advice = advisor.advise(0, kv_blocks_free=60, cached_tokens=lambda _: 96)
    assert advice.chunks == {"a": 4, "b": 4}
    assert [ticket.name for ticket in advice.firsts] == ["a", "b"]


def test_no_more_steps_than_may_be_in_flight():
    advisor = Advisor(rampmeter.Policy(), SHAPE)
    enter(advisor, "a")
    first = advisor.advise(0, kv_blocks_free=60)
    second = advisor.advise(0, kv_blocks_free=60)
    assert advisor.advise(0, kv_blocks_free=60) is None
    (started,) = advisor.observe(first, MILLI, ["a"], [1], set())
    assert started.name == "a"
    advisor.never_ran(second, MILLI)
    assert advisor.batcher.stats().steps_in_flight == 0


def test_what_cannot_be_is_counted_and_not_fatal():
    advisor = Advisor(rampmeter.Policy(), SHAPE)
    enter(advisor, "a", output_tokens_max=5)
    advice = advisor.advise(0, kv_blocks_free=60)
    advisor.observe(advice, 0, ["a"], [99], set())
    assert advisor.contradictions == 1
    advice = advisor.advise(0, kv_blocks_free=60)
    advisor.observe(advice, 0, ["a"], [99], {"a"})
    assert advisor.contradictions == 2
    assert len(advisor) == advisor.batcher.stats().requests == 0


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1 << 32))
def test_an_engine_that_has_its_own_mind(seed):
    """It runs less than was advised, more, or something else, loses KV and ends early: the adviser
    keeps up, and forgets everybody who has ended."""
    draw = random.Random(seed)
    advisor = Advisor(rampmeter.Policy(), SHAPE)
    want, said, computed, flights = {}, {}, {}, []
    now_ns, number = 0, 0
    while number < 25 or want:
        now_ns += draw.randrange(30 * MILLI)
        if number < 25 and draw.random() < 0.5:
            name = f"{number}"
            output = draw.randint(1, 12)
            if enter(advisor, name, now_ns, output_tokens_max=output) is None:
                want[name], said[name], computed[name] = output, 0, 0
            number += 1
        advice = advisor.advise(now_ns, kv_blocks_free=draw.choice((60, 60, 40)))
        if advice is None or draw.random() < 0.3:
            if advice is not None and advice.step is not None:
                flights.append((advice, {}))
            for advice, ran in flights:
                _land(advisor, advice, ran, now_ns, want, said)
            flights.clear()
            continue
        for ticket in advice.give_way:
            computed[ticket.name] = 0
        ran = {}
        for name in want:
            chunk = advice.chunks.get(name)
            if computed[name] < 100:
                if chunk and draw.random() < 0.8:
                    computed[name] += draw.choice((chunk, chunk, max(chunk // 2, 1), 100))
                    ran[name] = computed[name] >= 100
            elif draw.random() < 0.9:
                ran[name] = True
        if draw.random() < 0.1 and want:
            name = draw.choice([*want])
            if computed[name] >= 100 and name in advisor:
                computed[name] = 0
                left = want[name] - said[name]
                assert advisor.lost_kv(name, now_ns, tokens=100, output_tokens_left=left) is None
        if advice.step is not None:
            flights.append((advice, ran))
        assert now_ns < 3_600_000 * MILLI
    for advice, ran in flights:
        _land(advisor, advice, ran, now_ns, want, said)
    stats = advisor.batcher.stats()
    assert (len(advisor), stats.requests, stats.steps_in_flight) == (0, 0, 0)
    assert advisor._owing == 0


def _land(advisor, advice, ran, now_ns, want, said):
    produced = {name: int(emits) for name, emits in ran.items() if name in want}
    for name, count in produced.items():
        said[name] += count
    ended = {name for name in produced if said[name] >= want[name]}
    advisor.observe(advice, now_ns, [*produced], [*produced.values()], ended)
    for name in ended:
        del want[name]


class _InOrder:
    """An engine that lets in whoever came first."""

    def __init__(self):
        self.waiting = []

    def enter(self, name, _output):
        self.waiting.append(name)

    def let_in(self, seats):
        gone, self.waiting = self.waiting[:seats], self.waiting[seats:]
        return gone

    def ran(self, names, ended):
        pass


class _Advised:
    """An engine that does what an adviser says."""

    def __init__(self):
        shape = {**_fields(SHAPE), "kv_blocks": 900, "running_max": 8, "steps_in_flight_max": 1}
        policy = rampmeter.Policy.from_toml("[batch]\nurgency_credit_tokens = 0.0\n")
        self.advisor = Advisor(policy, EngineShape(**shape))
        self.now_ns = 0

    def enter(self, name, output):
        tenant = name.split("-")[0]
        known = {"prompt_tokens": 8, "output_tokens_max": output, "tenant": tenant}
        assert self.advisor.enter(name, self.now_ns, **known) is None

    def let_in(self, _seats):
        self.now_ns += 5 * MILLI
        self.advice = self.advisor.advise(self.now_ns, kv_blocks_free=800)
        return [ticket.name for ticket in self.advice.turn]

    def ran(self, names, ended):
        if names:
            self.advisor.observe(self.advice, self.now_ns, names, [1] * len(names), ended)


def _modest_waits(engine, draw):
    """At eight seats, 32 requests of one tenant and two of another, who come again soon after they
    were answered: tokens that are said while one of the other's waits for its first, and tokens a
    step."""
    due = [(draw.randrange(4), "greedy") for _ in range(32)] + [(40, "modest")] * 2
    running, left, born, waits = [], {}, {}, []
    said = step = 0
    while len(waits) < 200:
        for one in sorted(one for one in due if one[0] <= step):
            due.remove(one)
            name = f"{one[1]}-{len(born)}"
            left[name] = 16 + (draw.randint(-12, 12) if one[1] == "greedy" else 0)
            born[name] = said
            engine.enter(name, left[name])
        begun = engine.let_in(8 - len(running))
        waits += [said - born[name] for name in begun if name.startswith("modest")]
        running += begun
        for name in running:
            left[name] -= 1
        said, step = said + len(running), step + 1
        ended = {name for name in running if not left[name]}
        engine.ran(running, ended)
        running = [name for name in running if name not in ended]
        due += [(step + draw.randrange(3), name.split("-")[0]) for name in sorted(ended)]
    return waits, said / step


@pytest.mark.parametrize("seed", range(5))
def test_who_comes_back_waits_for_a_seat_and_not_for_the_queue(seed):
    plain, plain_rate = _modest_waits(_InOrder(), random.Random(seed))
    fair, rate = _modest_waits(_Advised(), random.Random(seed))
    p99_plain, p99 = (statistics.quantiles(waits, n=100)[98] for waits in (plain, fair))
    assert p99 <= p99_plain / 3
    assert rate >= 0.95 * plain_rate


def test_a_scheduler_without_its_seams_is_described():
    class Queue:
        __abstractmethods__ = frozenset({"peek_many"})

    base = type("Scheduler", (), {"__module__": "vllm.v1.core.sched.scheduler"})
    scheduler = base()
    scheduler.waiting = Queue()
    told = [*seams.moved(scheduler)]
    assert "Scheduler.schedule is gone" in told
    assert "kv_cache_manager.get_computed_blocks is gone" in told
    assert any("peek_many" in one for one in told)
    assert any("does without" in one for one in told)
