"""The `rampmeter` command, the same as the binary."""

import signal
import sys

from ._native import command


def main() -> int:
    """Run the command on the arguments of the process and return its exit code."""
    # Nothing of it runs in Python, so that Ctrl-C would otherwise wait for its end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return command(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
