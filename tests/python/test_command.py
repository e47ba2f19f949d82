"""The command in the wheel is the command."""

import subprocess
import sys

import pytest

import rampmeter
from rampmeter import sim


def run(*args):
    return subprocess.run(
        [sys.executable, "-m", "rampmeter", *args], capture_output=True, text=True, check=False
    )


def test_runs_and_says_how_it_went():
    shown = run("policy", "show", "balanced")
    assert shown.returncode == 0
    assert rampmeter.Policy.from_toml(shown.stdout) == rampmeter.Policy()
    assert run("--version").stdout.split()[-1] == rampmeter.__version__
    wrong = run("policy", "show", "fastest")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "fastest" in wrong.stderr


def test_simulations_are_data():
    runs = sim.run("highway", load=0.5, policy=["fcfs", "rampmeter"], minutes=1)
    assert [one["policy"] for one in runs] == ["fcfs", "rampmeter"]
    assert all(one["offered"] == one["completed"] + one["refused"] for one in runs)
    with pytest.raises(sim.SimulationError, match="fastest"):
        sim.run("highway", policy="fastest")
