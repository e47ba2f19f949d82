"""What calls of the batcher take from Python, beside the same calls from Rust.

Run it with the wheel of a release build installed; it builds and runs `batch_calls`, which makes
the same calls in Rust on the same machine at the same time. Exit status 1 if Python takes more on
top than the budget.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rampmeter.batch import Batcher, Engine, Plan
from rampmeter.policy import Policy

# As in `benches/src/batch_calls.rs`.
RUNNING = 256
ROUNDS = 400
SUBMISSIONS = 2_000
SUBMIT_NS_MAX = 300
"""On top of Rust, for a submission."""
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
    """Take the best of twenty times two thousand."""
    best = float("inf")
    for _ in range(20):
        batcher, account = make()
        submit = batcher.submit
        began = CLOCK()
        for tag in range(SUBMISSIONS):
            submit(0, account=account, prompt_tokens=100, output_tokens_max=100, tag=tag)
        best = min(best, (CLOCK() - began) / SUBMISSIONS)
    return best


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


def main() -> int:
    """Print the table."""
    rust = json.loads(subprocess.check_output(RUST.split(), cwd=ROOT))
    rows = [("submit", rust["submit_ns"], submit_ns(), SUBMIT_NS_MAX)]
    for name, read in readers():
        formed, observed = steps_ns(read)
        rows.append((f"form {RUNNING} and read ({name})", rust["form_ns"], formed, FORM_NS_MAX))
    rows.append((f"observe {RUNNING} (a column)", rust["observe_ns"], observed, None))
    print("| call | Rust ns | Python ns | on top | budget |")
    print("|---|---|---|---|---|")
    for name, base, mine, most in rows:
        print(f"| {name} | {base:.0f} | {mine:.0f} | {mine - base:.0f} | {most or ''} |")
    return int(any(most is not None and mine - base > most for _, base, mine, most in rows))


if __name__ == "__main__":
    sys.exit(main())
