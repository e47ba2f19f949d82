"""The seams of this very version: where they are, and that each is noticed when it moves."""

import pytest
from engine import AsyncScheduler, Scheduler, make
from vllm.v1.core.sched.request_queue import RequestQueue

import rampmeter.integrations.vllm as integration
from rampmeter.integrations.vllm import seams
from rampmeter.integrations.vllm.turns import TurnQueue


def test_nothing_has_moved():
    for mine, base in (
        (integration.Scheduler, Scheduler),
        (integration.AsyncScheduler, AsyncScheduler),
    ):
        assert issubclass(mine, base)
        assert [*seams.moved(make(base))] == []
        assert [*seams.unsupported(make(base))] == []


def test_the_queue_is_one():
    assert {*RequestQueue.__abstractmethods__} == seams._QUEUE
    assert all(callable(getattr(TurnQueue, name)) for name in seams._QUEUE)


@pytest.mark.parametrize("name", seams._METHODS)
def test_a_method_that_is_gone_is_noticed(name, monkeypatch):
    scheduler = make(Scheduler)
    monkeypatch.setattr(Scheduler, name, lambda _self, _other: None)
    assert any(name in one for one in seams.moved(scheduler))


@pytest.mark.parametrize("name", seams._ATTRIBUTES)
def test_an_attribute_that_is_gone_is_noticed(name):
    scheduler = make(Scheduler)
    if name in vars(scheduler):
        del vars(scheduler)[name]
        assert any(name in one for one in seams.moved(scheduler))


def test_a_seam_that_nobody_uses_is_noticed(monkeypatch):
    scheduler = make(Scheduler)

    def schedule(self, throttle_prefills=False):
        """Fill the step in another way."""

    monkeypatch.setattr(Scheduler, "schedule", schedule)
    assert any("does without self.waiting" in one for one in seams.moved(scheduler))


def test_a_queue_that_must_do_more_is_noticed():
    class Longer(RequestQueue):
        pass

    Longer.__abstractmethods__ = frozenset({"peek_many"})
    scheduler = make(Scheduler)
    scheduler.waiting = object.__new__(type("Queue", (), {"__abstractmethods__": {"peek_many"}}))
    assert any("peek_many" in one for one in seams.moved(scheduler))
