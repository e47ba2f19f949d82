"""Everything public says what it does, and what it shows is true."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import rampmeter

MODULES = sorted(
    name
    for _, name, _ in pkgutil.walk_packages(rampmeter.__path__, "rampmeter.")
    if not name.endswith("__main__")
)


@pytest.mark.parametrize("name", ["rampmeter", *MODULES])
def test_modules(name):
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", []):
        thing = getattr(module, public)
        assert not inspect.isclass(thing) or inspect.getdoc(thing), f"{name}.{public}"
        for method, value in vars(thing).items() if inspect.isclass(thing) else ():
            if callable(value) and not method.startswith("_"):
                assert inspect.getdoc(value), f"{name}.{public}.{method}"


def test_examples():
    seen = 0
    for name in ["rampmeter", *MODULES]:
        module = importlib.import_module(name)
        things = {id(thing): thing for thing in vars(module).values() if inspect.isclass(thing)}
        for thing in (module, *things.values()):
            if getattr(thing, "__module__", name).startswith("rampmeter"):
                tests = doctest.DocTestFinder(recurse=True).find(thing, name, module)
                for test in tests:
                    result = doctest.DocTestRunner().run(test)
                    assert result.failed == 0, test.name
                    seen += result.attempted
    assert seen > 10
