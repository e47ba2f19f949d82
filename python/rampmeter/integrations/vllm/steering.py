"""The scheduler of vLLM, steered at the seams that it has (`seams` pins them).

| decision | seam |
|---|---|
| who is next | `waiting` is a `TurnQueue`: it offers those whose turn it is, then nobody |
| how much of a prompt | `_reserve_prefill_lookahead`, the last that looks at each chunk |
| who gives way | `_preempt_request`, before vLLM fills the step |
| who is refused, or given up | `add_request`; the answer goes out with `update_from_output` |

vLLM fills the step, allocates the blocks (and is not asked for them where none is needed, see
`slots`) and keeps its own limits. What it does beside the advice is heard with the step's results,
and counts.
"""

import logging
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rampmeter.errors import RangeError

from . import seams, slots
from .advisor import Advice, Advisor, Refusal, Ticket
from .metrics import Metrics
from .settings import EngineShape, Settings
from .turns import TurnQueue

__all__ = ["Steered"]

logger = logging.getLogger("vllm.rampmeter")

IDLE_STEPS_MAX = 1_000
"""Steps in a row in which nothing runs though somebody waits and could run, before the steering is
given up: with nothing in flight the batcher lets in whoever fits, so it would be a bug."""

NAME_CHARACTERS_MAX = 128
"""Of a tenant's name, as in a policy document."""

TARGET_MS_MAX = 86_400_000
"""A day, the most that a policy document takes as a target."""

if TYPE_CHECKING:
    _Base = Any
else:
    _Base = object


