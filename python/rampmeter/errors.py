"""Exceptions: one class for each thing that a caller can do about a refused call.

A refused call has changed nothing. `code` is the number that the same error has in Rust and in C;
it never changes its meaning. What a desk decides (to hold a request, or to turn it away) is never
an exception.

>>> import rampmeter
>>> try:
...     rampmeter.Policy("fastest")
... except rampmeter.NameUnknownError as error:
...     print(error, error.code)
`preset` = "fastest" is the name of nothing -67
"""

__all__ = [
    "ContradictionError",
    "DocumentError",
    "FullError",
    "InternalError",
    "NameUnknownError",
    "OutOfMemoryError",
    "RampmeterError",
    "RangeError",
    "ReentrantError",
    "SnapshotError",
    "StaleError",
    "TimeReversedError",
]


class RampmeterError(Exception):
    """A call was refused; nothing was changed."""

    code: int
    """The number of the error, the same in Rust and in C."""

    def __init__(self, message: str, code: int = 0) -> None:
        """Keep the message and its number."""
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type["RampmeterError"], tuple[str, int]]:
        """Pickle it with its number."""
        return type(self), (str(self), self.code)


class RangeError(RampmeterError, ValueError):
    """A number is outside its range, or an array of the caller is too short."""


class StaleError(RampmeterError, LookupError):
    """A handle was never issued, or what it named has ended."""


class TimeReversedError(RampmeterError, ValueError):
    """Time went backwards: use one monotonic clock for each object."""


class FullError(RampmeterError, RuntimeError):
    """A fixed capacity is used up; capacities are keys of the policy or options."""


class ContradictionError(RampmeterError, ValueError):
    """Two values contradict each other, or entries of a list do."""


class SnapshotError(RampmeterError, ValueError):
    """The bytes are no snapshot that can be believed here."""


class DocumentError(RampmeterError, ValueError):
    """A policy document is wrong; the message names the line, the key and its range."""


class NameUnknownError(RampmeterError, LookupError):
    """Nothing has this name."""


class OutOfMemoryError(RampmeterError, MemoryError):
    """There is not as much memory as the object needs."""


class ReentrantError(RampmeterError, RuntimeError):
    """A function of the host, asked in the middle of a call, called the same object."""


class InternalError(RampmeterError, RuntimeError):
    """A bug of the library: the object is not to be used any more. Please report it."""


BY_CODE: dict[int, type[RampmeterError]] = {
    -1: RangeError,
    -2: RangeError,
    -3: StaleError,
    -4: TimeReversedError,
    -5: FullError,
    -6: RangeError,
    -7: ContradictionError,
    -8: ContradictionError,
    -9: ContradictionError,
    -10: SnapshotError,
    -11: DocumentError,
    -67: NameUnknownError,
    -69: OutOfMemoryError,
    -70: ReentrantError,
    -100: InternalError,
}
"""The class of each code that Python can meet; those of pointers and structures are C's alone."""
