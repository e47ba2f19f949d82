"""rampmeter inside vLLM: whose turn it is, how much of a step goes to prompts, who gives way.

Start the server with `--scheduler-cls rampmeter.integrations.vllm.AsyncScheduler`, or `.Scheduler`
where asynchronous scheduling is off, as on the CPU. vLLM keeps its scheduler, its KV cache and its
model; a batcher in its shadow decides, and hears what really happened. `Settings` has what
`--additional-config '{"rampmeter": {...}}'` may say, `docs/guides/vllm.md` the rest.
"""

from typing import Any

from .advisor import Advice, Advisor, Refusal
from .settings import Settings, SettingsError

__all__ = ["Advice", "Advisor", "Refusal", "Settings", "SettingsError"]

_SCHEDULERS = {
    "Scheduler": ("vllm.v1.core.sched.scheduler", "Scheduler"),
    "AsyncScheduler": ("vllm.v1.core.sched.async_scheduler", "AsyncScheduler"),
}


def __getattr__(name: str) -> Any:
    """Make the scheduler classes when they are first asked for: they need vLLM."""
    if name not in _SCHEDULERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    from .steering import Steered

    module, base = _SCHEDULERS[name]
    body = {"__doc__": Steered.__doc__, "__module__": __name__}
    made = type(name, (Steered, getattr(import_module(module), base)), body)
    globals()[name] = made
    return made
