"""Batches in an asyncio server: nobody is lost, nobody waits for ever, nothing is polled."""

import asyncio
import random
import threading
import time
from itertools import chain

import pytest

from rampmeter import InternalError
from rampmeter.dynamic import Curve, DynamicClass, DynamicOptions
from rampmeter.integrations.asyncio import Refused, batched

pytestmark = pytest.mark.timeout(60)

FAST = Curve(fixed_s=1e-3, each_s=1e-4)


class Model:
    """Doubles numbers and remembers in which batches they came."""

    def __init__(self, *, takes_s=0.002, fails=()):
        self.batches, self.takes_s, self.fails = [], takes_s, set(fails)
        self.running = self.running_max = 0

    async def __call__(self, numbers):
        self.batches.append(numbers)
        self.running += 1
        self.running_max = max(self.running, self.running_max)
        try:
            await asyncio.sleep(self.takes_s)
        finally:
            self.running -= 1
        if self.fails & set(numbers):
            raise LookupError(f"{self.fails & set(numbers)}")
        return [2 * number for number in numbers]


def wrap(model, **options):
    return batched(**{"batch_size_max": 8, "curve": FAST, **options})(model.__call__)


def test_everybody_gets_their_own_result():
    model = Model()

    async def main():
        double = wrap(model, instances=2, latency_target_s=1.0)
        async with double:
            results = await asyncio.gather(*(double(number) for number in range(100)))
        assert results == [2 * number for number in range(100)]
        stats = double.stats()
        assert (stats.launched, stats.requests, stats.waiting) == (100, 0, 0)

    asyncio.run(main())
    assert sorted(chain.from_iterable(model.batches)) == list(range(100))
    assert max(len(batch) for batch in model.batches) == 8
    assert model.running_max == 2


def test_what_came_together_goes_together():
    model = Model()

    async def main():
        double = wrap(model)
        await asyncio.gather(*(double(number) for number in range(5)))

    asyncio.run(main())
    assert model.batches == [[0, 1, 2, 3, 4]]


def test_errors_of_the_function():
    """A failing batch fails its members only; an exception among results only one of them."""
    model = Model(fails=[3])

    async def partly(numbers):
        return [KeyError(number) if number == 1 else number for number in numbers]

    async def short(numbers):
        return numbers[1:]

    async def main():
        double = wrap(model, batch_size_max=2)
        results = await asyncio.gather(
            *(double(number) for number in range(6)), return_exceptions=True
        )
        failed = [number for number, result in enumerate(results) if isinstance(result, Exception)]
        assert 3 in failed
        assert len(failed) <= 2
        assert await double(7) == 14
        some = await asyncio.gather(*map(wrap_function(partly), range(3)), return_exceptions=True)
        assert some[0] == 0
        assert isinstance(some[1], KeyError)
        assert some[2] == 2
        with pytest.raises(ValueError, match="1 items went in, 0 results came out"):
            await wrap_function(short)(1)
        assert double.stats().requests == 0

    def wrap_function(function):
        return batched(batch_size_max=8, curve=FAST)(function)

    asyncio.run(main())


def test_callers_that_leave():
    """Whoever is cancelled while waiting is in no batch; while running, the others go on."""
    model = Model(takes_s=0.05)

    async def main():
        double = wrap(model, batch_size_max=2)
        first = [asyncio.create_task(double(number)) for number in (1, 2)]
        while not model.batches:
            await asyncio.sleep(0.001)
        waiting = [asyncio.create_task(double(number)) for number in (3, 4, 5)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        first[0].cancel()
        results = await asyncio.gather(*first, *waiting, return_exceptions=True)
        assert [type(result) for result in results].count(asyncio.CancelledError) == 2
        assert results[1:2] + results[3:] == [4, 8, 10]
        await double.close()
        assert double.stats().requests == 0

    asyncio.run(main())
    assert 3 not in chain.from_iterable(model.batches)


def test_refusals():
    async def main():
        gate = asyncio.Event()

        async def stuck(numbers):
            await gate.wait()
            return numbers

        options = DynamicOptions(
            [FAST],
            batch_size_max=1,
            requests_max=3,
            classes=[DynamicClass(), DynamicClass(timeout_ns=20_000_000, queue_max=1)],
        )
        call = batched(options)(stuck)
        running = asyncio.create_task(call(0))
        await asyncio.sleep(0.01)
        with pytest.raises(Refused) as expired:
            await call(1, class_index=1)
        assert expired.value.reason == "expired"
        waiting = [asyncio.create_task(call(number)) for number in (2, 3)]
        await asyncio.sleep(0)
        with pytest.raises(Refused) as full:
            await call(4)
        assert full.value.reason == "full"
        assert full.value.retry_after_s > 0
        assert "full" in str(full.value)
        gate.set()
        assert await asyncio.gather(running, *waiting) == [0, 2, 3]

    asyncio.run(main())


def test_accounts_share():
    """One account floods, another one comes later: it does not wait for the whole flood."""
    model = Model(takes_s=0.02)

    async def main():
        accounts = {"research": 1.0, "greedy": 1.0}
        double = wrap(model, batch_size_max=2, curve=Curve(fixed_s=0.02), accounts=accounts)
        flood = [double(number, account="greedy") for number in range(60)]
        later = [double(number, account="research") for number in range(100, 104)]
        await asyncio.gather(*flood, *later)

    asyncio.run(main())
    place = {number: index for index, batch in enumerate(model.batches) for number in batch}
    assert max(place[number] for number in range(100, 104)) < len(model.batches) / 2


def test_closing_ends_what_was_taken():
    model = Model(takes_s=0.02)

    async def main():
        double = wrap(model, batch_size_max=2)
        tasks = [asyncio.create_task(double(number)) for number in range(6)]
        await asyncio.sleep(0)
        await double.close()
        assert all(task.done() for task in tasks) or not double.stats().requests
        assert await asyncio.gather(*tasks) == [0, 2, 4, 6, 8, 10]
        with pytest.raises(Refused, match="closed"):
            await double(1)

    asyncio.run(main())


def test_closing_does_not_wait_for_ever():
    model = Model(takes_s=60)

    async def main():
        double = wrap(model, batch_size_max=2)
        tasks = [asyncio.create_task(double(number)) for number in range(6)]
        await asyncio.sleep(0.01)
        began = time.monotonic()
        await double.close(drain_s=0.05)
        assert time.monotonic() - began < 5
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, Refused) and result.reason == "closed" for result in results)
        assert double.stats().requests == 0

    asyncio.run(main())


