"""The real scheduler of vLLM, steered: who is next, who gives way, who is refused, and no harm."""

import logging
import random
import statistics
import time

import pytest
from engine import AsyncScheduler, Drive, FinishReason, Scheduler, make, request
from vllm.v1.request import RequestStatus

import rampmeter.integrations.vllm as integration

FAIR = """
[[class]]
name = "chat"
ttft_target_s = 60.0
tpot_target_ms = 60000.0

[[class]]
name = "bulk"
ttft_target_s = 600.0
tpot_target_ms = 60000.0
queue_requests_max = 3

[[account]]
name = "modest"

[[account]]
name = "greedy"

[batch]
triage = "off"
kv_overflow_risk_ratio = 1.0
model_memory_steps = 0
late_ratio = 0.0
urgency_credit_tokens = 500.0
slack_lending_ratio = 0.0
output_token_cost = 5.0
"""
OUTPUT_TOKEN_COST = 5
KINDS = {
    "sync": (Scheduler, integration.Scheduler),
    "async": (AsyncScheduler, integration.AsyncScheduler),
}


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


def steered(kind, policy=FAIR, **known):
    drive = Drive(make(kind[1], rampmeter={"policy": policy}, **known))
    assert drive.scheduler._advisor is not None
    return drive


def ended_well(drive):
    """Nobody is left, in vLLM or in the batcher, no block is lost, and nothing was contradicted."""
    advisor = drive.scheduler._advisor
    stats = advisor.batcher.stats()
    assert (len(advisor), stats.requests, stats.steps_in_flight) == (0, 0, 0)
    assert advisor.contradictions == 0
    assert not drive.scheduler.requests
    blocks = drive.scheduler.cache_config.num_gpu_blocks
    # One is never given out.
    assert drive.scheduler.kv_cache_manager.block_pool.get_num_free_blocks() == blocks - 1


def service_difference(drive, tenants, prompt):
    """The most by which the two were apart while both waited, in prompt tokens."""
    done, most, waiting = {"greedy": 0, "modest": 0}, 0, dict(tenants)
    for step in drive.scheduled:
        for name, tokens in step.items():
            # A prompt is charged as a whole when its request is let in.
            if waiting.pop(name, None):
                done[tenants[name]] += prompt
            elif tokens == 1:
                done[tenants[name]] += OUTPUT_TOKEN_COST
        if {"greedy", "modest"} <= set(waiting.values()):
            most = max(most, abs(done["greedy"] - done["modest"]))
    return most


def test_a_greedy_tenant_does_not_hold_up_a_modest_one(kind):
    def offered(drive):
        tenants = {}
        for number in range(200):
            who = "modest" if number % 5 == 4 else "greedy"
            name = f"{who}-{number}"
            tenants[name] = who
            one = request(name, prompt=120, output=20, tenant=who)
            drive.scheduler.add_request(one)
        drive.run()
        return tenants

    plain = Drive(make(kind[0]))
    offered(plain)
    fair = steered(kind)
    tenants = offered(fair)
    ended_well(fair)
    modest = [name for name in tenants if "modest" in name]
    waited = {drive: sorted(drive.first_step[name] for name in modest) for drive in (plain, fair)}
    # The modest tenant has a fifth of the work, and half of the engine while it waits for it.
    assert waited[fair][-1] < 0.55 * waited[plain][-1]
    assert fair.tokens == plain.tokens
    assert fair.steps <= 1.05 * plain.steps
    # 2 * max(w_p * L, w_q * M), with all that runs at once for M, and the credit of the policy.
    bound = 2 * max(120, OUTPUT_TOKEN_COST * 8 * 20) + 500
    assert 0 < service_difference(fair, tenants, 120) <= bound
    assert service_difference(plain, tenants, 120) > bound


def waits_of_the_modest(drive, seed):
    """Clients who send again when they have their answer, 32 of one tenant and two of the other, at
    eight seats: tokens that were said while each request of the modest one waited for its first."""
    draw = random.Random(seed)
    due = [(draw.randrange(5), "greedy") for _ in range(32)] + [(60, "modest")] * 2
    born, ended, waits, number = {}, 0, [], 0
    while len(waits) < 150:
        for one in sorted(one for one in due if one[0] <= drive.steps):
            due.remove(one)
            tenant, number = one[1], number + 1
            output = 16 + (draw.randint(-12, 12) if tenant == "greedy" else 0)
            name = f"{tenant}-{number}"
            born[name] = sum(drive.tokens.values())
            drive.scheduler.add_request(request(name, prompt=64, output=output, tenant=tenant))
        before = sum(drive.tokens.values())
        drive.step()
        # It began in this step, if it has begun and is still counted as waiting.
        begun = [name for name in born if name in drive.first_step]
        waits += [before - born.pop(name) for name in begun if name.startswith("modest")]
        for name in [*drive.reasons][ended:]:
            due.append((drive.steps + draw.randrange(4), name.split("-")[0]))
        ended = len(drive.reasons)
    return waits, sum(drive.tokens.values()) / drive.steps


