"""Three replicas behind Ray's router and behind rampmeter's; autoscaling; what a choice costs."""

import asyncio
import concurrent.futures
import random
import statistics
import time
from types import SimpleNamespace

import ray
from ray import serve
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy, RequestRouterConfig

ROUTER = "rampmeter.integrations.ray:RequestRouter"
BLOCK_BYTES = 64
PREFIX_BYTES = 8_192
PREFIXES = 9
CACHED_PREFIXES = 4
REQUESTS = 240
CLIENTS = 6
ROUNDS = 3
"""Times that waits are compared at most: a machine that stands still for a moment is no verdict."""
CHOICE_US_MAX = 20.0
TARGET = {"seats": 1, "target_s": 0.2, "late_ratio_max": 0.1}


class Engine:
    """Computes prompts one after the other, for as long as what it has not cached takes."""

    def __init__(self):
        self.cached = {}
        self.busy = asyncio.Lock()

    async def __call__(self, body):
        async with self.busy:
            prompt = body["prompt"].encode()
            ends = range(BLOCK_BYTES, len(prompt) + 1, BLOCK_BYTES)
            blocks = [hash(prompt[:end]) for end in ends]
            found = next(
                (n for n, block in enumerate(blocks) if block not in self.cached), len(blocks)
            )
            # 100 us for each 16 tokens, as an engine of 160,000 prompt tokens a second.
            await asyncio.sleep(0.002 + 0.0008 * (len(blocks) - found))
            for block in blocks:
                self.cached.pop(block, None)
                self.cached[block] = None
            while len(self.cached) > CACHED_PREFIXES * PREFIX_BYTES // BLOCK_BYTES:
                self.cached.pop(next(iter(self.cached)))
            return found


def prompts():
    """Prompts that begin with one of few texts, some far oftener than others."""
    draw = random.Random(7)
    texts = ["".join(draw.choices("abcdefgh ", k=PREFIX_BYTES)) for _ in range(PREFIXES)]
    weights = [1.0 / (rank + 1) for rank in range(PREFIXES)]
    for number in range(REQUESTS):
        text = draw.choices(texts, weights)[0]
        yield {"prompt": f"{text} and now {number}", "user": f"tenant-{number % 5}"}


def load(handle):
    """Seconds of each request, and blocks that were cached in the mean."""

    def ask(body):
        began = time.monotonic()
        found = handle.remote(body).result(timeout_s=60)
        return time.monotonic() - began, found

    for _ in range(4):
        handle.remote({"prompt": "warm up"}).result(timeout_s=60)
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
        told = list(clients.map(ask, prompts()))
    return [seconds for seconds, _ in told], statistics.fmean(found for _, found in told)


def deploy(name, config):
    engine = serve.deployment(
        Engine,
        name=name,
        num_replicas=3,
        max_ongoing_requests=8,
        ray_actor_options={"num_cpus": 0.1},
        request_router_config=config,
    )
    return serve.run(engine.bind(), name=name, route_prefix=f"/{name}")


