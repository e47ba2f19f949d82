"""What the operator sets: a policy document, and where a request says whose it is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from rampmeter.batch import Engine
from rampmeter.policy import Policy

__all__ = ["EngineShape", "Settings", "SettingsError", "policy_for"]

STEPS_IN_FLIGHT_MAX = 4
"""The most that a batcher takes: `limits.steps_in_flight_max` of the policy document."""


class SettingsError(ValueError):
    """The settings under "rampmeter" in `--additional-config` are wrong."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What stands under "rampmeter" in `--additional-config`; all of it may be left out.

    >>> Settings.read({"rampmeter": {"policy": "fair.toml"}}).policy
    'fair.toml'
    """

    policy: str | None = None
    """Path of the policy document, or its text if there is a line break in it."""
    engine: str = "llama-3.1-8b"
    """Step times to begin with; they are corrected by what is observed."""
    tenant_key: str = "tenant"
    """The key in `vllm_xargs` that names whose request it is; without it `cache_salt` does."""
    class_key: str = "class"
    """The key that names its class; without it the priority does: 0 the first, 1 the second..."""
    deadline_key: str = "deadline_ms"
    """The key that says when its first token is due, counted from its arrival."""
    expiry_key: str = "expires_ms"
    """The key that says when it is given up if it has not begun, counted from its arrival."""
    tenant_default: str = "anonymous"
    """Whose request it is that names nobody."""
    metrics_port: int = 0
    """Port of the engine process for its own metrics; 0: none. See the guide."""

    @classmethod
    def read(cls, additional_config: object) -> "Settings":
        """Take them from `vllm_config.additional_config`. Raises `SettingsError`."""
        if not isinstance(additional_config, Mapping):
            return cls()
        given = additional_config.get("rampmeter", {})
        if not isinstance(given, Mapping):
            raise SettingsError(f'"rampmeter" in additional_config is {given!r}, not an object')
        for name, value in given.items():
            known = {field.name: field.type for field in fields(cls)}
            if name not in known:
                raise SettingsError(f'no setting is called "{name}"; there are {sorted(known)}')
            wanted = int if name == "metrics_port" else str
            if not isinstance(value, wanted) or isinstance(value, bool):
                raise SettingsError(f'"{name}" = {value!r} is not {wanted.__name__}')
        return cls(**given)

    def document(self) -> Policy:
        """Read the policy. Raises `OSError` or `DocumentError`."""
        if self.policy is None:
            return Policy()
        if "\n" in self.policy:
            return Policy.from_toml(self.policy)
        return Policy.load(self.policy)


@dataclass(frozen=True, kw_only=True)
class EngineShape:
    """What the engine was started with."""

    kv_blocks: int
    kv_block_tokens: int
    running_max: int
    step_tokens_max: int
    sequence_tokens_max: int
    steps_in_flight_max: int
    adapter_slots_max: int = 0

    def engine(self, step_times: str) -> Engine:
        """Describe it to the batcher, with the step times of a built-in engine to begin with."""
        return Engine(
            kv_blocks=self.kv_blocks,
            kv_block_tokens=self.kv_block_tokens,
            step_coefficients=Engine.named(step_times).step_coefficients,
        )


def policy_for(policy: Policy, shape: EngineShape) -> Policy:
    """Take the limits of a policy from the engine: it is started with them, and they must agree."""
    document: dict[str, Any] = json.loads(policy.to_json())
    limits = document["limits"]
    limits["running_max"] = shape.running_max
    limits["step_tokens_max"] = max(shape.step_tokens_max, shape.running_max)
    limits["prompt_tokens_max"] = shape.sequence_tokens_max
    limits["output_tokens_max"] = shape.sequence_tokens_max
    limits["steps_in_flight_max"] = min(shape.steps_in_flight_max, STEPS_IN_FLIGHT_MAX)
    limits["requests_max"] = max(limits["requests_max"], shape.running_max)
    if shape.adapter_slots_max:
        limits["adapter_slots_max"] = shape.adapter_slots_max
        # Each has one number while anything is known of it; beyond these vLLM alone decides.
        limits["adapters_max"] = max(limits["adapters_max"], 64 * shape.adapter_slots_max)
    return Policy.from_json(json.dumps(document))
