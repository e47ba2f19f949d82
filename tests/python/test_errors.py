"""The table of codes is the core's, and every exception is what it says."""

import pickle
import re
from pathlib import Path

import pytest

import rampmeter
from rampmeter import _native, errors
from rampmeter.batch import Batcher, Engine
from rampmeter.place import Task

ROOT = Path(__file__).resolve().parents[2]

# What only C can do wrong.
ONLY_IN_C = {"OK", "POINTER", "SIZE", "TOO_NEW", "TEXT"}


def test_every_code_has_its_class():
    known = {code for code, (name, _) in _native.ERROR_CODES.items() if name not in ONLY_IN_C}
    assert known == set(errors.BY_CODE)


def test_classes_are_exported_and_pickled():
    for code, cls in errors.BY_CODE.items():
        assert cls.__name__ in errors.__all__
        error = pickle.loads(pickle.dumps(cls("text", code)))
        assert (type(error), str(error), error.code) == (cls, "text", code)


def names_of_the_core(folder):
    """Names of fields that the core's sources put into errors.

    But for those of policies, whose keys are names of their own, and of snapshots, whose errors say
    that they are snapshots.
    """
    for path in folder.iterdir():
        if path.is_dir() and path.name not in {"policy", "tests"}:
            yield from names_of_the_core(path)
        elif path.is_file() and path.name not in {"state.rs", "tests.rs"}:
            text = path.read_text().split("#[cfg(test)]")[0]
            for before in ('field: "', 'other: "', 'check_range("', 'check_real("'):
                for rest in text.split(before)[1:]:
                    name, _, behind = rest.partition('"')
                    if not behind.startswith(", words.") and " " not in name:
                        yield name


def test_every_field_is_named_as_in_the_stubs():
    names = set(names_of_the_core(ROOT / "crates/core/src"))
    assert len(names) > 100
    assert "class" in names
    stubs = " ".join(path.read_text() for path in (ROOT / "python/rampmeter").rglob("*.pyi"))
    known = set(re.findall(r"\w+", stubs))
    keys = set(re.findall(r"\w+", (ROOT / "docs/policies/document.md").read_text()))
    # What only a snapshot can be wrong in, whose errors say that it is one.
    nobodys = {"base", "next_id", "oldest", "opened", "shapes_len"}
    for name in names - nobodys:
        told = _native.ERROR_NAMES.get(name, name).split(" ")[0]
        for word in re.findall(r"[a-z_]\w*", told):
            assert word in known | keys, f"`{told}` is not in the stubs"
    for core, python in _native.ERROR_NAMES.items():
        assert core in names, f"the core does not say `{core}` any more"
        assert core != python


def test_what_the_core_names_is_told_in_the_words_of_python():
    policy = rampmeter.Policy()
    gate = rampmeter.Gate(policy, servers=1)
    with pytest.raises(rampmeter.RangeError, match="`class_index` = 9 is outside"):
        gate.admit(0, class_index=9, account=gate.open_account())
    batcher = Batcher(policy, Engine.named("llama-3.1-8b"))
    with pytest.raises(rampmeter.RangeError, match="`class_index` = 9 is outside"):
        batcher.class_stats(9)
    placer = rampmeter.Placer(policy, nodes_max=1)
    with pytest.raises(rampmeter.RangeError, match="`device_milli` = 0 is outside"):
        placer.place(0, Task(devices="share"))
    with pytest.raises(rampmeter.RangeError, match="`device_count` = 17 is outside"):
        placer.place(0, Task(devices="whole", device_count=17))
    with pytest.raises(rampmeter.RangeError, match=r"`parts\[\]` = 2"):
        rampmeter.Outcomes(policy).quantiles("ttft", [2.0], class_index=0)