def compare():
    ours = RequestRouterConfig(
        request_router_class=ROUTER,
        request_router_kwargs={
            "engine": "llama-3.1-8b",
            "replica": {"kv_blocks": CACHED_PREFIXES * PREFIX_BYTES // BLOCK_BYTES},
        },
    )
    for _ in range(ROUNDS):
        mean, cached = {}, {}
        for name, config in (("power_of_two", RequestRouterConfig()), ("rampmeter", ours)):
            handle = deploy(name, config)
            seconds, cached[name] = load(handle)
            mean[name], most = statistics.fmean(seconds), sorted(seconds)[int(REQUESTS * 0.99)]
            print(
                f"ray: {name}: mean {mean[name] * 1e3:.1f} ms, p99 {most * 1e3:.1f} ms,"
                f" {cached[name]:.0f} of {PREFIX_BYTES // BLOCK_BYTES} blocks cached",
                flush=True,
            )
            serve.delete(name)
        assert cached["rampmeter"] > 1.2 * cached["power_of_two"], cached
        if mean["rampmeter"] <= mean["power_of_two"]:
            return
    raise AssertionError(f"more is cached, and requests take longer all the same: {mean}")


def choice():
    """Microseconds of `choose_replicas`, in Ray's own class, beside a prompt of 128 blocks."""
    from ray.serve._private.common import DeploymentHandleSource, DeploymentID

    from rampmeter.integrations.ray import RequestRouter

    async def measure(count):
        router = RequestRouter(
            deployment_id=DeploymentID(name="none"),
            handle_source=DeploymentHandleSource.REPLICA,
            use_replica_queue_len_cache=True,
        )
        router.initialize_state(share=False, replicas_max=64)
        replicas = [
            SimpleNamespace(replica_id=f"r{n}", max_ongoing_requests=8, routing_stats={})
            for n in range(count)
        ]
        router._replicas = {one.replica_id: one for one in replicas}
        router.desk.sync(replicas)
        taken = []
        for number, body in enumerate(prompts()):
            metadata = SimpleNamespace(
                internal_request_id=f"q{number}",
                multiplexed_model_id="",
                session_id="",
                is_streaming=False,
            )
            asked = SimpleNamespace(args=[body], kwargs={}, metadata=metadata, created_at=0.0)
            # Ray has it read when it comes; the choice is what is held against the target.
            router.desk.facts(asked)
            began = time.perf_counter_ns()
            ((chosen,),) = await router.choose_replicas(replicas, asked)
            taken.append(time.perf_counter_ns() - began)
            router.on_request_routed(asked, chosen.replica_id, None)
            router.on_request_completed(chosen.replica_id, metadata.internal_request_id)
        return statistics.median(taken) / 1e3

    for count in (3, 64):
        us = asyncio.run(measure(count))
        verdict = "" if us <= CHOICE_US_MAX else f", above {CHOICE_US_MAX:.0f}"
        print(f"ray: choose_replicas among {count}: {us:.1f} us{verdict}", flush=True)


def autoscale():
    """Serve asks for more replicas when requests wait."""

    @serve.deployment(
        max_ongoing_requests=1,
        ray_actor_options={"num_cpus": 0.1},
        request_router_config=RequestRouterConfig(
            request_router_class=ROUTER, request_router_kwargs={"replicas_max": 4}
        ),
        autoscaling_config=AutoscalingConfig(
            min_replicas=1,
            max_replicas=3,
            upscale_delay_s=0.0,
            downscale_delay_s=600.0,
            metrics_interval_s=0.2,
            look_back_period_s=1.0,
            policy=AutoscalingPolicy(
                policy_function="rampmeter.integrations.ray:Autoscaler",
                policy_kwargs=TARGET,
            ),
        ),
    )
    class Slow:
        async def __call__(self, _):
            await asyncio.sleep(0.05)

    handle = serve.run(Slow.bind(), name="slow", route_prefix="/slow")
    hub = None
    until, count, needed = time.monotonic() + 90.0, 1, None
    with concurrent.futures.ThreadPoolExecutor(12) as clients:
        while (count < 2 or needed is None) and time.monotonic() < until:
            list(clients.map(lambda _: handle.remote("x").result(timeout_s=60), range(48)))
            states = serve.status().applications["slow"].deployments["Slow"].replica_states
            count = states.get("RUNNING", 0)
            hub = hub or ray.get_actor("slow#Slow", namespace="rampmeter")
            needed = ray.get(hub.replicas_needed.remote(replicas=count, **TARGET))
    assert count >= 2, "the autoscaler was not asked, or asked for nothing"
    assert needed is not None, "the routers do not tell the hub what comes"
    print(
        f"ray: autoscaled to {count} replicas; {needed[0]:.1f} are needed,"
        f" {needed[1]:.1f} are enough for certain",
        flush=True,
    )


if __name__ == "__main__":
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
    choice()
    compare()
    autoscale()
    serve.shutdown()
