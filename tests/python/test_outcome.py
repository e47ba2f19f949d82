"""The books from Python: what was felt, by whom, and who was passed over."""

import bisect
import math
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rampmeter
from rampmeter import outcome
from rampmeter.outcome import Outcomes

SECOND = 1_000_000_000


def policy(accounts_max=4):
    return rampmeter.Policy.from_toml(
        f"[limits]\naccounts_max = {accounts_max}\n"
        "[[class]]\nname = 'chat'\nttft_target_s = 2.0\ntpot_target_ms = 50\n"
    )


def served(books, *, ttft_s, end_s=None, tokens=1, account_index=0, **more):
    end_s = ttft_s if end_s is None else end_s
    books.record(
        class_index=0,
        account_index=account_index,
        arrival_ns=0,
        first_token_ns=int(ttft_s * SECOND),
        ended_ns=int(end_s * SECOND),
        output_tokens=tokens,
        **more,
    )


def test_counts_what_was_promised():
    books = Outcomes(policy())
    served(books, ttft_s=1.0)
    served(books, ttft_s=3.0)
    served(books, ttft_s=1.0, end_s=11.0, tokens=11)  # a second a token
    books.record(class_index=0, account_index=0, arrival_ns=0, ended_ns=5, status="refused")
    counts = books.counts(class_index=0)
    assert (counts.offered, counts.completed, counts.refused) == (4, 3, 1)
    assert (counts.attained, counts.judged, counts.attainment) == (1, 4, 0.25)
    assert counts.output_tokens == 13
    assert books.counts(account_index=0) == counts
    empty = books.counts(account_index=1)
    assert (empty.offered, empty.attainment, empty.apdex) == (0, None, None)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(2_000, 10**12), min_size=1, max_size=60), st.integers(2_000, 10**12))
def test_distributions_are_those_of_the_values(values, bound):
    books = Outcomes(policy())
    for value in values:
        books.record(
            class_index=0,
            account_index=0,
            arrival_ns=0,
            first_token_ns=value,
            ended_ns=value,
            output_tokens=1,
        )
    values.sort()
    told = books.distribution("ttft", class_index=0)
    assert (told.count, told.value_min, told.value_max) == (len(values), values[0], values[-1])
    assert told.mean == pytest.approx(sum(values) / len(values))
    (median,) = books.quantiles("end_to_end", [0.5], class_index=0)
    assert median == pytest.approx(values[math.ceil(len(values) / 2) - 1], rel=1 / 128)
    at_most, everybody = books.counts_at_most("ttft", [bound, 10**12], class_index=0)
    assert everybody == len(values)
    assert bisect.bisect(values, bound) <= at_most <= bisect.bisect(values, bound * 65 // 64)


def test_accounts_have_distributions_if_asked():
    books = Outcomes(policy())
    assert books.distribution("tpot", class_index=0).mean is None
    assert books.quantiles("tpot", [0.5, 1.0], class_index=0) == [None, None]
    with pytest.raises(rampmeter.RangeError, match="account_histograms"):
        books.distribution("ttft", account_index=0)
    detailed = Outcomes(policy(), account_histograms=True)
    served(detailed, ttft_s=1.0, account_index=3)
    assert detailed.distribution("ttft", account_index=3).count == 1
    more = Outcomes.bytes_needed(policy(), account_histograms=True)
    assert more > Outcomes.bytes_needed(policy()) + 4 * 100_000


def test_refused_calls_change_nothing():
    books = Outcomes(policy())
    with pytest.raises(rampmeter.RangeError, match="class"):
        books.record(class_index=1, account_index=0, arrival_ns=0, ended_ns=1, status="failed")
    with pytest.raises(rampmeter.RangeError, match="class"):
        books.record(class_index=2**20, account_index=0, arrival_ns=0, ended_ns=1)
    with pytest.raises(rampmeter.RangeError, match="account"):
        served(books, ttft_s=1.0, account_index=4)
    with pytest.raises(rampmeter.ContradictionError, match="ended_ns"):
        served(books, ttft_s=2.0, end_s=1.0)
    with pytest.raises(rampmeter.NameUnknownError, match="done"):
        served(books, ttft_s=2.0, status="done")
    with pytest.raises(rampmeter.NameUnknownError, match="latency"):
        books.distribution("latency", class_index=0)
    with pytest.raises(rampmeter.RangeError, match="parts"):
        books.quantiles("ttft", [0.5, 1.5], class_index=0)
    for group in ({}, {"class_index": 0, "account_index": 0}):
        with pytest.raises(TypeError, match="class_index"):
            books.counts(**group)
    for group in ({"class_index": 1}, {"account_index": 4}, {"class_index": 2**31}):
        with pytest.raises(rampmeter.RangeError, match=next(iter(group))):
            books.counts(**group)
    assert books.counts(class_index=0).offered == 0


def test_service_of_accounts_that_wait_together():
    books = Outcomes(policy())
    for account_index in (0, 1):
        books.set_backlogged(0, account_index=account_index, backlogged=True)
    books.served(SECOND, account_index=0, prompt_tokens=100)
    told = books.difference(2 * SECOND)
    assert told.difference_max > 0
    assert told.compared_pair_s == 2.0
    assert books.work(0).prompt_tokens == 100
    assert books.stats().jain == 1.0  # only one took part
    books.served(2 * SECOND, account_index=1, prompt_tokens=300)
    assert books.stats().jain == pytest.approx(outcome.jain([100.0, 300.0]))
    books.set_weight(1, weight=3.0)
    assert books.stats().jain == pytest.approx(1.0)
    books.forget_account(2 * SECOND, 1)
    assert books.work(1).weighted_service == 0
    with pytest.raises(rampmeter.TimeReversedError):
        books.served(0, account_index=0)
    with pytest.raises(rampmeter.RangeError, match="account_index"):
        books.work(4)
    books.add_gpu_busy(SECOND)
    assert books.stats(gpus=2).utilization == pytest.approx(0.25)


def test_books_are_added():
    together, other = Outcomes(policy()), Outcomes(policy())
    served(together, ttft_s=1.0)
    served(other, ttft_s=3.0)
    together.merge(other)
    assert together.counts(class_index=0).attainment == 0.5
    with pytest.raises(rampmeter.ContradictionError, match="itself"):
        together.merge(together)
    with pytest.raises(rampmeter.ContradictionError, match="accounts_max"):
        together.merge(Outcomes(policy(5)))
    with pytest.raises(rampmeter.ContradictionError):
        together.set_policy(policy(5))
    together.set_policy(policy())
    assert together.counts(class_index=0).offered == 2


@pytest.mark.timeout(60)
def test_threads_that_add_both_ways_come_to_an_end():
    first, second = Outcomes(policy()), Outcomes(policy())

    def add(mine, theirs):
        for _ in range(200):
            mine.merge(theirs)

    threads = [
        threading.Thread(target=add, args=pair) for pair in ((first, second), (second, first))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert first.counts(class_index=0).offered == 0


def test_measures():
    assert outcome.jain([1.0, 1.0]) == 1.0
    assert outcome.finish_time_fairness(shared_s=3.0, alone_s=2.0) == 1.5
    with pytest.raises(rampmeter.RangeError):
        outcome.jain([math.nan])
    with pytest.raises(rampmeter.RangeError):
        outcome.finish_time_fairness(shared_s=1.0, alone_s=0.0)
