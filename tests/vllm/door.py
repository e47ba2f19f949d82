"""Schedulers for `server.py` that write down how long each request waits behind the engine's door.

That is what a scheduler can decide. What a client waits for is more: the process before the engine
takes its request when it gets to it, and gives out the token when it gets to that.
"""

import json
import os

from vllm.v1.core.sched.scheduler import Scheduler

import rampmeter.integrations.vllm as integration

__all__ = ["Plain", "Steered"]


class _Door:
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._said = 0
        self._came = {}
        self._waits = open(os.environ["WAITS_FILE"], "w", buffering=1)  # noqa: SIM115 # while it serves

    def add_request(self, request):
        told = request.sampling_params.extra_args or {}
        self._came[request.request_id] = (told.get("tenant"), self._said)
        super().add_request(request)

    def update_from_output(self, scheduler_output, model_runner_output):
        outputs = super().update_from_output(scheduler_output, model_runner_output)
        answers = [one for client in outputs.values() for one in client.outputs]
        before, self._said = self._said, self._said + sum(len(one.new_token_ids) for one in answers)
        for one in answers:
            tenant, came = self._came.pop(one.request_id, (None, 0))
            if tenant is not None:
                self._waits.write(json.dumps([tenant, before - came]) + "\n")
        return outputs


class Plain(_Door, Scheduler):
    """vLLM's own."""


class Steered(_Door, integration.Scheduler):
    """The one that is steered."""
