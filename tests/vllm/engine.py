"""vLLM's own scheduler in this process, without a model: the engine is a clock that says tokens."""

import json
import tempfile
import time
from collections import defaultdict, deque
from pathlib import Path

import torch
from vllm.config import CacheConfig, ModelConfig, SchedulerConfig, VllmConfig
from vllm.sampling_params import SamplingParams
from vllm.utils.hashing import sha256
from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.engine import FinishReason
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request
from vllm.v1.structured_output import StructuredOutputManager

__all__ = ["AsyncScheduler", "Drive", "FinishReason", "Scheduler", "make", "request"]

BLOCK_TOKENS = 16
LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 128,
    "max_position_embeddings": 8_192,
    "torch_dtype": "float32",
}


def make(
    scheduler,
    *,
    rampmeter=None,
    running_max=8,
    step_tokens_max=256,
    blocks=1_000,
    caching=False,
    policy="fcfs",
):
    """A scheduler of this class, with so many seats and blocks."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(LLAMA))
        model = ModelConfig(model=folder, skip_tokenizer_init=True, max_model_len=4_096)
        overlapping = issubclass(scheduler, AsyncScheduler)
        config = VllmConfig(
            model_config=model,
            scheduler_config=SchedulerConfig(
                max_num_seqs=running_max,
                max_num_batched_tokens=step_tokens_max,
                max_model_len=4_096,
                is_encoder_decoder=False,
                enable_chunked_prefill=True,
                policy=policy,
            ),
            cache_config=CacheConfig(block_size=BLOCK_TOKENS, enable_prefix_caching=caching),
            additional_config={"rampmeter": rampmeter or {}},
        )
        # The CPU switches it off; the scheduler itself has no device.
        config.scheduler_config.async_scheduling = overlapping
    config.cache_config.num_gpu_blocks = blocks
    init_none_hash(sha256)
    layer = FullAttentionSpec(
        block_size=BLOCK_TOKENS, num_kv_heads=1, head_size=1, dtype=torch.float32
    )
    return scheduler(
        vllm_config=config,
        kv_cache_config=KVCacheConfig(
            num_blocks=blocks,
            kv_cache_tensors=[],
            kv_cache_groups=[KVCacheGroupSpec(["layer"], layer)],
        ),
        structured_output_manager=StructuredOutputManager(config),
        block_size=BLOCK_TOKENS,
        log_stats=True,
    )


def request(name, *, prompt=100, output=8, first=0, priority=0, salt=None, **extra):
    """A request as the engine hands it to the scheduler; `first` is where its tokens begin."""
    sampling = SamplingParams(max_tokens=output, ignore_eos=True, extra_args=extra or None)
    tokens = list(range(first, first + prompt)) if isinstance(prompt, int) else prompt
    return Request(
        request_id=name,
        prompt_token_ids=tokens,
        sampling_params=sampling,
        pooling_params=None,
        priority=priority,
        cache_salt=salt,
        block_hasher=get_request_block_hasher(BLOCK_TOKENS, sha256),
    )


class Drive:
    """Goes round the engine's loop, with so many steps in flight as it would have."""

    def __init__(self, scheduler):
        self.scheduler = scheduler
        self.depth = 2 if isinstance(scheduler, AsyncScheduler) else 1
        self.flights = deque()
        self.first_step = {}
        """By name, the step with which its first token came out."""
        self.tokens = defaultdict(int)
        self.reasons = {}
        """By name, why it ended, and what was said beside that."""
        self.steps = 0
        self.scheduled = []
        """Of each step, how many tokens of each request."""
        self.victims = defaultdict(int)
        self.cpu_ns = []
        """Thread CPU time of each `schedule`, and of each `update_from_output`."""

    def step(self):
        """One step is filled, and the oldest is observed once enough are in flight."""
        began = time.thread_time_ns()
        output = self.scheduler.schedule()
        filled = time.thread_time_ns()
        self.steps += 1
        self.scheduled.append(dict(output.num_scheduled_tokens))
        for name in output.preempted_req_ids or ():
            self.victims[name] += 1
        # What a step samples is settled when it runs: a prompt that is not at its end says nothing.
        says = {
            name: not self.scheduler.requests[name].is_prefill_chunk
            for name in output.num_scheduled_tokens
        }
        self.flights.append((output, says))
        spent = 0
        if len(self.flights) >= self.depth or not output.num_scheduled_tokens:
            spent = self.observe()
        self.cpu_ns.append((filled - began, spent))

    def observe(self):
        """The oldest step is done."""
        output, says = self.flights.popleft()
        names = list(output.num_scheduled_tokens)
        seen = ModelRunnerOutput(
            req_ids=names,
            req_id_to_index={name: at for at, name in enumerate(names)},
            sampled_token_ids=[[1] if says[name] else [] for name in names],
        )
        began = time.thread_time_ns()
        outputs = self.scheduler.update_from_output(output, seen)
        spent = time.thread_time_ns() - began
        for client in outputs.values():
            for one in client.outputs:
                if one.new_token_ids:
                    self.first_step.setdefault(one.request_id, self.steps)
                self.tokens[one.request_id] += len(one.new_token_ids)
                if one.finish_reason is not None:
                    self.reasons[one.request_id] = (one.finish_reason, one.stop_reason)
        return spent

    def run(self, steps_max=10_000, until=None):
        """Until nothing is left to do, or until that is true."""
        while self.scheduler.has_requests() or self.flights:
            if until is not None and until():
                return
            if self.scheduler.has_requests():
                self.step()
            else:
                self.observe()
            assert self.steps < steps_max, "it does not end"