@pytest.mark.parametrize("seed", range(3))
def test_who_leaves_and_comes_back_waits_for_a_seat_and_not_for_the_queue(kind, seed):
    """At four times the load, the p99 of the modest tenant is a third, at the same throughput."""
    at_once = FAIR.replace("urgency_credit_tokens = 500.0", "urgency_credit_tokens = 0.0")
    (plain, plain_rate), (fair, rate) = (
        waits_of_the_modest(drive, seed) for drive in (Drive(make(kind[0])), steered(kind, at_once))
    )
    p99_plain, p99 = (statistics.quantiles(waits, n=100)[98] for waits in (plain, fair))
    assert p99 <= p99_plain / 3
    assert rate >= 0.95 * plain_rate


def test_a_class_goes_first_and_a_deadline_inside_it(kind):
    drive = steered(kind, running_max=1)
    late = {"deadline_ms": 50_000}
    for name, extra in [
        ("bulk", {"class": "bulk"}),
        ("third", {}),
        ("second", late),
        ("first", {"deadline_ms": 40_000.0}),
    ]:
        drive.scheduler.add_request(request(name, prompt=50, output=2, **extra))
    drive.run()
    order = sorted(drive.first_step, key=drive.first_step.__getitem__)
    assert order == ["first", "second", "third", "bulk"]
    ended_well(drive)


def test_priority_names_a_class_and_cache_salt_a_tenant(kind):
    drive = steered(kind, running_max=1)
    for name, known in [("low", {"priority": 7}), ("high", {"priority": -2, "salt": "modest"})]:
        drive.scheduler.add_request(request(name, **known))
    advisor = drive.scheduler._advisor
    assert (advisor.ticket("low").class_index, advisor.ticket("low").tenant) == (1, "anonymous")
    assert (advisor.ticket("high").class_index, advisor.ticket("high").tenant) == (0, "modest")
    drive.run()
    assert drive.first_step["high"] < drive.first_step["low"]


def test_who_is_refused_is_told_why(kind):
    drive = steered(kind, running_max=1)
    for number in range(6):
        drive.scheduler.add_request(request(f"{number}", **{"class": "bulk"}))
    drive.run()
    ended_well(drive)
    refused = {name: why for name, why in drive.reasons.items() if why[0] == FinishReason.ABORT}
    assert sorted(refused) == ["3", "4", "5"]
    assert all(why[1].startswith("rampmeter: class_requests; retry") for why in refused.values())
    assert sum(drive.tokens.values()) == 3 * 8


def test_who_waits_for_too_long_is_given_up(kind):
    drive = steered(kind, running_max=1)
    drive.scheduler.add_request(request("runs", output=50))
    drive.step()
    drive.scheduler.add_request(request("waits", expires_ms=1))
    time.sleep(0.01)
    drive.run()
    assert drive.reasons["waits"] == (FinishReason.ABORT, "rampmeter: expired")
    assert drive.tokens["runs"] == 50
    ended_well(drive)


def test_decodes_go_on_beside_a_long_prompt(kind):
    """The policy says how long a step may be; vLLM alone fills all of it."""
    tight = FAIR.replace("60000.0", "20.0", 1)
    drive = steered(kind, policy=tight, step_tokens_max=2_048)
    drive.scheduler.add_request(request("talks", prompt=50, output=200))
    drive.run(until=lambda: drive.tokens["talks"] > 3)
    drive.scheduler.add_request(request("reads", prompt=4_000, output=1, first=1))
    drive.run(until=lambda: "reads" in drive.first_step)
    chunks = [step["reads"] for step in drive.scheduled if "reads" in step]
    assert len(chunks) > 2
    assert max(chunks) < 1_000
    drive.run()
    ended_well(drive)


def test_the_one_whose_kv_is_cheapest_gives_way(kind):
    """Bulk work is worth less: it goes, whoever came last."""
    hopeful = FAIR.replace('name = "bulk"', 'name = "bulk"\ndelay_value = 0.01')
    drive = steered(kind, policy=hopeful, blocks=40, step_tokens_max=512)
    for number in range(4):
        extra = {"class": "bulk"} if number == 0 else {}
        name = f"{'bulk' if number == 0 else 'chat'}-{number}"
        drive.scheduler.add_request(request(name, prompt=100, output=120, **extra))
    drive.run()
    assert drive.victims["bulk-0"] > 0
    assert {drive.tokens[f"chat-{number}"] for number in (1, 2, 3)} == {120}
    ended_well(drive)


