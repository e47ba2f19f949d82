from . import dynamic as dynamic
from . import gate as gate
from . import headroom as headroom
from . import outcome as outcome
from . import place as place
from . import policy as policy
from . import route as route
from . import share as share

__all__ = [
    "ERROR_CODES",
    "__version__",
    "captured",
    "command",
    "dynamic",
    "gate",
    "headroom",
    "outcome",
    "place",
    "policy",
    "route",
    "share",
]

__version__: str
ERROR_CODES: dict[int, tuple[str, str]]

def command(args: list[str]) -> int: ...
def captured(args: list[str]) -> tuple[int, bytes, bytes]: ...
