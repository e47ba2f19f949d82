"""A cache manager that is asked only where it has something to do, against one that always is."""

import random

import pytest
from engine import AsyncScheduler, Drive, Scheduler, make, request
from vllm.v1.request import RequestStatus

from rampmeter.integrations.vllm import slots


def spared(scheduler):
    """Its manager, and how often it is asked."""
    manager, asked = scheduler.kv_cache_manager, [0]
    allocate = type(manager).allocate_slots

    class Counting(type(manager)):
        def allocate_slots(
            self,
            request,
            num_new_tokens,
            num_new_computed_tokens=0,
            new_computed_blocks=None,
            **more,
        ):
            asked[0] += 1
            found = (num_new_computed_tokens, new_computed_blocks)
            return allocate(self, request, num_new_tokens, *found, **more)

    manager.__class__ = Counting
    assert slots.spare(manager, RequestStatus.RUNNING)
    return asked


def state(drive):
    """Which blocks each request has, which prefixes are cached, and how many blocks are free."""
    manager = drive.scheduler.kv_cache_manager
    held = {name: manager.get_block_ids(name) for name in drive.scheduler.requests}
    pool = manager.block_pool
    cached = [block.block_id for block in pool.blocks if block.block_hash is not None]
    return held, cached, pool.get_num_free_blocks(), drive.scheduled[-1], dict(drive.tokens)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("caching", [False, True])
@pytest.mark.parametrize("kind", [Scheduler, AsyncScheduler])
def test_every_block_is_where_it_would_be(kind, caching, seed):
    """Drawn requests in a cache too small for them: preemptions, shared prefixes, aborts."""
    draw = random.Random(seed)
    known = {"blocks": 60, "caching": caching, "step_tokens_max": 200, "running_max": 6}
    drives = [Drive(make(kind, **known)) for _ in range(2)]
    asked = spared(drives[1].scheduler)
    scheduled = 0
    for number in range(40):
        drawn = {"prompt": draw.randint(1, 300), "output": draw.randint(1, 90)}
        drawn["first"] = draw.choice((0, 0, number))
        gone = draw.choice((None, None, None, f"{draw.randint(0, number)}"))
        steps = draw.randint(0, 25)
        for drive in drives:
            drive.scheduler.add_request(request(f"{number}", **drawn))
            if gone in drive.scheduler.requests:
                drive.scheduler.finish_requests(gone, RequestStatus.FINISHED_ABORTED)
        for _ in range(steps):
            for drive in drives:
                drive.step()
            assert state(drives[0]) == state(drives[1])
            scheduled += len(drives[0].scheduled[-1])
    for drive in drives:
        drive.run()
    assert drives[0].tokens == drives[1].tokens
    assert drives[0].scheduled == drives[1].scheduled
    assert 0 < asked[0] < scheduled / 2


def test_another_manager_is_left_alone():
    manager = make(Scheduler).kv_cache_manager
    (one,) = manager.coordinator.single_type_managers
    one.__class__ = type("SlidingWindowManager", (type(one),), {})
    assert not slots.spare(manager, RequestStatus.RUNNING)
    assert "allocate_slots" not in vars(manager)
    assert not slots.spare(object(), RequestStatus.RUNNING)
