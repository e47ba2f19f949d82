"""What of vLLM's scheduler the steering relies on, though it is private: checked at every start.

vLLM says that the interface of its scheduler may change. Where it has, the scheduler runs as vLLM
made it, and the log says which of these moved.
"""

import inspect
from collections.abc import Iterator
from typing import Any

__all__ = ["VERSION", "moved", "unsupported"]

VERSION = "0.32.0"
"""The version of vLLM that the steering was written for and is tested with."""

_METHODS: dict[str, tuple[str, ...]] = {
    "schedule": ("self", "throttle_prefills"),
    "update_from_output": ("self", "scheduler_output", "model_runner_output"),
    "add_request": ("self", "request"),
    "finish_requests": ("self", "request_ids", "finished_status"),
    "has_requests": ("self",),
    "_reserve_prefill_lookahead": ("self", "request", "num_computed_tokens", "num_new_tokens"),
    "_handle_blocked_waiting_request": ("self", "request"),
    "_is_blocked_waiting_status": ("status",),
    "_preempt_request": ("self", "request", "timestamp", "drop_stale_output"),
    "_request_blocks_can_be_freed": ("self", "request"),
}
"""Methods, with the names of their parameters."""

_USES: dict[str, tuple[str, ...]] = {
    "schedule": (
        "self.waiting",
        "peek_request()",
        "pop_request()",
        "prepend_requests(",
        "self._reserve_prefill_lookahead(",
        "self._handle_blocked_waiting_request(",
        "self._preempt_request(",
        "self.running",
    ),
    "update_from_output": ("self.finished_req_ids", "self.waiting.remove_requests("),
    "finish_requests": ("self.waiting.remove_requests(",),
    "_preempt_request": ("self.waiting.prepend_request(",),
}
"""Where they are called, and where what they stand in for is used: a hook that nobody calls any
more would steer nothing without anybody noticing."""

_ATTRIBUTES = (
    "waiting",
    "running",
    "requests",
    "kv_cache_manager",
    "kv_cache_config",
    "finished_req_ids",
    "finished_req_ids_dict",
    "max_num_running_reqs",
    "max_num_scheduled_tokens",
    "max_model_len",
    "num_prefill_lookahead",
    "block_size",
    "requires_kv_delivery",
    "_pause_state",
)
"""Attributes of a scheduler that was made."""

_QUEUE = {
    "add_request",
    "pop_request",
    "peek_request",
    "prepend_request",
    "prepend_requests",
    "remove_request",
    "remove_requests",
    "__bool__",
    "__len__",
    "__iter__",
}
"""What a queue of waiting requests must have, all of which `TurnQueue` has."""


def moved(scheduler: Any) -> Iterator[str]:
    """Name what is not where it was."""
    base = next(one for one in type(scheduler).__mro__ if one.__module__.startswith("vllm."))
    for name, parameters in _METHODS.items():
        method = getattr(base, name, None)
        if method is None:
            yield f"{base.__name__}.{name} is gone"
        elif tuple(inspect.signature(method).parameters) != parameters:
            yield f"{base.__name__}.{name}{inspect.signature(method)} has other parameters"
    for name, uses in _USES.items():
        text = _source(base, name)
        yield from (f"{base.__name__}.{name} does without {use}" for use in uses if use not in text)
    for name in _ATTRIBUTES:
        if not hasattr(scheduler, name):
            yield f"{base.__name__} has no attribute {name}"
    if not hasattr(getattr(scheduler, "kv_cache_manager", None), "get_computed_blocks"):
        yield "kv_cache_manager.get_computed_blocks is gone"
    pool = getattr(getattr(scheduler, "kv_cache_manager", None), "block_pool", None)
    if not hasattr(pool, "get_num_free_blocks"):
        yield "kv_cache_manager.block_pool.get_num_free_blocks is gone"
    queue = getattr(scheduler, "waiting", None)
    known = {
        name for one in type(queue).__mro__ for name in getattr(one, "__abstractmethods__", ())
    }
    if unknown := sorted(known - _QUEUE):
        yield f"the queue of waiting requests has more methods: {unknown}"


def unsupported(scheduler: Any) -> Iterator[str]:
    """Name what the engine was started with that the batcher knows nothing of."""
    if getattr(scheduler, "connector", None) is not None:
        yield "KV connectors: KV comes and goes by itself"
    if getattr(scheduler, "ec_connector", None) is not None:
        yield "encoder connectors: inputs come by themselves"
    if getattr(scheduler, "is_encoder_decoder", False):
        yield "encoder-decoder models: their cross-attention takes blocks of its own"
    if getattr(scheduler, "num_sampled_tokens_per_step", 1) != 1:
        yield "models that sample no token after their prompt (pooling, diffusion)"
    if len(scheduler.kv_cache_config.kv_cache_groups) == 0:
        yield "models without KV cache"
    if not scheduler.scheduler_config.enable_chunked_prefill:
        yield "prompts that are computed in one piece (no chunked prefill)"


def _source(base: type, name: str) -> str:
    """Read a method where it is written, in `base` or above."""
    for one in base.__mro__:
        if name in vars(one) and one.__module__.startswith("vllm."):
            try:
                return inspect.getsource(vars(one)[name])
            except OSError:
                return ""
    return ""
