"""The ledger from Python: each part against an oracle of a few lines, refusals, snapshots."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rampmeter
from rampmeter.share import Ledger, compare_shares, divide_level, path_key

SECOND = 1_000_000_000
MINUTE = 60 * SECOND

POLICY = """
resources = ["gpu_milli"]
[[account]]
name = "org"
[[account]]
name = "team"
parent = "org"
weight = 3.0
"""


def test_least_served_goes_next():
    ledger = Ledger()
    accounts = [ledger.open(weight=weight) for weight in (1.0, 2.0, 4.0)]
    served = dict.fromkeys(accounts, 0.0)
    for account in accounts:
        ledger.arrive(account)
    for _ in range(700):
        (turn,) = ledger.eligible()[:1]
        least = min(served[one] / (1 << place) for place, one in enumerate(accounts))
        assert turn.counter == least
        served[turn.account] += 1.0
        ledger.charge(turn.account, 1.0)
    assert [served[account] for account in accounts] == [100.0, 200.0, 400.0]
    assert ledger.counter_min() == 100.0


def test_who_was_away_gains_nothing_by_it():
    ledger = Ledger()
    here, away = ledger.open(), ledger.open()
    ledger.arrive(here)
    ledger.charge(here, 500.0)
    ledger.arrive(away)
    assert ledger.counter(away) == 500.0
    ledger.depart(away)
    assert (ledger.waiting(away), ledger.waiting(here)) == (0, 1)
    one, other = ledger.rivals(here, away)
    assert one.counter == other.counter == ledger.lead(here).counter == 500.0


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(1, 1000)), max_size=40),
    st.randoms(use_true_random=False),
)
def test_deltas_commute_and_repeat(charges, chance):
    """Late, twice, in any order or lost: with the last full delta all know all of it."""
    ledgers = [Ledger(replicas_max=2) for _ in range(3)]
    accounts = []
    for number, ledger in enumerate(ledgers):
        ledger.set_replica(number, incarnation=1)
        opened = [ledger.open() for _ in range(4)]
        for place, account in enumerate(opened):
            ledger.set_key(account, path_key(f"tenant/{place}"))
        accounts.append(opened)
    told, served = [], [0.0] * 4
    for number, place, cost in charges:
        ledgers[number].charge(accounts[number][place], float(cost))
        served[place] += cost
        told.append((number, ledgers[number].delta()))
    mail = [letter for letter in told for _ in range(chance.randrange(3))]
    mail += [(number, ledger.delta_all()) for number, ledger in enumerate(ledgers)] * 2
    for receiver, ledger in enumerate(ledgers):
        chance.shuffle(mail)
        for sender, delta in mail:
            if sender != receiver:
                ledger.merge(delta)
        for account, total in zip(accounts[receiver], served, strict=True):
            assert ledger.service(account) == pytest.approx(total)
        before = ledger.save()
        for sender, delta in mail:
            if sender != receiver:
                assert ledger.merge(delta).news == 0
        assert ledger.save() == before


def test_a_delta_that_is_none_is_refused():
    ledger, other = Ledger(replicas_max=1), Ledger(replicas_max=1)
    with pytest.raises(rampmeter.RangeError):
        ledger.delta()
    for number, one in enumerate((ledger, other)):
        one.set_replica(number, incarnation=1)
    account = ledger.open()
    ledger.set_key(account, path_key("a"))
    ledger.charge(account, 1.0)
    delta = ledger.delta()
    assert other.merge(delta).unknown == 1
    known = other.open()
    other.set_key(known, path_key("a"))
    assert other.account_of(path_key("a")) == known
    before = other.save()
    for wrong in (b"", delta[:-1], delta[:-8], b"X" + delta[1:], delta + b"\0" * 8):
        with pytest.raises(rampmeter.RangeError):
            other.merge(wrong)
    with pytest.raises(rampmeter.RampmeterError):
        ledger.merge(delta)
    assert other.save() == before
    assert other.merge(delta).as_dict() == {"news": 1, "older": 0, "unknown": 0}
    other.forget_replica(0)
    assert other.service(known) == 1.0


def water_level(capacity, wanted):
    """Shares of equals, filled up from below, to within a unit each."""
    shares, left = [0.0] * len(wanted), float(capacity)
    open_ = set(range(len(wanted)))
    while open_ and left > 1e-9:
        part = left / len(open_)
        for place in list(open_):
            more = min(part, wanted[place] - shares[place])
            shares[place] += more
            left -= more
            if shares[place] >= wanted[place] - 1e-9:
                open_.discard(place)
    return shares


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1000), st.lists(st.integers(0, 400), min_size=1, max_size=6))
def test_division_fills_from_below(capacity, wanted):
    ledger = Ledger(resources=1)
    ledger.set_capacity([capacity])
    accounts = [ledger.open() for _ in wanted]
    for account, amount in zip(accounts, wanted, strict=True):
        ledger.ask(account, [amount])
    ledger.divide()
    shares = [ledger.fair_share(account)[0] for account in accounts]
    assert sum(shares) == min(capacity, sum(wanted))
    for share, level in zip(shares, water_level(capacity, wanted), strict=True):
        assert abs(share - level) <= 1.0
    claims = [{"request": amount} for amount in wanted]
    assert divide_level(claims, total=capacity) == (shares, capacity - sum(shares))
    parts = ledger.share_parts(resource=0)
    assert [parts[ledger.account(one).index].share for one in accounts] == shares


def test_quotas_hold_and_lend():
    ledger = Ledger(resources=2, borrowing=True)
    ledger.set_capacity([100, 100])
    rich, poor = ledger.open(), ledger.open()
    ledger.set_quota(rich, quota=[60], limit=[80, None], over_quota_weight=[2.0])
    known = ledger.quota(rich)
    assert (known.quota, known.limit) == ([60, 0], [80, None])
    assert (known.lending_limit, known.over_quota_weight) == ([None, None], [2.0, 1.0])
    ledger.allocate(poor, [50, 0])
    ledger.ask(rich, [90])
    ledger.ask(poor, [50])
    ledger.divide()
    # 60 are guaranteed; of the other 40 two thirds, but no more than the limit.
    assert (ledger.fair_share(rich)[0], ledger.fair_share(poor)[0]) == (80, 20)
    assert ledger.first_over_limit(rich, [81]) == rich
    assert ledger.first_over_limit(rich, [80]) is None
    assert (ledger.held(poor), ledger.asked(poor)) == ([50, 0], [50, 0])
    assert ledger.borrowed(poor).borrowing
    scope = ledger.may_reclaim(rich, wanted=[10], missing=[10])
    assert scope.fits
    assert ledger.victims(rich, wanted=[10], missing=[10]) == [poor]
    job = {"account": poor, "amounts": [10], "started_ns": 0}
    verdict = ledger.reclaimable(SECOND, rich, wanted=[10], missing=[10], **job)
    assert (verdict.basis, verdict.refusal) == ("quota", None)
    ledger.set_reclaim_limits(poor, min_runtime_ns=MINUTE, loss_budget=[100])
    verdict = ledger.reclaimable(SECOND, rich, wanted=[10], missing=[10], **job)
    assert (verdict.refusal, verdict.account) == ("min_runtime", poor)
    assert verdict.until_ns == MINUTE
    ledger.reclaimed(2 * SECOND, rich, **job)
    assert ledger.loss_left(2 * SECOND, poor) == [80, None]
    ledger.reclaim_undone(2 * SECOND, rich, **job)
    assert ledger.loss_left(2 * SECOND, poor) == [100, None]
    assert ledger.reclaim_limits(poor).min_runtime_ns == MINUTE


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(0, 50), st.sampled_from([0.5, 1.0, 2.0])),
        min_size=1,
        max_size=5,
    )
)
def test_dominant_shares(held):
    ledger = Ledger(resources=2, dominant=True)
    ledger.set_capacity([300, 500])
    accounts = [ledger.open(weight=weight) for *_, weight in held]
    expected = []
    for account, (one, other, weight) in zip(accounts, held, strict=True):
        ledger.allocate(account, [one, other])
        ledger.set_next_task(account, [1, 1])
        expected.append(max(one / 300, other / 500) / weight)
        told = ledger.dominance(account)
        assert told.weighted.share == pytest.approx(expected[-1])
        assert told.shares == sorted(told.shares, reverse=True)
    assert expected[accounts.index(ledger.most_deserving())] == pytest.approx(min(expected))
    assert ledger.next_task(accounts[0]) == [1, 1]
    ledger.set_next_task(accounts[0], None)
    assert ledger.next_task(accounts[0]) is None
    assert compare_shares([0.2], [0.4])[0] == -1


def test_usage_halves_and_ranks():
    ledger = Ledger(half_life_ns=MINUTE)
    old, new = ledger.open(), ledger.open()
    ledger.record_usage(0, old, amount=100.0)
    ledger.record_usage(2 * MINUTE, new, amount=40.0)
    assert ledger.usage(2 * MINUTE, old) == pytest.approx(25.0)
    assert ledger.usage(2 * MINUTE) == pytest.approx(65.0)
    for ranking in ("fair_tree", "classic"):
        first, second = ledger.rank_users(ranking=ranking)
        assert (first.account, second.account) == (old, new)
        for account in (old, new):
            ledger.set_ranked(account, True)
        assert ledger.next_ranked(ranking=ranking) == old
        assert ledger.factor(old, ranking=ranking) > ledger.factor(new, ranking=ranking)
    standing = ledger.standing(2 * MINUTE, old)
    assert (standing.rank, standing.users) == (1, 2)
    assert standing.usage_norm == pytest.approx(25 / 65)
    assert ledger.standings(2 * MINUTE)[ledger.account(old).index] == standing
    ledger.set_shares(old, 5.0)
    assert ledger.standing(2 * MINUTE, old).shares == 5.0
    with pytest.raises(rampmeter.NameUnknownError, match="ranking"):
        ledger.next_ranked(ranking="alphabet")


def test_rates_say_when():
    ledger = Ledger(rates=True)
    account = ledger.open()
    ledger.set_rates(0, account, requests_per_minute=60, tokens_per_minute=6_000, burst_ns=SECOND)
    assert ledger.rates(account).tokens_per_minute == 6_000
    assert ledger.admit_rate(0, account, tokens=50) is None
    over = ledger.rate_check(0, account, tokens=50)
    # A bucket of one second holds one request and 100 tokens.
    assert (over.limit, over.account, over.retry_after_ns) == ("requests", account, SECOND)
    assert ledger.admit_rate(SECOND - 1, account) is not None
    ledger.refund_rate(SECOND - 1, account, requests=1)
    ledger.charge_rate(SECOND - 1, account, tokens=300)
    over = ledger.admit_rate(SECOND, account, tokens=1)
    assert over.limit == "tokens"
    assert ledger.admit_rate(SECOND + over.retry_after_ns, account, tokens=1) is None


def test_accounts_have_names():
    ledger = Ledger.from_policy(rampmeter.Policy.from_toml(POLICY))
    team = ledger.account_at_path("org/team")
    org = ledger.account_named("org")
    known = ledger.account(team)
    assert (known.parent, known.weight, known.depth) == (org, 3.0, 2)
    assert ledger.account_at(known.index) == team
    assert (ledger.name(team), ledger.account_named("team", parent=org)) == ("team", team)
    ledger.set_name(team, "crew")
    ledger.set_weight(team, 2.0)
    assert ledger.account_at_path("org/team") is None
    with pytest.raises(rampmeter.ContradictionError):
        ledger.close(org)
    ledger.close(team)
    with pytest.raises(rampmeter.StaleError):
        ledger.account(team)
    assert ledger.stats().accounts == 1


def test_parts_that_are_not_there_are_refused():
    ledger = Ledger(lanes=0)
    account = ledger.open()
    before = ledger.save()
    for call in (
        lambda: ledger.arrive(account),
        lambda: ledger.allocate(account, [1]),
        lambda: ledger.divide(),
        lambda: ledger.most_deserving(),
        lambda: ledger.record_usage(0, account, amount=1.0),
        lambda: ledger.set_rates(0, account),
        lambda: ledger.set_replica(0, incarnation=1),
        lambda: ledger.set_name(account, "a"),
        lambda: ledger.set_capacity([1] * 9),
    ):
        with pytest.raises(rampmeter.RangeError):
            call()
    with pytest.raises(TypeError, match="lane"):
        Ledger(lane=1)
    assert ledger.save() == before


def test_goes_on_where_it_was_saved():
    options = {"resources": 2, "dominant": True, "half_life_ns": MINUTE, "names": True}
    ledger = Ledger(**options)
    account = ledger.open()
    ledger.arrive(account)
    ledger.charge(account, 5.0)
    twin = Ledger.restore(ledger.save(), **options)
    for one in (ledger, twin):
        one.charge(account, 2.0)
        one.set_name(account, "a")
    assert twin.save() == ledger.save()
    with pytest.raises(rampmeter.SnapshotError):
        Ledger.restore(ledger.save(), **{**options, "lanes": 2})
    assert Ledger.bytes_needed(**options) > Ledger.bytes_needed()


def test_shared_by_threads():
    ledger = Ledger()
    account = ledger.open()

    def work():
        for _ in range(500):
            ledger.arrive(account)
            ledger.charge(account, 1.0)
            ledger.depart(account)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (ledger.counter(account), ledger.waiting(account)) == (4_000.0, 0)
