"""Settings of all property tests, and what tests of many rooms share."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

# A busy machine is no failure, and a failure must come again: no deadline, the same examples each time, none kept.
settings.register_profile("rnnkit", deadline=None, derandomize=True, database=None)
settings.load_profile("rnnkit")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Lift limits with the end of a test, before its result is written: standard output may be a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        return (yield)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def limit_files() -> Iterator[Callable[[int], None]]:
    """A function after whose call no file grows beyond so many bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
