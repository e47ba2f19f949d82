"""The README's program, as it is printed there."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


def run(program):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_program_of_the_readme():
    (program,) = blocks("README.md")
    done = run(program)
    assert done.returncode == 0, done.stderr
    assert "420 requests in" in done.stdout


def test_programs_of_the_guides():
    pages = ("python", "asyncio", "probe")
    programs = [program for page in pages for program in blocks(f"docs/guides/{page}.md")]
    assert len(programs) >= 6
    for program in programs:
        done = run(program)
        assert done.returncode == 0, program + done.stderr
