"""Rampmeter inside any asyncio server: batches of requests, and a gate before an application.

`batched` makes of a function that takes many items one that takes one, and forms the batches with
`rampmeter.dynamic`. `GateMiddleware` stands before any ASGI application and lets requests in by
`rampmeter.gate`. Both sleep until something happens, and have no dependencies.
"""

from ._batched import Batched, batched
from ._gate import GateMiddleware
from ._loop import Refused

__all__ = ["Batched", "GateMiddleware", "Refused", "batched"]