def test_a_prefix_that_is_cached_is_not_planned_again(kind):
    drive = steered(kind, caching=True, step_tokens_max=512)
    drive.scheduler.add_request(request("first", prompt=480, output=4))
    drive.run()
    for number in range(4):
        drive.scheduler.add_request(request(f"{number}", prompt=480, output=4))
    drive.step()
    assert len(drive.scheduled[-1]) == 4
    assert sum(drive.scheduled[-1].values()) == 4 * 16
    drive.run()
    ended_well(drive)


def test_prompts_that_share_a_prefix_in_one_step(kind):
    """vLLM finds in the cache what another request computes in the same step: ahead of the plan."""
    drive = steered(kind, caching=True, step_tokens_max=512)
    for number in range(6):
        drive.scheduler.add_request(request(f"{number}", prompt=400, output=9))
    drive.run()
    assert set(drive.tokens.values()) == {9}
    assert len(drive.tokens) == 6
    ended_well(drive)


def test_who_is_aborted_is_forgotten(kind):
    drive = steered(kind, running_max=2)
    for number in range(5):
        drive.scheduler.add_request(request(f"{number}", output=30))
    drive.run(until=lambda: drive.steps == 4)
    drive.scheduler.finish_requests(["0", "4"], RequestStatus.FINISHED_ABORTED)
    drive.run()
    assert {drive.tokens[name] for name in "123"} == {30}
    ended_well(drive)


def test_all_kv_is_taken_and_all_go_on(kind):
    drive = steered(kind, caching=True)
    for number in range(6):
        drive.scheduler.add_request(request(f"{number}", output=30, first=number))
    drive.run(until=lambda: drive.steps == 6)
    drive.scheduler.reset_prefix_cache(reset_running_requests=True)
    drive.run()
    assert set(drive.tokens.values()) == {30}
    ended_well(drive)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_comes_all_are_served(kind, seed):
    """Drawn requests, in too small a cache, with aborts: everybody gets every token."""
    draw = random.Random(seed)
    drive = steered(kind, blocks=80, caching=bool(seed % 2), step_tokens_max=300, running_max=6)
    wanted, aborted = {}, set()
    for number in range(60):
        name, output = f"{number}", draw.randint(1, 60)
        wanted[name] = output
        drive.scheduler.add_request(
            request(
                name,
                prompt=draw.randint(1, 500),
                output=output,
                first=draw.choice((0, 0, number)),
                tenant=draw.choice(("modest", "greedy", "x", "y")),
            )
        )
        if draw.random() < 0.1 and drive.scheduler.requests:
            gone = draw.choice(list(drive.scheduler.requests))
            drive.scheduler.finish_requests(gone, RequestStatus.FINISHED_ABORTED)
            aborted.add(gone)
        for _ in range(draw.randint(0, 6)):
            if drive.scheduler.has_requests():
                drive.step()
    drive.run()
    whole = {name: drive.tokens[name] for name in wanted if name not in aborted}
    assert whole == {name: wanted[name] for name in whole}
    ended_well(drive)


def test_a_seam_that_moved_leaves_vllm_alone(kind, monkeypatch, caplog):
    def moved(_self, _request, _computed):
        return 0

    monkeypatch.setattr(Scheduler, "_reserve_prefill_lookahead", moved)
    with caplog.at_level(logging.ERROR):
        scheduler = make(kind[1])
    assert scheduler._advisor is None
    assert "_reserve_prefill_lookahead" in caplog.text


def test_when_the_adviser_fails_the_engine_goes_on(kind, caplog):
    drive = steered(kind)
    for number in range(20):
        drive.scheduler.add_request(request(f"{number}"))
    drive.run(until=lambda: drive.steps == 3)
    # A clock that ran backwards is refused by the batcher.
    drive.scheduler._advisor.now = lambda _: 0
    with caplog.at_level(logging.ERROR):
        drive.run()
    assert drive.scheduler._advisor is None
    assert "gives up" in caplog.text
    assert set(drive.tokens.values()) == {8}
    assert len(drive.tokens) == 20


def test_wrong_settings_stop_the_start(kind):
    with pytest.raises(integration.SettingsError, match="polcy"):
        make(kind[1], rampmeter={"polcy": "fair.toml"})
    with pytest.raises(ValueError, match="ttft_targt_s"):
        make(kind[1], rampmeter={"policy": "[[class]]\nname = 'a'\nttft_targt_s = 1\n"})
