"""A batcher in the shadow of vLLM's scheduler: what it advises, and what it hears of the truth.

Nothing here knows vLLM: requests are names, and `steering` translates.
"""

import contextlib
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress

from rampmeter.batch import Batcher, Plan, Queued
from rampmeter.errors import FullError, RangeError, StaleError
from rampmeter.policy import Policy

from .settings import EngineShape, Settings, policy_for

__all__ = ["Advice", "Advisor", "Refusal", "Ticket"]


@dataclass(frozen=True)
class Refusal:
    """A request that is turned away, or given up, and why."""

    reason: str
    retry_after_ns: int | None = None


@dataclass(eq=False, slots=True)
class Ticket:
    """A request as the advisor knows it."""

    name: str
    tag: int
    handle: int
    tenant: str
    account: int
    class_index: int
    adapter: int
    arrival_ns: int
    deadline_ns: int | None
    expires_at_ns: int | None
    owed: int = 0
    """Output tokens that the batcher has not heard of, because it had not planned them."""
    answering: bool = False
    """Its first token is out."""


@dataclass(slots=True)
class Advice:
    """What a step should do."""

    step: int | None = None
    turn: list[Ticket] = field(default_factory=list)
    """Who computes prompt tokens, in order."""
    chunks: dict[str, int] = field(default_factory=dict)
    """How many tokens of each, by name."""
    give_way: list[Ticket] = field(default_factory=list)
    """Who loses their KV before it."""
    expired: list[Ticket] = field(default_factory=list)
    """Who waited for too long and is forgotten."""
    firsts: list[Ticket] = field(default_factory=list)
    """Whose first token may come out."""
    plan: Plan | None = None

    def emits(self) -> set[int]:
        """Say whose token the batcher expects, by handle."""
        if self.plan is None:
            return set()
        return {*compress(self.plan.request, self.plan.emits)}


