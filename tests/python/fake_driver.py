"""GPUs that are not there: machines in a few keys, and a driver that is not one.

The driver is `crates/probe/tests/fake` compiled, in a folder with its scenario; `spec.h` there says
what a scenario can say.
"""

import json
import shutil
import subprocess
from pathlib import Path

from rampmeter.probe import Ok, Snapshot

GIB = 1 << 30

SOURCES = Path(__file__).resolve().parents[2] / "crates/probe/tests/fake"


def compiled(folder):
    """Build the library once; each test copies it, since a library is what its file is."""
    library = folder / "libnvidia-ml.so.1"
    command = ["cc", "-std=gnu11", "-O1", "-fPIC", "-fvisibility=hidden", "-shared"]
    command += [str(SOURCES / "nvml.c"), "-pthread", "-ldl", "-o", str(library)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, f"the fake driver needs a C compiler, `cc`: {built.stderr}"
    return library


class FakeDriver:
    """A library of its own, and what its calls answer from the next call on."""

    def __init__(self, library, folder):
        self.folder = folder
        self.library = Path(shutil.copy(library, folder))

    def becomes(self, spec):
        """Answer so from now on."""
        draft = self.folder / "draft"
        draft.write_text(spec)
        draft.rename(self.folder / "spec")

    def calls(self):
        """Names of the calls that were made; with `log` in the scenario."""
        log = self.folder / "log"
        return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []


def machine(*devices, at_ns=0, **more):
    """A snapshot of these devices."""
    return Snapshot.from_json(json.dumps({"devices": devices, **more}), taken_at_ns=at_ns)


def gpu(uuid, free=40 * GIB, **more):
    """A GPU of 80 GiB."""
    memory = {"status": "ok", "total_bytes": 80 * GIB, "free_bytes": free}
    return {"uuid": uuid, "memory": memory, **more}


def value(reading):
    """What was read."""
    assert isinstance(reading, Ok), reading
    return reading.value
