from typing import Any

from . import batch as batch
from . import dynamic as dynamic
from . import gate as gate
from . import headroom as headroom
from . import outcome as outcome
from . import place as place
from . import policy as policy
from . import probe as probe
from . import route as route
from . import share as share

__all__ = [
    "ERROR_CODES",
    "ERROR_NAMES",
    "__version__",
    "batch",
    "captured",
    "command",
    "dynamic",
    "gate",
    "headroom",
    "outcome",
    "place",
    "policy",
    "probe",
    "route",
    "share",
]

__version__: str
ERROR_CODES: dict[int, tuple[str, str]]
ERROR_NAMES: dict[str, str]

# Only here: what every answer with named fields can do.
class _Record:
    def as_dict(self) -> dict[str, Any]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

def command(args: list[str]) -> int: ...
def captured(args: list[str]) -> tuple[int, bytes, bytes]: ...
