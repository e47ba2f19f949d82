"""What calls of the desks take from Python, beside the same calls from Rust.

Run it with the wheel of a release build installed; it builds and runs `batch_calls`, which makes
the same calls in Rust on the same machine: both by turns, and of all rounds the medians. Exit
status 1 if Python takes more on top than the budget.
"""

import array
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rampmeter.batch import Batcher, Engine, Plan
from rampmeter.gate import Admit, Gate
from rampmeter.policy import Policy
from rampmeter.route import Router, hash_blocks

if TYPE_CHECKING:
    from typing_extensions import Buffer

# As in `benches/src/batch_calls.rs`.
RUNNING = 256
ROUNDS = 400
SUBMISSIONS = 2_048
BATCHERS = 4
BLOCK = 32
"""Calls that are clocked together: done before the system gives the processor to somebody else."""
BLOCKS = 200
STEP_NS = 1_000
TURNS = 15
"""Of Rust and Python, so that both meet the same machine."""
CALL_NS_MAX = 300
"""On top of Rust, for a submission, an admission or the choice of a replica."""
FORM_NS_MAX = 2_000
"""On top of Rust, for forming a batch and reading it as an array."""

ROOT = Path(__file__).resolve().parents[2]
RUST = "cargo run --quiet --release --locked --package rampmeter-bench --bin batch_calls"
CLOCK = time.perf_counter_ns


def make() -> tuple[Batcher, int]:
    """Build a batcher with one account."""
    policy = Policy.from_toml(f"[limits]\nrunning_max = {RUNNING}\n")
    batcher = Batcher(policy, Engine.named("llama-3.1-8b"))
    return batcher, batcher.open_account()


def submit_ns() -> float:
    """Take the median of blocks of requests, two thousand to a batcher."""
    spent_ns = []
    for _ in range(BATCHERS):
        batcher, account = make()
        submit = batcher.submit
        for first in range(0, SUBMISSIONS, BLOCK):
            began = CLOCK()
            for tag in range(first, first + BLOCK):
                submit(0, account=account, prompt_tokens=100, output_tokens_max=100, tag=tag)
            spent_ns.append((CLOCK() - began) / BLOCK)
    return statistics.median(spent_ns)


def admit_ns() -> float:
    """Take the median of blocks of requests that find a server free."""
    gate = Gate(Policy(), servers=BLOCK)
    account, admit = gate.open_account(), gate.admit
    now_ns, spent_ns = 0, []
    for _ in range(BLOCKS):
        times = range(now_ns + STEP_NS, now_ns + (BLOCK + 1) * STEP_NS, STEP_NS)
        began = CLOCK()
        answers = [admit(at, class_index=0, account=account) for at in times]
        spent_ns.append((CLOCK() - began) / BLOCK)
        now_ns = times[-1]
        for answer in answers:
            assert isinstance(answer, Admit)
            now_ns += STEP_NS
            gate.ended(now_ns, answer.ticket)
    return statistics.median(spent_ns)


def peer_ns() -> float:
    """Take the median of calls of the interpreter's own: its share of a call with keywords."""
    spent_ns = []
    for first in range(0, BLOCKS * BLOCK, BLOCK):
        began = CLOCK()
        for number in range(first, first + BLOCK):
            number.to_bytes(length=8, byteorder="little", signed=False)
        spent_ns.append((CLOCK() - began) / BLOCK)
    return statistics.median(spent_ns)


def route_ns(form: Callable[[list[int]], "Buffer"]) -> float:
    """Take the median of blocks of prompts of 64 blocks, named so, among 64 replicas."""
    router = Router(Policy(), blocks_max=65_536, sets_max=65_536)
    for _ in range(64):
        router.add_replica(0, engine="llama-3.1-8b")
    prompts = [
        form(hash_blocks(range(at * 1_024, (at + 1) * 1_024), block_tokens=16))
        for at in range(BLOCK)
    ]
    route, now_ns, spent_ns = router.route, 0, []
    for _ in range(BLOCKS):
        asked = [(now_ns + place * STEP_NS, names) for place, names in enumerate(prompts, 1)]
        began = CLOCK()
        answers = [
            route(at, class_index=0, prompt_tokens=1_024, hashes=names) for at, names in asked
        ]
        spent_ns.append((CLOCK() - began) / BLOCK)
        now_ns = asked[-1][0]
        for answer in answers:
            assert answer is not None
            now_ns += STEP_NS
            router.first_token(now_ns, answer.request)
            router.ended(now_ns, answer.request, output_tokens=8)
    return statistics.median(spent_ns)


def steps_ns(read: Callable[[Plan], object]) -> tuple[float, float]:
    """Take medians of forming a step that only decodes and reading it, and of observing it."""
    batcher, account = make()
    for _ in range(RUNNING):
        batcher.submit(0, account=account, prompt_tokens=16, output_tokens_max=4_000)
    now_ns, formed, observed = 0, [], []
    while len(formed) < ROUNDS:
        began = CLOCK()
        plan = batcher.form(now_ns)
        read(plan)
        form_ns = CLOCK() - began
        now_ns = plan.ends_at_ns
        decodes = plan.decode_requests == RUNNING
        emits = plan.request
        if not decodes:
            emits = [one for one, token in zip(plan.request, plan.emits, strict=True) if token]
        began = CLOCK()
        batcher.observe(now_ns, plan.step, request=emits)
        if decodes:
            formed.append(form_ns)
            observed.append(CLOCK() - began)
    return statistics.median(formed), statistics.median(observed)


def readers() -> Iterator[tuple[str, Callable[[Plan], object]]]:
    """List ways to read the tokens of a plan as an array."""
    yield "memoryview", lambda plan: memoryview(plan.tokens)
    try:
        import numpy
    except ImportError:
        return
    yield "numpy", lambda plan: numpy.asarray(plan.tokens)


def turn() -> dict[str, tuple[float, float, int | None]]:
    """Make all calls once in Rust and once in Python: nanoseconds of both, and the budget."""
    rust = json.loads(subprocess.check_output(RUST.split(), cwd=ROOT))
    rows: dict[str, tuple[float, float, int | None]] = {
        "int.to_bytes, for comparison": (0.0, peer_ns(), None),
        "submit": (rust["submit_ns"], submit_ns(), CALL_NS_MAX),
        "admit": (rust["admit_ns"], admit_ns(), CALL_NS_MAX),
    }
    forms: dict[str, Callable[[list[int]], Buffer]] = {
        "array": lambda names: array.array("Q", names),
        "bytes": lambda names: array.array("Q", names).tobytes(),
    }
    for name, form in forms.items():
        row = (rust["route_ns"], route_ns(form), CALL_NS_MAX)
        rows[f"route, 64 replicas, 64 blocks ({name})"] = row
    for name, read in readers():
        formed, observed = steps_ns(read)
        rows[f"form {RUNNING} and read ({name})"] = (rust["form_ns"], formed, FORM_NS_MAX)
    rows[f"observe {RUNNING} (a column)"] = (rust["observe_ns"], observed, None)
    return rows


def main() -> int:
    """Print the table."""
    turns = [turn() for _ in range(TURNS)]
    print("| call | Rust ns | Python ns | on top | budget |")
    print("|---|---|---|---|---|")
    missed = False
    for name, (*_, most) in turns[0].items():
        base = statistics.median(turn[name][0] for turn in turns)
        mine = statistics.median(turn[name][1] for turn in turns)
        top = statistics.median(turn[name][1] - turn[name][0] for turn in turns)
        missed |= most is not None and top > most
        print(f"| {name} | {base:.0f} | {mine:.0f} | {top:.0f} | {most or ''} |")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
