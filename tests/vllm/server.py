"""Two tenants at one real server on the CPU, with a small random model: vLLM alone, and steered.

One tenant keeps four times as many requests at the engine as it has seats, the other sends two at
a time. Both servers run beside each other and are loaded in turn, so that whatever else the
machine does meets both. Prints what was measured; exit status 1 if the modest tenant's median or
p99 gained less than is promised, or service was divided beyond the bound. With `--strict` also if
throughput was lost.

What is checked does not hang on how busy the machine is: a wait is counted in tokens that the
server produced meanwhile (divided by its rate these are the seconds of a machine of one's own),
and throughput is tokens for each CPU second of the server's processes. Seconds are printed besides.

What is measured is the order of the engine, so the engine must be what is waited for. The process
before it, which speaks HTTP, takes requests and gives out tokens as they come: where that is the
bottleneck, requests wait there for as long as the whole queue, the engine runs dry, and no
scheduler can help. So a step of the model takes several times what its tokens cost out there, and
the engine computes in its own process (`ONE_PROCESS`).
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import multiprocessing
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import psutil

HERE = Path(__file__).resolve().parent
SEATS = 8
PROMPT, OUTPUT = 64, 16
OUTPUT_SPREAD = 12
"""Answers of the greedy tenant are 16 tokens long, give or take: seats become free one by one."""
OUTPUT_TOKEN_COST = 5
CREDIT = 0
GREEDY_OUTSTANDING = 4 * SEATS
ROUNDS = 4
MODEST_REQUESTS = 30
START_S_MAX = 600
GAIN_MIN = 3.0
"""The modest tenant's time to first token without steering over that with it: the median and the
p99."""
THROUGHPUT_LOSS_MAX = 0.05
"""Where it is asked for."""
BOUND = 2 * max(PROMPT, OUTPUT_TOKEN_COST * SEATS * OUTPUT) + CREDIT
VOCABULARY = 256
HIDDEN, LAYERS = 1_024, 4
"""Of the model: 51 million parameters, so that a step of eight tokens takes 20 ms of a core or
more. Streaming a token costs about 0.6 ms of another one."""
ONE_PROCESS = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
"""Lets vLLM on the CPU compute in the engine's process. With a worker beside it both poll shared
memory without a pause: of two cores, nothing is left to the process that speaks HTTP."""


def make_model(folder):
    """A Llama of few layers with random weights, and a tokenizer of single words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=11 * HIDDEN // 4,
        num_hidden_layers=LAYERS,
        num_attention_heads=HIDDEN // 64,
        num_key_value_heads=HIDDEN // 64,
        max_position_embeddings=2_048,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    words = {"<unk>": 0, "<s>": 1, "</s>": 2}
    words |= {f"w{number}": number for number in range(3, VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Server:
    """One vLLM server, plain or steered."""

    def __init__(self, name, model, logs):
        self.name = name
        self.port, self.metrics_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log, self.waits = (Path(logs) / f"{name}.{kind}" for kind in ("log", "waits"))
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
        known = {
            "model": model,
            "served-model-name": "m",
            "host": "127.0.0.1",
            "port": self.port,
            "max-num-seqs": SEATS,
            "max-model-len": 512,
            "max-num-batched-tokens": 512,
            "block-size": 32,
            "num-gpu-blocks-override": 200,
            "dtype": "bfloat16",
        }
        for name_of, value in known.items():
            command += [f"--{name_of}", str(value)]
        command += ["--enforce-eager", "--scheduler-cls", f"door.{name.capitalize()}"]
        if name == "steered":
            told = {"policy": str(HERE / "fair.toml"), "metrics_port": self.metrics_port}
            command += ["--additional-config", json.dumps({"rampmeter": told})]
        known = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        known |= {"VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
        known |= ONE_PROCESS | {"WAITS_FILE": str(self.waits)}
        known["PYTHONPATH"] = os.pathsep.join([str(HERE), *filter(None, [os.getenv("PYTHONPATH")])])
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                command,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=os.environ | known,
                start_new_session=True,
            )

    async def ready(self, session):
        """Until it answers, or has ended."""
        until = time.monotonic() + START_S_MAX
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(aiohttp.ClientError, OSError):
                async with session.get(f"{self.url}/health") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(1)
        raise SystemExit(f"{self.name} does not start:\n{self.log.read_text()[-3_000:]}")

    def cpu_s(self):
        """CPU seconds that it has used, with all its processes."""
        server = psutil.Process(self.process.pid)
        times = [one.cpu_times() for one in (server, *server.children(recursive=True))]
        return sum(one.user + one.system for one in times)

    def waits_in_engine(self, tenant):
        """Tokens that were said while each request of a tenant waited for its first in there."""
        told = (json.loads(line) for line in self.waits.read_text().splitlines())
        return [wait for whose, wait in told if whose == tenant]

    def stop(self):
        """End it with all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)


class Load:
    """What clients see of one server."""

    def __init__(self, server, session):
        self.server, self.session = server, session
        self.draw = random.Random(7)
        self.events = []
        """(when, tenant, kind) of every token, the first of an answer told apart."""

    async def one(self, tenant, output=OUTPUT, **extra):
        """Send a request and read its answer: its wait in seconds and in tokens, and its end."""
        body = {
            "model": "m",
            "prompt": [self.draw.randrange(3, VOCABULARY) for _ in range(PROMPT)],
            "max_tokens": output,
            "ignore_eos": True,
            "temperature": 0,
            "stream": True,
            "vllm_xargs": {"tenant": tenant, **extra},
        }
        began, before, first, reason = time.monotonic(), len(self.events), None, None
        async with self.session.post(f"{self.server.url}/v1/completions", json=body) as answer:
            answer.raise_for_status()
            async for line in answer.content:
                if not line.startswith(b"data: {"):
                    continue
                choice = json.loads(line[6:])["choices"][0]
                now = time.monotonic()
                reason = choice["finish_reason"] or reason
                if choice["text"] or choice["finish_reason"] == "length":
                    self.events.append((now, tenant, "token" if first else "first"))
                    first = first or (now - began, len(self.events) - before)
        return first, reason

    async def contend(self):
        """The greedy tenant keeps its queue full while the modest one asks now and then."""
        done = asyncio.Event()

        async def greedy():
            while not done.is_set():
                spread = self.draw.randint(-OUTPUT_SPREAD, OUTPUT_SPREAD)
                await self.one("greedy", OUTPUT + spread)

        async def modest():
            return [(await self.one("modest"))[0] for _ in range(MODEST_REQUESTS // 2)]

        self.events.clear()
        crowd = [asyncio.create_task(greedy()) for _ in range(GREEDY_OUTSTANDING)]
        # Until the queue stands: all have begun, and those that were quick have come again.
        while sum(kind == "first" for *_, kind in self.events) < GREEDY_OUTSTANDING + SEATS:
            await asyncio.sleep(0.05)
        began, before, worked = time.monotonic(), len(self.events), self.server.cpu_s()
        waits = await asyncio.gather(modest(), modest())
        worked = self.server.cpu_s() - worked
        tokens, took = len(self.events) - before, time.monotonic() - began
        done.set()
        await asyncio.gather(*crowd)
        return [*itertools.chain(*waits)], tokens, took, worked

    async def divide(self):
        """Both send all at once, one four times as much; how far they came apart."""
        self.events.clear()
        tenants = ["greedy"] * 4 + ["modest"]
        await asyncio.gather(*(self.one(tenants[number % 5]) for number in range(60)))
        served, waiting, most = {"greedy": 0, "modest": 0}, {"greedy": 48, "modest": 12}, 0
        for _, tenant, kind in sorted(self.events):
            if kind == "first":
                waiting[tenant] -= 1
                served[tenant] += PROMPT + OUTPUT_TOKEN_COST
            elif kind == "token":
                served[tenant] += OUTPUT_TOKEN_COST
            if all(waiting.values()):
                most = max(most, abs(served["greedy"] - served["modest"]))
        return most


async def measure(servers):
    """Load them in turn; by name: the modest tenant's waits as it and as the engine sees
    them, what was served, difference."""
    known = {server.name: ([], [], [], []) for server in servers}
    # A connection of its own each: a server closes idle ones just when they are used again.
    limits = aiohttp.TCPConnector(limit=0, force_close=True)
    patience = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(connector=limits, timeout=patience) as session:
        for server in servers:
            await server.ready(session)
        loads = [Load(server, session) for server in servers]
        for load in loads:
            await asyncio.gather(*(load.one("greedy") for _ in range(SEATS)))
        for at in range(ROUNDS):
            for load in loads if at % 2 else reversed(loads):
                waits, *served = await load.contend()
                known[load.server.name][0].extend(waits)
                known[load.server.name][1].append(served)
        for load in loads:
            known[load.server.name][2].extend(load.server.waits_in_engine("modest"))
            known[load.server.name][3].append(await load.divide())
        steered = loads[-1]
        _, reason = await steered.one("modest", deadline_ms=60_000)
        url = f"http://127.0.0.1:{steered.server.metrics_port}/metrics"
        async with session.get(url) as answer:
            metrics = await answer.text()
    return known, reason, metrics


def p99(values):
    return statistics.quantiles(values, n=100)[98]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", default=tempfile.gettempdir(), help="where servers write theirs")
    parser.add_argument("--strict", action="store_true", help="on a machine that is idle otherwise")
    options = parser.parse_args()
    logs = options.logs
    with tempfile.TemporaryDirectory() as model:
        # In a process of its own: what that imports would stop this one, which measures, for half a
        # second each time that garbage is collected.
        maker = multiprocessing.get_context("spawn").Process(target=make_model, args=(model,))
        maker.start()
        maker.join()
        servers = []
        try:
            servers.append(Server("plain", model, logs))
            servers.append(Server("steered", model, logs))
            known, reason, metrics = asyncio.run(measure(servers))
        finally:
            for server in servers:
                server.stop()
    print(
        "| server | modest TTFT p50 / p99 s | the same in tokens | in the engine | tokens/s |"
        " tokens/CPU s | service apart, bound |"
    )
    print("|---|---|---|---|---|---|---|")
    middle, tail, inside, rate, apart = {}, {}, {}, {}, {}
    for name, (waits, served, within, (most,)) in known.items():
        seconds, tokens = zip(*waits, strict=True)
        middle[name], tail[name], apart[name] = statistics.median(tokens), p99(tokens), most
        inside[name] = p99(within)
        total, took, worked = (sum(part) for part in zip(*served, strict=True))
        rate[name] = total / worked
        print(
            f"| {name} | {statistics.median(seconds):.3f} / {p99(seconds):.3f} "
            f"| {middle[name]:.0f} / {tail[name]:.0f} "
            f"| {statistics.median(within):.0f} / {inside[name]:.0f} "
            f"| {total / took:.0f} | {rate[name]:.0f} | {most}, {BOUND} |"
        )
    gain, tail_gain, inside_gain = (
        known["plain"] / known["steered"] for known in (middle, tail, inside)
    )
    lost = 1 - rate["steered"] / rate["plain"]
    print(
        f"p50 is {gain:.1f}, p99 {tail_gain:.1f}, p99 in the engine {inside_gain:.1f} times as"
        f" short; throughput lost: {lost:.1%}"
    )
    lenient = not options.strict
    checks = {
        f"the median gained less than {GAIN_MIN} times": gain >= GAIN_MIN,
        f"the p99 gained less than {GAIN_MIN} times": tail_gain >= GAIN_MIN or lenient,
        f"the p99 in the engine gained less than {GAIN_MIN} times": inside_gain >= GAIN_MIN,
        f"more than {THROUGHPUT_LOSS_MAX:.0%} of throughput is lost": lost <= THROUGHPUT_LOSS_MAX
        or lenient,
        "service is divided beyond the bound": apart["steered"] <= BOUND,
        "without steering it is within the bound: nothing was shown": apart["plain"] > BOUND,
        "the last request did not end": reason == "length",
        "metrics do not say that it steers": "rampmeter_vllm_steering 1.0" in metrics,
        "metrics do not know the tenant": 'account="modest"' in metrics,
    }
    for failed in (text for text, fine in checks.items() if not fine):
        print(failed, file=sys.stderr)
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
