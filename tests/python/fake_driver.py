"""A driver that is not one: `crates/probe/tests/fake` compiled, in a folder with its scenario.

`crates/probe/tests/fake/spec.h` says what a scenario can say.
"""

import shutil
import subprocess
from pathlib import Path

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
