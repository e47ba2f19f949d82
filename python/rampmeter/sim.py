"""The simulators, by the same words as the `rampmeter` command."""

import json
from typing import Any

from ._native import captured

__all__ = ["SimulationError", "run"]


class SimulationError(ValueError):
    """The arguments were refused; the message is the command's."""


def run(*command: str, **options: object) -> list[dict[str, Any]]:
    """Run a subcommand of `rampmeter` that reports `runs`, and return them.

    An option is named as on the command line, with `_` for `-`; a list is joined by commas, `True`
    stands for a flag alone, and `None` leaves the option out. Blocks until the simulation ends;
    other Python threads go on meanwhile. `rampmeter SUBCOMMAND --help` lists the options, and the
    documentation of the command what stands in each run.

    >>> from rampmeter import sim
    >>> runs = sim.run("highway", load=0.5, policy=["fcfs", "rampmeter"], minutes=1)
    >>> [run["policy"] for run in runs]
    ['fcfs', 'rampmeter']
    """
    arguments = [*command]
    for name, value in options.items():
        arguments += _flag(name, value)
    code, out, err = captured([*arguments, "--json", "-"])
    if code == 2:
        raise SimulationError(err.decode().strip())
    runs: list[dict[str, Any]] = json.loads(out)["runs"]
    return runs


def _flag(name: str, value: object) -> list[str]:
    flag = "--" + name.replace("_", "-")
    if value is None or value is False:
        return []
    if value is True:
        return [flag]
    if isinstance(value, list | tuple):
        value = ",".join(str(part) for part in value)
    return [flag, str(value)]
