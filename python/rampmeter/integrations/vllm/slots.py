"""Blocks for those who need one.

vLLM asks its cache manager for slots for every running request in every step. A request that
decodes stays within the block that it has in all steps but one of a block's length; in the others
the answer is "none", and to find that out takes most of `schedule`. Here that answer comes at once.
"""

import inspect
from typing import Any

__all__ = ["spare"]

_PARAMETERS = ("request", "num_new_tokens", "num_new_computed_tokens", "new_computed_blocks")
"""The first of `allocate_slots`."""

_DECODING = {"num_lookahead_tokens": 0}
"""What else it is asked for a running request without speculation."""


def spare(manager: Any, running: Any) -> bool:
    """Have the manager asked only where it has something to do; `running` is a request's status.

    That is any other call than for one token of a running request, and one whose token begins a
    block or fills one: that one is allocated, or goes into the prefix cache. Only where all KV
    grows with the context: a manager of sliding windows frees blocks when it is asked. False, and
    nothing changes, where this is not the manager that is known here.
    """
    coordinator = getattr(manager, "coordinator", None)
    managers: Any = getattr(coordinator, "single_type_managers", ())
    if [type(one).__name__ for one in managers] != ["FullAttentionManager"]:
        return False
    asked, none = manager.allocate_slots, getattr(manager, "empty_kv_cache_blocks", None)
    blocks_of, block_tokens = getattr(managers[0], "req_to_blocks", None), managers[0].block_size
    first = tuple(inspect.signature(asked).parameters)[: len(_PARAMETERS)]
    if none is None or blocks_of is None or first != _PARAMETERS:
        return False

    def allocate_slots(request: Any, num_new_tokens: int, *args: Any, **known: Any) -> Any:
        if num_new_tokens == 1 and request.status is running and known == _DECODING and not args:
            tokens = request.num_computed_tokens + 1
            within = tokens % block_tokens > 1
            if within and tokens <= block_tokens * len(blocks_of[request.request_id]):
                return none
        return asked(request, num_new_tokens, *args, **known)

    manager.allocate_slots = allocate_slots
    return True
