"""What steering adds to a step of vLLM's scheduler: thread CPU time, plain and steered in turn.

Prints a table: microseconds, medians of pairs of steps with so many requests that run and 1,000
that wait. Exit status 1 if what is added at 256 is above the budget.
"""

import argparse
import gc
import logging
import statistics
import sys

from engine import AsyncScheduler, Drive, Scheduler, make, request

import rampmeter.integrations.vllm as integration

RUNNING = (64, 256, 1_024)
WAITING = 1_000
PAIRS = 40
WARM_STEPS = 10
POLICY = """
[[class]]
name = "chat"
ttft_target_s = 600.0
tpot_target_ms = 60000.0

[batch]
kv_overflow_risk_ratio = 1.0
"""
"""Steps as long, and whoever fits on its prompt let in, as vLLM does: both are to run the same."""
ADDED_US_MAX = 100
"""At 256 that run: what a step may cost more."""
RATIO_MAX = 1.05
"""Of `schedule` alone, steered to plain."""


def filled(scheduler, running):
    """A drive in the middle of so many answers, with a queue behind."""
    steps = PAIRS + 20 * WARM_STEPS
    drive = Drive(
        make(
            scheduler,
            rampmeter={"policy": POLICY},
            running_max=running,
            step_tokens_max=16_384,
            blocks=running * (2 + steps // 16) + 2_000,
        )
    )
    for number in range(running + WAITING):
        tenant = f"tenant-{number % 8}"
        drive.scheduler.add_request(request(f"{number}", prompt=32, output=steps, tenant=tenant))
    for _ in range(10 * WARM_STEPS):
        drive.step()
        began = [one for one in drive.scheduler.running if not one.is_prefill_chunk]
        if len(began) == running:
            break
    assert len(began) == running
    for _ in range(WARM_STEPS):
        drive.step()
    drive.cpu_ns.clear()
    return drive


def measure(plain, steered, running):
    """Medians of (schedule, update) of both, and of the differences of pairs."""
    drives = [filled(plain, running), filled(steered, running)]
    assert drives[1].scheduler._advisor is not None
    gc.collect()
    gc.disable()
    for pair in range(PAIRS):
        # Whoever goes second finds warmer caches: they take turns.
        for drive in drives if pair % 2 else reversed(drives):
            drive.step()
    gc.enable()
    both = [[(a / 1e3, b / 1e3) for a, b in drive.cpu_ns] for drive in drives]
    medians = [[statistics.median(part) for part in zip(*one, strict=True)] for one in both]
    pairs = zip(*both, strict=True)
    added = statistics.median(sum(mine) - sum(theirs) for theirs, mine in pairs)
    return medians, added


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", action="store_true", help="exit with 0 whatever comes out")
    report = parser.parse_args().report
    logging.disable(logging.WARNING)
    print(
        "| scheduler | running | schedule() us, plain / steered | ratio |"
        " update us, plain / steered | added a step, us |"
    )
    print("|---|---|---|---|---|---|")
    missed = []
    kinds = {
        "Scheduler": (Scheduler, integration.Scheduler),
        "AsyncScheduler": (AsyncScheduler, integration.AsyncScheduler),
    }
    for name, (plain, steered) in kinds.items():
        for running in RUNNING:
            ((schedule, update), (mine, my_update)), added = measure(plain, steered, running)
            ratio = mine / schedule
            print(
                f"| {name} | {running} | {schedule:.0f} / {mine:.0f} | {ratio:.3f} "
                f"| {update:.0f} / {my_update:.0f} | {added:.0f} |",
                flush=True,
            )
            if running == 256 and added > ADDED_US_MAX:
                missed.append(f"{name}: {added:.0f} us are added to a step at 256")
            if ratio > RATIO_MAX:
                missed.append(f"{name}: schedule() at {running} takes {ratio:.3f} times as long")
    for line in missed:
        print(line, file=sys.stderr)
    return 0 if report or not missed else 1


if __name__ == "__main__":
    sys.exit(main())
