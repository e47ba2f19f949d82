"""The table of codes is the core's, and every exception is what it says."""

import pickle

from rampmeter import _native, errors

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
