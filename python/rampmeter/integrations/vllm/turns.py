"""The queue that vLLM takes its next request from: whoever has the turn, and nobody else."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

__all__ = ["TurnQueue"]


class TurnQueue:
    """Stands in for vLLM's `RequestQueue` of waiting requests.

    Requests that are not steered (`hold` says which are) go first, in the order in which they came,
    as vLLM would have them. Of the others, those go that `begin` named, in that order; while a step
    is filled, the queue is empty once they are gone, so that vLLM lets in nobody else. Between
    steps it is what waits.

    >>> queue = TurnQueue(lambda request: request.isupper())
    >>> for request in "ABc":
    ...     queue.add_request(request)
    >>> queue.begin(["B"])
    >>> [queue.pop_request() for _ in range(2)], bool(queue), len(queue)
    (['c', 'B'], False, 1)
    >>> queue.end()
    >>> list(queue)
    ['A']
    """

    def __init__(self, hold: Callable[[Any], bool]) -> None:
        """Make an empty queue; `hold(request)` says whether a request waits for its turn."""
        self._hold = hold
        self._free: deque[Any] = deque()
        self._held: dict[Any, None] = {}
        self._turn: deque[Any] = deque()
        self._filling = False

    def begin(self, turn: Iterable[Any]) -> None:
        """Begin to fill a step: these have their turn, in this order."""
        self._turn = deque(request for request in turn if request in self._held)
        self._filling = True

    def end(self) -> None:
        """Say that the step is full."""
        self._turn.clear()
        self._filling = False

    def release(self) -> None:
        """Hold nobody any more: all go as they came."""
        self._hold = lambda _: False
        self._free.extend(self._held)
        self._held.clear()
        self.end()

    def add_request(self, request: Any) -> None:
        """Add a request that waits."""
        if self._hold(request):
            self._held[request] = None
        else:
            self._free.append(request)

    def pop_request(self) -> Any:
        """Take the request whose turn it is."""
        request = self.peek_request()
        self.remove_request(request)
        return request

    def peek_request(self) -> Any:
        """Look at the request whose turn it is."""
        if self._free:
            return self._free[0]
        if self._turn:
            return self._turn[0]
        if self._held and not self._filling:
            return next(iter(self._held))
        raise IndexError("it is nobody's turn")

    def prepend_request(self, request: Any) -> None:
        """Put a request back that was taken, or that lost its KV."""
        if self._hold(request):
            self._held[request] = None
        else:
            self._free.appendleft(request)

    def prepend_requests(self, requests: Iterable[Any]) -> None:
        """Put requests back."""
        for request in requests:
            self.prepend_request(request)

    def remove_request(self, request: Any) -> None:
        """Take out a request."""
        self.remove_requests((request,))

    def remove_requests(self, requests: Iterable[Any]) -> None:
        """Take out requests; those that are not here are passed over."""
        for request in requests:
            if request in self._held:
                del self._held[request]
                if self._turn and self._turn[0] is request:
                    self._turn.popleft()
                elif self._turn and request in self._turn:
                    self._turn.remove(request)
            elif self._free and self._free[0] is request:
                self._free.popleft()
            elif request in self._free:
                self._free.remove(request)

    def __bool__(self) -> bool:
        """Whether it is anybody's turn."""
        return bool(self._free or (self._turn if self._filling else self._held))

    def __len__(self) -> int:
        """How many wait."""
        return len(self._free) + len(self._held)

    def __iter__(self) -> Iterator[Any]:
        """All that wait: those who go first, then the others as they came."""
        yield from self._free
        yield from self._held
