"""A function of many items, called with one at a time."""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from ...dynamic import (
    Curve,
    DynamicBatcher,
    DynamicClass,
    DynamicOptions,
    DynamicStats,
    Launch,
    Shed,
    Wait,
)
from ._loop import Alarm, Refused

Item = TypeVar("Item")
Result = TypeVar("Result")

# How long batches take until some have been seen: as in the measurements of
# `docs/policies/dynamic.md`, where the guess is wrong on purpose and costs next to nothing.
_GUESS = Curve(fixed_s=0.010, each_s=0.001)

# A batch that took longer than an hour means nothing: the core refuses to learn from it.
_LONGEST_NS = 3_600 * 10**9


class _Request(Generic[Item, Result]):
    """One call that waits for its result, or is in a batch."""

    __slots__ = ("future", "handle", "is_over", "item", "tag")

    def __init__(self, item: Item, tag: int, handle: int, future: asyncio.Future[Result]) -> None:
        self.item = item
        self.tag = tag
        self.handle = handle
        self.future = future
        # The core has forgotten it.
        self.is_over = False

    def fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Batched(Generic[Item, Result]):
    """A function of many items that is called with one, made by `batched`.

    It belongs to the event loop on which it is first called; on another one it raises
    `RuntimeError`, unless the first is closed.
    """

    batcher: DynamicBatcher
    """The desk that decides, for `stats`, `curve`, `explain` and `save`."""

    def __init__(
        self,
        function: Callable[[list[Item]], Awaitable[Sequence[Result]]],
        options: DynamicOptions,
        accounts: Mapping[str, float] | None = None,
    ) -> None:
        """Wrap a function; `batched` does it as a decorator."""
        self.batcher = DynamicBatcher(options)
        self._function = function
        self._everybody = self.batcher.open_account()
        self._accounts = {
            name: self.batcher.open_account(weight=weight)
            for name, weight in (accounts or {}).items()
        }
        self._alarm = Alarm(self._form, self._forget)
        self._waiting: dict[int, _Request[Item, Result]] = {}
        self._batches: dict[int, asyncio.Task[None]] = {}
        self._members: dict[int, list[_Request[Item, Result]]] = {}
        self._tag = 0
        self._is_closed = False
        self._can_expire = any(kind.timeout_ns is not None for kind in options.classes)
        functools.update_wrapper(self, function)

    async def __call__(
        self,
        item: Item,
        *,
        account: str | None = None,
        class_index: int = 0,
        bucket: int = 0,
        deadline_s: float | None = None,
    ) -> Result:
        """Have the item in one of the next batches, and return its result.

        `deadline_s` from now it is late; without one the class says. An account that was not named
        shares with all others that were not. Raises `Refused`, and what the function raised.
        """
        loop = self._alarm.bind()
        if self._is_closed:
            raise Refused("closed", 0.0)
        now_ns = time.monotonic_ns()
        self._tag += 1
        answer = self.batcher.submit(
            now_ns,
            account=self._accounts.get(account, self._everybody) if account else self._everybody,
            tag=self._tag,
            class_index=class_index,
            bucket=bucket,
            deadline_ns=None if deadline_s is None else now_ns + max(0, int(deadline_s * 1e9)),
        )
        if isinstance(answer, Shed):
            raise Refused(answer.reason, answer.retry_after_ns / 1e9)
        request = _Request[Item, Result](item, self._tag, answer.request, loop.create_future())
        self._waiting[request.tag] = request
        self._alarm.soon()
        try:
            return await request.future
        finally:
            self._leave(request)

    def stats(self) -> DynamicStats:
        """Return what the batcher holds, how full it is, and what it did."""
        return self.batcher.stats()

    async def close(self, *, drain_s: float | None = None) -> None:
        """Take nothing more, and wait for what was taken, for so long at most.

        What is not done by then is refused with the reason "closed", and its batches are cancelled.
        """
        self._alarm.bind()
        self._is_closed = True
        try:
            async with asyncio.timeout(drain_s):
                while self._waiting or self._batches:
                    waiting = [request.future for request in self._waiting.values()]
                    unfinished: list[asyncio.Future[Any]] = [*waiting, *self._batches.values()]
                    await asyncio.wait(unfinished)
        except TimeoutError:
            self._fail_all(Refused("closed", 0.0))
            batches = list(self._batches.values())
            for batch in batches:
                batch.cancel()
            await asyncio.gather(*batches, return_exceptions=True)

    async def __aenter__(self) -> Self:
        """Begin; the end of the block closes it."""
        self._alarm.bind()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for what was taken; after an error, refuse it."""
        await self.close(drain_s=None if kind is None else 0)

    def _form(self) -> None:
        try:
            self._launch_all()
        except Exception as error:  # Whatever it is: nobody may wait for ever.
            self._fail_all(error)

    def _launch_all(self) -> None:
        """Launch what is to be launched now, and sleep until the next event."""
        asks_again = True
        while asks_again:
            asks_again = False
            now_ns = time.monotonic_ns()
            formed = self.batcher.form(now_ns)
            for gone in formed.expired:
                request = self._waiting.pop(gone.tag)
                request.is_over = True
                request.fail(Refused("expired", 0.0))
            match formed.decision:
                case Launch() as launch:
                    self._launch(launch, now_ns)
                    asks_again = True
                case Wait(_, "busy") if not self._can_expire:
                    # The batch that ends rings; when it should have ended changes nothing.
                    self._alarm.at(None)
                case Wait(_, why):
                    asks_again = why == "more_expired"
                    self._alarm.at(self.batcher.next_event(now_ns))
                case None:
                    self._alarm.at(None)

    def _launch(self, launch: Launch, now_ns: int) -> None:
        batch = launch.batch
        self._members[batch] = [self._waiting.pop(tag) for tag in launch.tags]
        task = asyncio.create_task(self._run(batch, now_ns))
        self._batches[batch] = task
        # Also for one that is cancelled before it begins.
        task.add_done_callback(lambda task: self._ended(batch, now_ns, task))

    async def _run(self, batch: int, launched_ns: int) -> None:
        members = self._members[batch]
        results = await self._function([request.item for request in members])
        if len(results) != len(members):
            message = f"{len(members)} items went in, {len(results)} results came out"
            raise ValueError(message)
        self._observe(batch, launched_ns, failed=False)
        for request, result in zip(members, results, strict=True):
            if isinstance(result, BaseException):
                request.fail(result)
            elif not request.future.done():
                request.future.set_result(result)

    def _ended(self, batch: int, launched_ns: int, task: asyncio.Task[None]) -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        members = self._members[batch]
        self._observe(batch, launched_ns, failed=True)
        del self._batches[batch], self._members[batch]
        for request in members:
            if isinstance(error, asyncio.CancelledError):
                request.future.cancel()
            elif error is not None:
                request.fail(error)

    def _observe(self, batch: int, launched_ns: int, *, failed: bool) -> None:
        """Tell the desk that a batch ended, once."""
        members = self._members[batch]
        if all(request.is_over for request in members):
            return
        now_ns = time.monotonic_ns()
        took_ns = max(1, now_ns - launched_ns)
        failed = failed or took_ns > _LONGEST_NS
        self.batcher.observe(now_ns, batch, duration_ns=took_ns, failed=failed)
        for request in members:
            request.is_over = True
        self._alarm.soon()

    def _leave(self, request: _Request[Item, Result]) -> None:
        """Note that the caller has its answer, or does not wait for it any more."""
        if not request.is_over:
            self.batcher.cancel(time.monotonic_ns(), request.handle)
            if self._waiting.pop(request.tag, None) is not None:
                request.is_over = True
            self._alarm.soon()

    def _fail_all(self, error: BaseException) -> None:
        running = [request for members in self._members.values() for request in members]
        for request in (*self._waiting.values(), *running):
            request.fail(error)

    def _forget(self) -> None:
        """Forget what a loop held that has died: nobody waits for it."""
        now_ns = time.monotonic_ns()
        for request in self._waiting.values():
            self.batcher.cancel(now_ns, request.handle)
            request.is_over = True
        for batch in self._members:
            self._observe(batch, now_ns, failed=True)
        self._waiting.clear()
        self._batches.clear()
        self._members.clear()


def batched(
    options: DynamicOptions | None = None,
    *,
    batch_size_max: int = 32,
    latency_target_s: float | None = None,
    wait_max_s: float | None = None,
    instances: int = 1,
    curve: Curve | None = None,
    accounts: Mapping[str, float] | None = None,
) -> Callable[
    [Callable[[list[Item]], Awaitable[Sequence[Result]]]],
    Batched[Item, Result],
]:
    """Make of a function of many items one that is called with one at a time.

    The function takes a list of at most `batch_size_max` items and returns as many results in the
    same order; an exception in the place of a result is raised for that item alone. At most
    `instances` batches run at the same time. Calls without a deadline are due after
    `latency_target_s`; those that would probably wait longer than `wait_max_s` are refused. How
    long batches take is learned, from `curve` or a guess. `accounts` are names with weights.
    Anything else is for `options`, which then say it all but the accounts.

    >>> import asyncio
    >>> from rampmeter.integrations.asyncio import batched
    >>> @batched(batch_size_max=8, latency_target_s=0.1)
    ... async def double(numbers: list[int]) -> list[int]:
    ...     return [2 * number for number in numbers]
    >>> async def main():
    ...     async with double:
    ...         return await asyncio.gather(*(double(number) for number in range(3)))
    >>> asyncio.run(main())
    [0, 2, 4]
    """
    if options is None:
        target = None if latency_target_s is None else round(latency_target_s * 1e9)
        options = DynamicOptions(
            [curve or _GUESS],
            batch_size_max=batch_size_max,
            classes=[DynamicClass(latency_target_ns=target)],
            wait_max_ns=None if wait_max_s is None else round(wait_max_s * 1e9),
            instances=instances,
            accounts_max=1 + len(accounts or {}),
        )

    def wrap(
        function: Callable[[list[Item]], Awaitable[Sequence[Result]]],
    ) -> Batched[Item, Result]:
        return Batched(function, options, accounts)

    return wrap
