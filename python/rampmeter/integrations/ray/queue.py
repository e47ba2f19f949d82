"""Requests that wait for a replica, and whose turn it is among their accounts."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from rampmeter.share import Ledger

__all__ = ["FairQueue"]

T = TypeVar("T")


class FairQueue(Generic[T]):
    """A queue whose next request is the oldest one of the account that was served least.

    It stands where Ray has a deque of pending requests, and has of that what Ray uses. `account_of`
    gives the ledger's handle for a request. Where one account waits it is a deque.
    """

    def __init__(self, ledger: Ledger, account_of: Callable[[T], int]) -> None:
        """Make an empty one."""
        self._ledger = ledger
        self._account_of = account_of
        self._lines: dict[int, deque[T]] = {}
        self._len = 0

    def __len__(self) -> int:
        """Count the requests that wait."""
        return self._len

    def __iter__(self) -> Iterator[T]:
        """Give all requests, by account."""
        for line in self._lines.values():
            yield from line

    def append(self, request: T) -> None:
        """Take a request that has come."""
        self._join(request).append(request)

    def appendleft(self, request: T) -> None:
        """Take a request back: it is the first of its account again."""
        self._join(request).appendleft(request)

    def popleft(self) -> T:
        """Give the request whose turn it is. Raises `IndexError` if there is none."""
        if not self._lines:
            raise IndexError("pop from an empty queue")
        account = next(iter(self._lines))
        if len(self._lines) > 1:
            turns = self._ledger.eligible()
            account = min(turns, key=lambda turn: (turn.counter, turn.account)).account
        line = self._lines[account]
        request = line.popleft()
        self._ledger.depart(account)
        self._len -= 1
        if not line:
            del self._lines[account]
        return request

    def _join(self, request: T) -> deque[T]:
        account = self._account_of(request)
        self._ledger.arrive(account)
        self._len += 1
        return self._lines.setdefault(account, deque())