class Steered(_Base):  # type: ignore[misc] # the class of vLLM that it is mixed into
    """A scheduler of vLLM in which rampmeter decides who is next, and who gives way."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make vLLM's scheduler, and its adviser if all is where it should be."""
        super().__init__(*args, **kwargs)
        self._advisor: Advisor | None = None
        self._chunks: dict[str, int] | None = None
        self._steps: dict[int, tuple[Any, Advice]] = {}
        self._blocked: dict[str, Any] = {}
        self._gone: list[tuple[Any, Refusal]] = []
        self._giving_way = False
        self._idle_steps = 0
        self._settings = Settings.read(self.vllm_config.additional_config)
        self._metrics = Metrics.of_process(self._settings.metrics_port)
        reasons = [*seams.moved(self)] or [*seams.unsupported(self)]
        if reasons:
            self._metrics.steering(on=False)
            for reason in reasons:
                logger.error("rampmeter does not steer this engine, vLLM decides alone: %s", reason)
            return
        self._advisor = Advisor(self._settings.document(), self._shape(), self._settings)
        self._groups = len(self.kv_cache_config.kv_cache_groups)
        self._caching = bool(self.cache_config.enable_prefix_caching)
        self._chunks_end_anywhere = self.num_prefill_lookahead <= 1
        advisor, blocked = self._advisor, self._blocked
        self.waiting: Any = TurnQueue(
            lambda request: request.request_id in advisor or request.request_id in blocked
        )
        slots.spare(self.kv_cache_manager, self._running_status)
        self._metrics.steering(on=True)
        logger.info("rampmeter steers this engine: %s", advisor.shape)

    def add_request(self, request: Any) -> None:
        """Take in a request, or keep a refusal for the next outputs."""
        advisor = self._advisor
        if (
            advisor is not None
            and request.request_id not in self.requests
            and not request.resumable
            and request.sampling_params is not None
        ):
            if self._is_blocked_waiting_status(request.status):
                # It waits for its grammar, and is entered once it has that.
                self._blocked[request.request_id] = request
            elif (refusal := self._enter(advisor, request)) is not None:
                self._gone.append((request, refusal))
                if self.finished_req_ids_dict is not None:
                    self.finished_req_ids_dict[request.client_index].add(request.request_id)
                return
        super().add_request(request)

    def has_requests(self) -> bool:
        """Whether there is anything to do, refusals to be told included."""
        return bool(self._gone) or super().has_requests()

    def schedule(self, throttle_prefills: bool = False) -> Any:
        """Fill the next step, by advice."""
        advisor = self._advisor
        if advisor is None:
            return super().schedule(throttle_prefills)
        advice = None
        if not throttle_prefills and not self._pause_state.value:
            advice = self._ask(advisor)
        if advice is None:
            # Nobody new, this time; prompts that have begun go on as vLLM likes.
            self.waiting.begin(())
        else:
            self._chunks = advice.chunks
            turn = (self.requests.get(ticket.name) for ticket in advice.turn)
            self.waiting.begin(request for request in turn if request is not None)
        try:
            output = super().schedule(throttle_prefills)
        finally:
            self.waiting.end()
            self._chunks = None
        if advice is not None:
            if advice.step is not None:
                self._steps[id(output)] = (output, advice)
            self._watch(output)
        return output

    def update_from_output(self, scheduler_output: Any, model_runner_output: Any) -> Any:
        """Let vLLM take in what the step did, tell the adviser, and answer who was turned away."""
        outputs = super().update_from_output(scheduler_output, model_runner_output)
        _, advice = self._steps.pop(id(scheduler_output), (None, None))
        if self._advisor is not None and (advice is not None or self.finished_req_ids):
            self._observe(self._advisor, advice or Advice(), model_runner_output)
        if self._gone:
            self._answer(outputs)
        return outputs

    def finish_requests(self, request_ids: Any, finished_status: Any) -> Any:
        """Forget requests that vLLM is to forget."""
        ended = super().finish_requests(request_ids, finished_status)
        if self._advisor is not None:
            now_ns = time.monotonic_ns()
            for request in ended:
                self._blocked.pop(request.request_id, None)
                self._advisor.leave(request.request_id, now_ns)
        return ended

    def _reserve_prefill_lookahead(
        self,
        request: Any,
        num_computed_tokens: int,
        num_new_tokens: int,
    ) -> int:
        """Cut a chunk of a prompt to what it was advised to be."""
        prompt = request.is_prefill_chunk
        if num_new_tokens == 1 and not prompt and self._chunks_end_anywhere:
            return 1
        # Who is not running yet computes its prompt, too.
        if self._chunks is not None and (prompt or request.status != self._running_status):
            advisor, name = self._advisor, request.request_id
            if advisor is not None and name in advisor:
                num_new_tokens = min(num_new_tokens, self._chunks.get(name, 0))
        kept: int = super()._reserve_prefill_lookahead(request, num_computed_tokens, num_new_tokens)
        return kept

    def _preempt_request(
        self,
        request: Any,
        timestamp: float,
        drop_stale_output: bool = False,
    ) -> None:
        """Take the KV of a request, by advice or because vLLM found no room after all."""
        super()._preempt_request(request, timestamp, drop_stale_output)
        self._metrics.preempted("rampmeter" if self._giving_way else "vllm")
        if self._advisor is None or self._giving_way:
            return
        refusal = self._advisor.lost_kv(
            request.request_id,
            time.monotonic_ns(),
            tokens=request.num_tokens,
            output_tokens_left=request.max_tokens - request.num_output_tokens,
        )
        if refusal is not None:
            # A limit on what waits would turn it away, but it was let in already: vLLM keeps it.
            self.waiting.remove_request(request)
            self.waiting.prepend_request(request)

    def _shape(self) -> EngineShape:
        self._status = import_module("vllm.v1.request").RequestStatus
        self._running_status = self._status.RUNNING
        groups = len(self.kv_cache_config.kv_cache_groups)
        return EngineShape(
            kv_blocks=self.cache_config.num_gpu_blocks // groups,
            kv_block_tokens=self.block_size,
            running_max=self.max_num_active_reqs,
            step_tokens_max=self.max_num_scheduled_tokens,
            sequence_tokens_max=self.max_model_len,
            steps_in_flight_max=self.vllm_config.max_concurrent_batches,
            adapter_slots_max=self.lora_config.max_loras if self.lora_config else 0,
        )

    def _enter(self, advisor: Advisor, request: Any) -> Refusal | None:
        settings, now_ns = self._settings, time.monotonic_ns()
        told = request.sampling_params.extra_args or {}
        arrival_ns = max(now_ns - int(1e9 * max(time.time() - request.arrival_time, 0.0)), 0)
        tenant = told.get(settings.tenant_key) or request.cache_salt or settings.tenant_default
        class_index = advisor.class_index(told.get(settings.class_key), request.priority)
        lora = request.lora_request
        try:
            refusal = advisor.enter(
                request.request_id,
                now_ns,
                prompt_tokens=request.num_tokens,
                output_tokens_max=request.max_tokens,
                tenant=str(tenant)[:NAME_CHARACTERS_MAX],
                class_index=class_index,
                arrival_ns=arrival_ns,
                deadline_ns=after(arrival_ns, told.get(settings.deadline_key)),
                expires_at_ns=after(arrival_ns, told.get(settings.expiry_key)),
                adapter=lora.lora_int_id if lora is not None else None,
            )
        except RangeError as error:
            logger.warning("rampmeter leaves request %s to vLLM: %s", request.request_id, error)
            self._metrics.entered("", "", "unsteered")
            return None
        ticket = advisor.ticket(request.request_id)
        account = advisor.account_name(ticket) if ticket else ""
        reason = refusal.reason if refusal else "queued"
        self._metrics.entered(advisor.class_names[class_index], account, reason)
        return refusal

    def _ask(self, advisor: Advisor) -> Advice | None:
        """Ask for the next step, and do of it what comes before it."""
        for request in [*self._blocked.values()]:
            self._unblock(advisor, request)
        pool = self.kv_cache_manager.block_pool
        try:
            advice = advisor.advise(
                time.monotonic_ns(),
                kv_blocks_free=pool.get_num_free_blocks() // self._groups,
                cached_tokens=self._cached_tokens if self._caching else None,
            )
        except Exception as error:
            self._give_up(f"{error!r}")
            return None
        if advice is None:
            return None
        for ticket in advice.give_way:
            request = self.requests.get(ticket.name)
            if request in self.running and self._request_blocks_can_be_freed(request):
                self.running.remove(request)
                self._giving_way = True
                try:
                    self._preempt_request(request, time.monotonic(), self.requires_kv_delivery)
                finally:
                    self._giving_way = False
        for ticket in advice.expired:
            request = self.requests.get(ticket.name)
            if request is not None:
                self._turn_away(request, Refusal("expired"))
        return advice

    def _cached_tokens(self, ticket: Ticket) -> int:
        found: int = self.kv_cache_manager.get_computed_blocks(self.requests[ticket.name])[1]
        return found

    def _unblock(self, advisor: Advisor, request: Any) -> None:
        if not self._handle_blocked_waiting_request(request):
            return
        del self._blocked[request.request_id]
        refusal = self._enter(advisor, request)
        if refusal is not None:
            self._turn_away(request, refusal)
        elif request.request_id not in advisor:
            self.waiting.remove_request(request)
            self.waiting.prepend_request(request)

    def _turn_away(self, request: Any, refusal: Refusal) -> None:
        """Take back a request that vLLM knows."""
        self._metrics.turned_away(refusal.reason)
        self.finish_requests((request.request_id,), self._status.FINISHED_ABORTED)
        self._gone.append((request, refusal))

    def _observe(self, advisor: Advisor, advice: Advice, seen: Any) -> None:
        sampled = seen.sampled_token_ids
        finished = self.finished_req_ids
        if finished:
            finished = {name for name in finished if name in advisor}
        now_ns = time.monotonic_ns()
        try:
            started = advisor.observe(
                advice, now_ns, seen.req_ids if sampled else (), map(len, sampled), finished
            )
        except Exception as error:
            self._give_up(f"{error!r}")
            return
        for ticket in started:
            class_name = advisor.class_names[ticket.class_index]
            waited_s = (now_ns - ticket.arrival_ns) / 1e9
            self._metrics.first_token(class_name, advisor.account_name(ticket), waited_s)
        self._metrics.look(advisor, now_ns)

    def _answer(self, outputs: Any) -> None:
        """Tell clients that they were turned away, and why: in `stop_reason`."""
        engine = import_module("vllm.v1.engine")
        gone, self._gone = self._gone, []
        for request, refusal in gone:
            answer = engine.EngineCoreOutput(
                request_id=request.request_id,
                new_token_ids=[],
                finish_reason=engine.FinishReason.ABORT,
                stop_reason=in_words(refusal),
                events=request.take_events(),
                trace_headers=request.trace_headers,
            )
            known = outputs.get(request.client_index)
            if known is None:
                outputs[request.client_index] = engine.EngineCoreOutputs(outputs=[answer])
            else:
                known.outputs.append(answer)

    def _watch(self, output: Any) -> None:
        """Notice that nobody runs though somebody could."""
        stuck = not output.total_num_scheduled_tokens and not self.running
        if stuck and len(self.waiting) > len(self._blocked):
            self._idle_steps += 1
            if self._idle_steps >= IDLE_STEPS_MAX:
                self._give_up(f"nobody is let in, {len(self.waiting)} wait")
        else:
            self._idle_steps = 0

    def _give_up(self, reason: str) -> None:
        """Leave the engine to vLLM from now on: it must go on whatever is wrong here."""
        logger.error("rampmeter gives up steering, vLLM decides alone from now on: %s", reason)
        self._metrics.steering(on=False)
        self._advisor = None
        self._steps.clear()
        self.waiting.release()


def after(arrival_ns: int, told_ms: object) -> int | None:
    """When so many milliseconds after its arrival are over; `None` if it is no such number.

    >>> after(1_000, 2), after(1_000, "soon"), after(1_000, float("nan"))
    (2001000, None, None)
    """
    if not isinstance(told_ms, int | float) or isinstance(told_ms, bool):
        return None
    if not 0 < told_ms <= TARGET_MS_MAX:
        return None
    return arrival_ns + int(told_ms * 1e6)


def in_words(refusal: Refusal) -> str:
    """Say it as a client reads it.

    >>> in_words(Refusal("rate_tokens", 1_500_000_000))
    'rampmeter: rate_tokens; retry after 1.5 s'
    """
    if refusal.retry_after_ns is None:
        return f"rampmeter: {refusal.reason}"
    return f"rampmeter: {refusal.reason}; retry after {refusal.retry_after_ns / 1e9:.1f} s"
