"""The gate from Python: its answers, its refusals, threads, snapshots."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rampmeter
from rampmeter.gate import Admit, Expired, Gate, Hold, Shed, Start

MILLI = 1_000_000


@pytest.fixture
def gate():
    return Gate(rampmeter.Policy(), servers=2)


def fill(gate, account):
    """Twenty requests of 100 ms, so that the gate knows how fast work leaves; then all busy."""
    for at in range(20):
        now_ns = (1_000 + 100 * at) * MILLI
        ticket = gate.admit(now_ns, class_index=0, account=account).ticket
        gate.ended(now_ns + 100 * MILLI, ticket)
    now_ns = 4_000 * MILLI
    return now_ns, [gate.admit(now_ns, class_index=0, account=account) for _ in range(2)]


def test_held_and_started(gate):
    account = gate.open_account()
    now_ns, running = fill(gate, account)
    assert all(isinstance(answer, Admit) for answer in running)
    match gate.admit(now_ns, class_index=0, account=account):
        case Hold(ticket, until_ns):
            assert until_ns > now_ns
        case other:
            pytest.fail(f"{other}")
    assert gate.next(now_ns) is None
    with pytest.raises(rampmeter.ContradictionError, match="servers"):
        gate.dequeue(now_ns, ticket)
    gate.ended(now_ns + 50 * MILLI, running[0].ticket)
    assert gate.next(now_ns + 50 * MILLI) == ticket
    started = gate.dequeue(now_ns + 50 * MILLI, ticket)
    assert isinstance(started, Start)
    assert started.as_dict() == {"waited_ns": 50 * MILLI}
    assert gate.stats().running == 2


def test_held_for_too_long(gate):
    account = gate.open_account()
    now_ns, _ = fill(gate, account)
    held = gate.admit(now_ns, class_index=0, account=account)
    assert gate.next_event(now_ns) == held.until_ns + 1
    late_ns = held.until_ns + 1
    (gone,) = gate.given_up(late_ns)
    assert (gone.ticket, gone.reason, gone.account) == (held.ticket, "expired", account)
    again = gate.admit(late_ns, class_index=0, account=account)
    assert isinstance(gate.dequeue(again.until_ns + 1, again.ticket), Expired)


def test_turned_away_with_a_reason(gate):
    account = gate.open_account()
    gate.set_servers(0, 0)
    answer = gate.admit(0, class_index=0, account=account)
    assert isinstance(answer, Shed)
    assert answer.reason == "no_servers"
    assert gate.stats().shed_no_servers == 1


def test_another_policy_is_refused_by_name():
    def policy(*names):
        accounts = "".join(f'[[account]]\nname = "{name}"\n' for name in names)
        return rampmeter.Policy.from_toml(accounts)

    gate = Gate(policy("gold", "trial"), servers=2)
    gate.set_policy(policy("gold", "trial"))
    with pytest.raises(rampmeter.ContradictionError, match="name"):
        gate.set_policy(policy("trial", "gold"))
    with pytest.raises(rampmeter.RangeError, match="accounts"):
        gate.set_policy(policy("gold"))


def test_refused_calls_change_nothing(gate):
    account = gate.open_account()
    fill(gate, account)
    before = gate.save()
    with pytest.raises(rampmeter.TimeReversedError, match="now_ns"):
        gate.admit(5, class_index=0, account=account)
    with pytest.raises(rampmeter.RangeError, match="99"):
        gate.admit(5_000 * MILLI, class_index=99, account=account)
    with pytest.raises(rampmeter.RangeError, match="work"):
        gate.admit(5_000 * MILLI, class_index=0, account=account, work=0)
    with pytest.raises(rampmeter.StaleError) as stale:
        gate.ended(5_000 * MILLI, 12345)
    assert stale.value.code == -3
    with pytest.raises(OverflowError):
        gate.admit(-1, class_index=0, account=account)
    with pytest.raises(TypeError):
        gate.admit(5_000 * MILLI, 0, account)
    assert gate.save() == before


def test_goes_on_where_it_was_saved(gate):
    account = gate.open_account()
    now_ns, running = fill(gate, account)
    twin = Gate.restore(rampmeter.Policy(), gate.save())
    for one in (gate, twin):
        one.admit(now_ns, class_index=0, account=account)
        one.ended(now_ns + MILLI, running[1].ticket)
    assert twin.save() == gate.save()
    assert twin.stats() == gate.stats()
    with pytest.raises(rampmeter.SnapshotError):
        Gate.restore(rampmeter.Policy(), gate.save()[:-1])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 400)), max_size=80))
def test_books_balance(events):
    """Whatever comes: nobody is lost, and no more run than there are servers."""
    gate = Gate(rampmeter.Policy(), servers=3)
    account, now_ns, running, waiting, gone = gate.open_account(), 0, [], [], 0
    for kind, milli in events:
        now_ns += milli * MILLI
        if kind < 2:
            match gate.admit(now_ns, class_index=0, account=account):
                case Admit(ticket):
                    running.append(ticket)
                case Hold(ticket):
                    waiting.append(ticket)
                case Shed(_, retry_after_ns):
                    assert retry_after_ns >= 0
        elif kind == 2 and running:
            gate.ended(now_ns, running.pop(0))
            ticket = gate.next(now_ns)
            if ticket is not None and len(running) < 3:
                waiting.remove(ticket)
                if isinstance(gate.dequeue(now_ns, ticket), Start):
                    running.append(ticket)
        for given_up in gate.given_up(now_ns):
            waiting.remove(given_up.ticket)
            gone += 1
        stats = gate.stats()
        assert stats.running == len(running) <= 3
        assert stats.waiting == len(waiting)


def test_shared_by_threads():
    gate = Gate(rampmeter.Policy(), servers=64)
    account = gate.open_account()

    def work():
        for _ in range(500):
            gate.ended(0, gate.admit(0, class_index=0, account=account).ticket)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = gate.stats()
    assert (stats.admitted, stats.ended, stats.running) == (4_000, 4_000, 0)
