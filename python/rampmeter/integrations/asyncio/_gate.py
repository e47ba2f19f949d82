"""A gate before any ASGI application."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ...gate import Admit, Displaced, Expired, Gate, Hold, Shed, Start
from ...outcome import Outcomes
from ...policy import Policy
from ._loop import Alarm, Refused

if TYPE_CHECKING:
    _Status: TypeAlias = Literal["completed", "refused", "failed", "cancelled"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Named: TypeAlias = str | Callable[[Scope], str | None]

# What is read of a request that is held, to hear that its client is gone: what a connection of
# uvicorn or hypercorn buffers by itself, too.
_READ_AHEAD_BYTES = 65_536

# Each message counts as so many bytes, so that empty ones are no way around the limit.
_MESSAGE_BYTES = 64


class GateMiddleware:
    """Lets HTTP requests into an ASGI application by whether they would still start in time.

    `servers` requests run at the same time, each until the last byte of its answer is out; others
    wait (in the order that the gate says) or are refused with `status` and `Retry-After`. Class and
    account are names of the policy, from a header or by a function of the scope; requests without a
    known one belong to the first class and to an account that they share. Trust a header only if
    something before this server sets it.

    `work_of` is what the gate calls work, for requests that are not alike. Into `outcomes` goes how
    each request ended: its wait, the first and the last byte, each chunk of a body as a token.

    >>> import asyncio
    >>> from rampmeter import Policy
    >>> from rampmeter.integrations.asyncio import GateMiddleware
    >>> async def application(scope, receive, send):
    ...     await send({"type": "http.response.start", "status": 200, "headers": []})
    ...     await send({"type": "http.response.body", "body": b"hello"})
    >>> server = GateMiddleware(application, Policy(), servers=8)
    >>> async def receive():
    ...     return {"type": "http.request", "body": b"", "more_body": False}
    >>> async def send(message):
    ...     print(message["type"])
    >>> asyncio.run(server({"type": "http", "headers": []}, receive, send))
    http.response.start
    http.response.body
    >>> server.gate.stats().ended
    1
    """

    gate: Gate
    """The desk that decides, for `stats`, `outlook` and `save`."""
    outcomes: Outcomes | None
    """The books, if there are any."""

    def __init__(
        self,
        app: Application,
        policy: Policy,
        *,
        servers: int,
        class_of: Named = "x-rampmeter-class",
        account_of: Named = "x-rampmeter-account",
        work_of: Callable[[Scope], int] | None = None,
        outcomes: Outcomes | None = None,
        status: int = 429,
    ) -> None:
        """Stand before `app`. Raises `FullError` if `limits.accounts_max` are named already."""
        self.app = app
        self.gate = Gate(policy, servers=servers)
        self.outcomes = outcomes
        names = policy.account_names
        self._accounts = {
            name: (self.gate.policy_account(index), index) for index, name in enumerate(names)
        }
        self._shared = (self.gate.open_account(), len(names))
        self._classes = {name: index for index, name in enumerate(policy.class_names)}
        self._class_of = _reader(class_of)
        self._account_of = _reader(account_of)
        self._work_of = work_of
        self._status = status
        self._alarm = Alarm(self._wake, self._forget)
        self._held: dict[int, asyncio.Future[Refused | None]] = {}
        self._running: set[int] = set()
        self._is_closed = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection as ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self._alarm.bind()
        class_index = self._classes.get(self._class_of(scope) or "", 0)
        account, account_index = self._accounts.get(self._account_of(scope) or "", self._shared)
        visit = _Visit(self, class_index, account_index, receive, send)
        if self._is_closed:
            await visit.refuse(Refused("closed", 0.0), 503)
            return
        work = 1 if self._work_of is None else self._work_of(scope)
        answer = self.gate.admit(
            visit.arrival_ns, class_index=class_index, account=account, work=work
        )
        refusal = None
        match answer:
            case Shed(reason, retry_after_ns):
                refusal = Refused(reason, retry_after_ns / 1e9)
            case Admit(ticket):
                self._running.add(ticket)
                visit.ticket = ticket
            case Hold(ticket):
                visit.ticket = ticket
                refusal = await self._wait(visit)
        if visit.is_gone:
            visit.record("cancelled")
        elif refusal is not None:
            await visit.refuse(refusal, 503 if refusal.reason == "closed" else self._status)
        else:
            await visit.serve(self.app, scope)

    def set_servers(self, servers: int) -> None:
        """From now on so many requests run at the same time; those that wait take new places."""
        self._alarm.bind()
        self.gate.set_servers(time.monotonic_ns(), servers)
        self._advance()

    def close(self) -> None:
        """Refuse with 503 what waits and what comes; what runs goes on."""
        self._is_closed = True
        now_ns = time.monotonic_ns()
        for ticket, held in list(self._held.items()):
            self.gate.left(now_ns, ticket)
            self._answer(ticket, held, Refused("closed", 0.0))

    async def _wait(self, visit: "_Visit") -> Refused | None:
        """Wait for a turn: `None` if it came, or if the client did not wait for it."""
        held = asyncio.get_running_loop().create_future()
        self._held[visit.ticket] = held
        self._alarm.at(self.gate.next_event(visit.arrival_ns))
        watch = asyncio.create_task(visit.wait_until_gone())
        try:
            await asyncio.wait({held, watch}, return_when=asyncio.FIRST_COMPLETED)
            if visit.is_gone:
                self.leave(visit)
                return None
            refusal: Refused | None = await held
            return refusal
        except asyncio.CancelledError:
            visit.is_gone = True
            self.leave(visit)
            visit.record("cancelled")
            raise
        finally:
            watch.cancel()

    def leave(self, visit: "_Visit") -> None:
        """Its place is free, or nobody waits for it any more."""
        ticket, now_ns = visit.ticket, time.monotonic_ns()
        if ticket in self._running:
            self._running.remove(ticket)
            (self.gate.left if visit.is_gone else self.gate.ended)(now_ns, ticket)
        elif self._held.pop(ticket, None) is not None:
            self.gate.left(now_ns, ticket)
        self._advance()

    def _wake(self) -> None:
        try:
            self._advance()
        except Exception as error:  # Whatever it is: nobody may wait for ever.
            for held in self._held.values():
                held.set_exception(error)
            self._held.clear()

    def _advance(self) -> None:
        """Start who can start now, answer who will not, and sleep until the next event."""
        if self._alarm.is_dead:
            return
        now_ns = time.monotonic_ns()
        for gone in self.gate.given_up(now_ns):
            held = self._held.get(gone.ticket)
            if held is not None:
                self._answer(gone.ticket, held, Refused(gone.reason, gone.retry_after_ns / 1e9))
        while (stats := self.gate.stats()).running < stats.servers:
            ticket = self.gate.next(now_ns)
            if ticket is None:
                break
            match self.gate.dequeue(now_ns, ticket):
                case Start():
                    self._running.add(ticket)
                    self._answer(ticket, self._held[ticket], None)
                case Expired():
                    self._answer(ticket, self._held[ticket], Refused("expired", 0.0))
                case Displaced(retry_after_ns):
                    refusal = Refused("displaced", retry_after_ns / 1e9)
                    self._answer(ticket, self._held[ticket], refusal)
        self._alarm.at(self.gate.next_event(now_ns))

    def _answer(
        self, ticket: int, held: asyncio.Future[Refused | None], refusal: Refused | None
    ) -> None:
        del self._held[ticket]
        if not held.done():
            held.set_result(refusal)

    def _forget(self) -> None:
        """Forget what a loop held that has died: nobody waits for it."""
        now_ns = time.monotonic_ns()
        for ticket in (*self._held, *self._running):
            self.gate.left(now_ns, ticket)
        self._held.clear()
        self._running.clear()


class _Visit:
    """One request on its way through."""

    def __init__(
        self,
        middleware: GateMiddleware,
        class_index: int,
        account_index: int,
        receive: Receive,
        send: Send,
    ) -> None:
        self.arrival_ns = time.monotonic_ns()
        self.ticket = 0
        self.is_gone = False
        self._middleware = middleware
        self._class_index = class_index
        self._account_index = account_index
        self._receive = receive
        self._send = send
        self._read: deque[Message] = deque()
        self._reading: asyncio.Task[Message] | None = None
        self._scheduled_ns: int | None = None
        self._first_ns: int | None = None
        self._chunks = 0
        self._status = 0
        self._is_over = False

    async def serve(self, app: Application, scope: Scope) -> None:
        """Have the application answer, and give the place back with the last byte."""
        self._scheduled_ns = time.monotonic_ns()
        try:
            await app(scope, self.receive, self.send)
        except asyncio.CancelledError:
            self.is_gone = True
            raise
        finally:
            # Nothing to the one whose last byte is out; any other was cut off.
            self._end("failed")
            if self._reading is not None:
                self._reading.cancel()

    async def receive(self) -> Message:
        """Hand the application what was read ahead, then what comes."""
        return self._read.popleft() if self._read else await self._next()

    async def read_ahead(self) -> None:
        """Read until the client is gone, or there is as much as may be kept."""
        kept = 0
        while not self.is_gone and kept < _READ_AHEAD_BYTES:
            message = await self._next()
            self._read.append(message)
            kept += _MESSAGE_BYTES + len(message.get("body", b""))

    async def wait_until_gone(self) -> None:
        """Return when the client is gone, as far as that can be known; a failure is one that is."""
        try:
            await self.read_ahead()
        except Exception:  # The application would have met it.
            self.is_gone = True

    async def _next(self) -> Message:
        # Not cancelled with whoever waits for it: what it then had read would be lost.
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._receive_one())
        try:
            message = await asyncio.shield(self._reading)
        finally:
            if self._reading.done():
                self._reading = None
        if message["type"] == "http.disconnect" and not self._is_over:
            self.is_gone = True
        return message

    async def _receive_one(self) -> Message:
        return await self._receive()

    async def send(self, message: Message) -> None:
        """Pass on what the application sends, and note when it was out."""
        try:
            await self._send(message)
        except OSError:
            self.is_gone = True
            raise
        if message["type"] == "http.response.start":
            self._status = message["status"]
        elif message["type"] == "http.response.body":
            if message.get("body"):
                self._chunks += 1
                self._first_ns = self._first_ns or time.monotonic_ns()
            if not message.get("more_body", False):
                self._end("completed" if self._status < 500 else "failed")

    def _end(self, status: "_Status") -> None:
        if not self._is_over:
            self._is_over = True
            self._middleware.leave(self)
            self.record("cancelled" if self.is_gone else status)

    async def refuse(self, refusal: Refused, status: int) -> None:
        """Answer that it may come again later."""
        self.record("refused")
        retry_after = str(max(1, math.ceil(refusal.retry_after_s))).encode()
        text = f"{refusal}\n".encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(text)).encode()),
            (b"retry-after", retry_after),
        ]
        if self._reading is not None:
            self._reading.cancel()
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": text})

    def record(self, status: "_Status") -> None:
        """Enter it in the books, once, at its end."""
        outcomes = self._middleware.outcomes
        if outcomes is None:
            return
        ended_ns = time.monotonic_ns()
        # An answer without a body is out as a whole.
        first_ns = self._first_ns or (ended_ns if status == "completed" else None)
        outcomes.record(
            class_index=self._class_index,
            account_index=self._account_index,
            arrival_ns=self.arrival_ns,
            ended_ns=ended_ns,
            status=status,
            first_scheduled_ns=self._scheduled_ns,
            first_token_ns=first_ns,
            output_tokens=0 if first_ns is None else max(1, self._chunks),
        )


def _reader(named: Named) -> Callable[[Scope], str | None]:
    if not isinstance(named, str):
        return named
    wanted = named.lower().encode("latin-1")

    def read(scope: Scope) -> str | None:
        values = (value for name, value in scope["headers"] if name == wanted)
        value: bytes | None = next(values, None)
        return None if value is None else value.decode("latin-1")

    return read
