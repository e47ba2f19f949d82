"""What several tests need."""

import pytest
from fake_driver import FakeDriver, compiled


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """A driver that is not one, compiled once."""
    return compiled(tmp_path_factory.mktemp("driver"))


@pytest.fixture
def driver(library, tmp_path):
    """A driver of this test alone."""
    return FakeDriver(library, tmp_path)
