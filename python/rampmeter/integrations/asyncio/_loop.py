"""What both have in common: a refusal, and an alarm on one event loop."""

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable


class Refused(Exception):  # noqa: N818 - a decision, not an error
    """The request is turned away. `retry_after_s` says when to come again, as far as is known."""

    reason: str
    """What the desk said, or "expired" while it waited, or "closed"."""
    retry_after_s: float

    def __init__(self, reason: str, retry_after_s: float) -> None:
        """Keep what the desk said."""
        super().__init__(reason, retry_after_s)
        self.reason = reason
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        """Say it to people."""
        return f"refused ({self.reason}): try again in {self.retry_after_s:.3f} s"


class Alarm:
    """Rings on one event loop, once for each time that it was set: soon, or at a time."""

    def __init__(self, ring: Callable[[], None], forget: Callable[[], None]) -> None:
        """Call `ring` when it is time, and `forget` when the loop has died with all its tasks."""
        self._ring = ring
        self._forget = forget
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.Handle | None = None
        self._is_soon = False
        self._lock = threading.Lock()
        # Not that of the request that happened to set it.
        self._context = contextvars.Context()

    def bind(self) -> asyncio.AbstractEventLoop:
        """Return the running loop, which must be the same one as long as that lives."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            with self._lock:
                if self._loop is not None and not self.is_dead:
                    message = "it is in use on another event loop: make one for each loop"
                    raise RuntimeError(message)
                leftover, self._loop = self._loop, loop
                self._handle, self._is_soon = None, False
            if leftover is not None:
                self._forget()
        return loop

    @property
    def is_dead(self) -> bool:
        """Whether its loop is closed, so that it will not ring before it is bound to another."""
        return self._loop is not None and self._loop.is_closed()

    def soon(self) -> None:
        """Ring after what runs now, together with all that comes until then."""
        if not self._is_soon and self._loop is not None and not self.is_dead:
            self._drop()
            self._is_soon = True
            self._handle = self._loop.call_soon(self._rings, context=self._context)

    def at(self, at_ns: int | None) -> None:
        """Ring at a time of the monotonic clock instead, or not at all."""
        if self._is_soon or self._loop is None or self.is_dead:
            return
        self._drop()
        if at_ns is not None:
            delay_s = max(0, at_ns - time.monotonic_ns()) / 1e9
            self._handle = self._loop.call_later(delay_s, self._rings, context=self._context)

    def _drop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _rings(self) -> None:
        self._handle, self._is_soon = None, False
        self._ring()
