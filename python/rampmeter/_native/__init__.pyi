from . import batch as batch
from . import gate as gate
from . import policy as policy

__all__ = ["ERROR_CODES", "__version__", "batch", "captured", "command", "gate", "policy"]

__version__: str
ERROR_CODES: dict[int, tuple[str, str]]

def command(args: list[str]) -> int: ...
def captured(args: list[str]) -> tuple[int, bytes, bytes]: ...