def test_another_loop_is_refused_while_the_first_lives():
    model = Model()
    double = wrap(model)
    refused = []

    def elsewhere():
        try:
            asyncio.run(double(1))
        except RuntimeError as error:
            refused.append(str(error))

    async def main():
        assert await double(5) == 10
        thread = threading.Thread(target=elsewhere)
        thread.start()
        await asyncio.to_thread(thread.join)

    asyncio.run(main())
    assert refused == ["it is in use on another event loop: make one for each loop"]
    # The first is closed: another one may have it.
    asyncio.run(main())


def test_a_loop_that_died_with_requests_leaves_nothing_behind():
    model = Model(takes_s=60)
    double = wrap(model, batch_size_max=1)
    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(double(number)) for number in range(3)]
    loop.run_until_complete(asyncio.sleep(0.01))
    assert double.stats().requests == 3
    for task in [*tasks, *asyncio.all_tasks(loop)]:
        task._log_destroy_pending = False
    loop.close()
    model.takes_s = 0.001
    assert asyncio.run(double(4)) == 8
    assert double.stats().requests == 0


def test_a_broken_desk_leaves_nobody_waiting():
    async def main():
        double = wrap(Model())

        def broken():
            raise InternalError("a bug", -100)

        double._launch_all = broken
        with pytest.raises(InternalError):
            await double(1)

    asyncio.run(main())


def test_it_sleeps_until_something_happens():
    """A second of waiting for slow batches takes a handful of decisions, not thousands."""
    model = Model(takes_s=0.5)

    async def main():
        double = wrap(model, batch_size_max=1)
        asked = 0
        form = double._launch_all

        def count():
            nonlocal asked
            asked += 1
            form()

        double._launch_all = count
        assert await asyncio.gather(double(1), double(2)) == [2, 4]
        return asked

    assert asyncio.run(main()) < 10


def test_deadlines_choose_the_batch():
    """A call that is due soon does not wait for a batch of all that are there."""
    model = Model(takes_s=0.01)

    async def main():
        curve = Curve(fixed_s=0.001, each_s=0.010, learns=False)
        double = wrap(model, curve=curve)
        patient = [double(number) for number in range(7)]
        assert await asyncio.gather(*patient, double(9, deadline_s=0.012)) is not None

    asyncio.run(main())
    first = next(batch for batch in model.batches if 9 in batch)
    assert len(first) < 8


@pytest.mark.parametrize("seed", range(5))
def test_whatever_callers_do_the_books_balance(seed):
    """Callers that leave, batches that fail, deadlines and time-outs: nobody waits for ever."""
    draw = random.Random(seed)

    async def main():
        async def model(numbers):
            await asyncio.sleep(draw.random() * 0.01)
            if draw.random() < 0.1:
                raise LookupError
            return numbers

        options = DynamicOptions(
            [FAST],
            batch_size_max=4,
            instances=2,
            requests_max=40,
            classes=[DynamicClass(), DynamicClass(timeout_ns=15_000_000)],
        )
        call = batched(options)(model)
        tasks = []
        for number in range(200):
            more = {"class_index": draw.randrange(2), "deadline_s": draw.choice([None, 0.01, 1.0])}
            tasks.append(asyncio.create_task(call(number, **more)))
            if draw.random() < 0.5:
                await asyncio.sleep(draw.random() * 0.005)
            if draw.random() < 0.2:
                draw.choice(tasks).cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for number, result in enumerate(results):
            known = isinstance(result, asyncio.CancelledError | LookupError | Refused)
            assert known or result == number
        await call.close()
        stats = call.stats()
        assert (stats.requests, stats.waiting, stats.batches_running) == (0, 0, 0)
        assert stats.launched > 50

    asyncio.run(main())