class Advisor:
    """Whose turn it is on one engine, by a policy.

    >>> from rampmeter import Policy
    >>> from rampmeter.integrations.vllm.settings import EngineShape
    >>> shape = EngineShape(
    ...     kv_blocks=100,
    ...     kv_block_tokens=16,
    ...     running_max=4,
    ...     step_tokens_max=64,
    ...     sequence_tokens_max=512,
    ...     steps_in_flight_max=1,
    ... )
    >>> advisor = Advisor(Policy(), shape)
    >>> advisor.enter("a", 0, prompt_tokens=100, output_tokens_max=5, tenant="search")
    >>> advice = advisor.advise(0, kv_blocks_free=100)
    >>> [ticket.name for ticket in advice.turn], advice.chunks
    (['a'], {'a': 64})
    """

    def __init__(
        self, policy: Policy, shape: EngineShape, settings: Settings | None = None
    ) -> None:
        """Build the batcher for an engine of this shape. Raises `DocumentError`, `RangeError`."""
        settings = settings or Settings()
        self.policy = policy_for(policy, shape)
        self.shape = shape
        self.batcher = Batcher(self.policy, shape.engine(settings.engine))
        self.class_names = self.policy.class_names
        self._class_of = {name: index for index, name in enumerate(self.class_names)}
        names = enumerate(self.policy.account_names)
        self._named = {name: self.batcher.policy_account(index) for index, name in names}
        self._opened: OrderedDict[str, int] = OrderedDict()
        self._requests_of: dict[int, int] = {}
        self._tickets: dict[str, Ticket] = {}
        self._by_tag: dict[int, Ticket] = {}
        self._handles: dict[str, int] = {}
        self._adapters: dict[object, int] = {}
        self._tag = 0
        self._owing = 0
        self._now_ns = 0
        self._steps: deque[Advice] = deque()
        self.contradictions = 0
        """Steps whose results the batcher refused to believe."""

    def __contains__(self, name: str) -> bool:
        """Whether this request is the advisor's."""
        return name in self._tickets

    def __len__(self) -> int:
        """How many requests are."""
        return len(self._tickets)

    def ticket(self, name: str) -> Ticket | None:
        """Look up what is known of a request."""
        return self._tickets.get(name)

    def now(self, now_ns: int) -> int:
        """Not before the last call: the clocks of two threads may differ by a little."""
        self._now_ns = max(now_ns, self._now_ns)
        return self._now_ns

    def class_index(self, name: object, priority: int) -> int:
        """Find the class of this name; else by priority, 0 and below for the first."""
        known = self._class_of.get(name) if isinstance(name, str) else None
        if known is None:
            return max(0, min(priority, len(self.class_names) - 1))
        return known

    def account_name(self, ticket: Ticket) -> str:
        """Name the account for a label: those of the policy, or "other", so that there are few."""
        return ticket.tenant if ticket.tenant in self._named else "other"

    def enter(
        self,
        name: str,
        now_ns: int,
        *,
        prompt_tokens: int,
        output_tokens_max: int,
        tenant: str = "",
        class_index: int = 0,
        arrival_ns: int | None = None,
        deadline_ns: int | None = None,
        expires_at_ns: int | None = None,
        adapter: object = None,
    ) -> Refusal | None:
        """Take in a request that waits, or say why it is turned away.

        Raises `RangeError` for one that cannot be steered: it is too long for the limits.
        """
        now_ns = self.now(now_ns)
        self._tag += 1
        ticket = Ticket(
            name=name,
            tag=self._tag,
            handle=0,
            tenant=tenant,
            account=self._account(tenant),
            class_index=class_index,
            adapter=self._adapter(adapter),
            arrival_ns=min(now_ns if arrival_ns is None else arrival_ns, now_ns),
            deadline_ns=deadline_ns,
            expires_at_ns=expires_at_ns,
        )
        return self._submit(ticket, now_ns, prompt_tokens, output_tokens_max)

    def leave(self, name: str, now_ns: int) -> Ticket | None:
        """Forget a request that has ended, or that nobody waits for any more."""
        ticket = self._tickets.get(name)
        if ticket is not None:
            # It may have ended there: it has had as many tokens as were expected at most.
            with contextlib.suppress(StaleError):
                self.batcher.cancel(self.now(now_ns), ticket.handle)
            self._forget(ticket)
        return ticket

    def lost_kv(
        self, name: str, now_ns: int, *, tokens: int, output_tokens_left: int
    ) -> Refusal | None:
        """Hear that vLLM took the KV of a request by itself: it waits again, as what it is now."""
        ticket = self.leave(name, now_ns)
        if ticket is None:
            return None
        self._tag += 1
        ticket.tag, ticket.owed = self._tag, 0
        try:
            return self._submit(ticket, self._now_ns, tokens, max(output_tokens_left, 1))
        except RangeError:
            # It has grown beyond what may come in.
            return Refusal("unsteered")

    def advise(
        self,
        now_ns: int,
        *,
        kv_blocks_free: int,
        cached_tokens: Callable[[Ticket], int | None] | None = None,
    ) -> Advice | None:
        """Form the next step; `None` while as many are in flight as may be."""
        if len(self._steps) >= self.shape.steps_in_flight_max:
            return None
        now_ns = self.now(now_ns)
        batcher, by_tag = self.batcher, self._by_tag
        batcher.set_kv_blocks_free(now_ns, min(kv_blocks_free, self.shape.kv_blocks))
        if cached_tokens is None:
            plan = batcher.form(now_ns)
        else:
            ask = cached_tokens
            plan = batcher.form(now_ns, cached_tokens=lambda _, tag: ask(by_tag[tag]))
        advice = Advice(plan.step, plan=plan)
        for victim in plan.preempted:
            advice.give_way.append(by_tag[victim.tag])
        for expired in plan.expired:
            ticket = by_tag[expired.tag]
            self._forget(ticket)
            advice.expired.append(ticket)
        if plan.step is None:
            return advice
        decodes = plan.decode_requests
        if len(plan) > decodes:
            tags, tokens, emits = plan.tag[decodes:], plan.tokens[decodes:], plan.emits[decodes:]
            for tag, chunk, emit in zip(tags, tokens, emits, strict=True):
                ticket = by_tag[tag]
                advice.turn.append(ticket)
                advice.chunks[ticket.name] = chunk
                if emit and not ticket.answering:
                    advice.firsts.append(ticket)
        self._steps.append(advice)
        return advice

    def observe(
        self,
        advice: Advice,
        now_ns: int,
        names: Sequence[str],
        output_tokens: Iterable[int],
        finished: set[str],
    ) -> list[Ticket]:
        """Hear what a step did: output tokens of each name, and who has ended.

        Steps that were advised before this one and never ran did nothing. Returns whose first
        token came out.
        """
        now_ns = self.now(now_ns)
        if not any(step is advice for step in self._steps):
            for name in finished:
                self.leave(name, now_ns)
            return []
        while (step := self._steps.popleft()) is not advice:
            self._tell(step, now_ns, [], None, set())
        produced = [*output_tokens]
        handles = [*map(self._handles.get, names)]
        done = {self._handles.get(name) for name in finished}
        requests, tokens = _with_output(handles, produced)
        believed = False
        if not self._owing:
            # The usual case first: the batcher itself looks whether all of them were planned.
            with contextlib.suppress(RangeError, StaleError):
                self._tell(advice, now_ns, requests, tokens, done)
                believed = True
        if not believed:
            requests, tokens = self._settle(names, produced, advice.emits())
            try:
                self._tell(advice, now_ns, requests, tokens, done)
                believed = True
            except (RangeError, StaleError):
                # The engine did what the batcher holds impossible. It must not stop for that.
                self.contradictions += 1
                self._tell(advice, now_ns, [], None, set())
        told = set(requests) if finished or advice.firsts else set()
        firsts = [one for one in advice.firsts if not one.answering and one.handle in told]
        for ticket in firsts:
            ticket.answering = True
        for name in finished:
            known = self._tickets.get(name)
            if believed and known is not None and known.handle in told:
                self._forget(known)
            else:
                self.leave(name, now_ns)
        return firsts

    def never_ran(self, advice: Advice, now_ns: int) -> None:
        """Say that nothing of a step was run. Those before it are observed first."""
        self.observe(advice, now_ns, (), (), set())

    def _submit(
        self, ticket: Ticket, now_ns: int, prompt_tokens: int, output_tokens_max: int
    ) -> Refusal | None:
        room = self.shape.kv_blocks * self.shape.kv_block_tokens - prompt_tokens
        most = min(output_tokens_max, room, self.shape.sequence_tokens_max)
        try:
            answer = self.batcher.submit(
                now_ns,
                account=ticket.account,
                prompt_tokens=prompt_tokens,
                output_tokens_max=max(most, 1),
                class_index=ticket.class_index,
                tag=ticket.tag,
                arrival_ns=ticket.arrival_ns,
                deadline_ns=ticket.deadline_ns,
                expires_at_ns=ticket.expires_at_ns,
                adapter=ticket.adapter,
            )
        except FullError:
            return Refusal("requests_max")
        if not isinstance(answer, Queued):
            return Refusal(answer.reason, answer.retry_after_ns)
        ticket.handle = answer.request
        self._tickets[ticket.name] = ticket
        self._by_tag[ticket.tag] = ticket
        self._handles[ticket.name] = ticket.handle
        self._requests_of[ticket.account] = self._requests_of.get(ticket.account, 0) + 1
        return None

    def _forget(self, ticket: Ticket) -> None:
        del self._tickets[ticket.name], self._by_tag[ticket.tag], self._handles[ticket.name]
        self._owing -= ticket.owed > 0
        self._requests_of[ticket.account] -= 1
        if not self._requests_of[ticket.account]:
            del self._requests_of[ticket.account]

    def _tell(
        self,
        advice: Advice,
        now_ns: int,
        requests: list[int],
        tokens: list[int] | None,
        done: set[int | None],
    ) -> None:
        step = advice.step
        assert step is not None, "only steps that run are kept"
        ended = [handle in done for handle in requests] if done else None
        self.batcher.observe(now_ns, step, request=requests, output_tokens=tokens, finished=ended)

    def _settle(
        self, names: Sequence[str], produced: list[int], emits: set[int]
    ) -> tuple[list[int], list[int]]:
        """Find what may be told: tokens that were not planned go with the next one that was."""
        requests: list[int] = []
        tokens: list[int] = []
        for name, count in zip(names, produced, strict=True):
            ticket = self._tickets.get(name)
            if ticket is None or not count:
                continue
            self._owing -= ticket.owed > 0
            if ticket.handle in emits:
                requests.append(ticket.handle)
                tokens.append(count + ticket.owed)
                ticket.owed = 0
            else:
                ticket.owed += count
            self._owing += ticket.owed > 0
        return requests, tokens

    def _account(self, tenant: str) -> int:
        named = self._named.get(tenant)
        if named is not None:
            return named
        if tenant not in self._opened:
            try:
                self._opened[tenant] = self.batcher.open_account()
            except FullError:
                # Whoever is idle for longest gives way: one that returns is lifted to the others.
                idle = (one for one in self._opened if self._opened[one] not in self._requests_of)
                gone = next(idle, None)
                if gone is None:
                    # All are busy: it shares an account meanwhile.
                    return next(iter((*self._opened.values(), *self._named.values())))
                self.batcher.close_account(self._opened.pop(gone))
                self._opened[tenant] = self.batcher.open_account()
        self._opened.move_to_end(tenant)
        return self._opened[tenant]

    def _adapter(self, adapter: object) -> int:
        if adapter is None or not self.shape.adapter_slots_max:
            return 0
        if (
            adapter not in self._adapters
            and len(self._adapters) < 64 * self.shape.adapter_slots_max
        ):
            self._adapters[adapter] = len(self._adapters) + 1
        return self._adapters.get(adapter, 0)


def _with_output(
    handles: list[int | None], produced: list[int]
) -> tuple[list[int], list[int] | None]:
    """Whose tokens came out, of those that are known, and how many unless it is one each."""
    known: list[int] = handles  # type: ignore[assignment] # `None` is looked for
    if produced.count(1) == len(handles) and None not in handles:
        return known, None
    pairs = [(h, n) for h, n in zip(handles, produced, strict=True) if n and h is not None]
    return [h for h, _ in pairs], [n for _, n in pairs]
