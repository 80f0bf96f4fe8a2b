"""Settings of all property tests, and the cases that only `--all` runs."""

from __future__ import annotations

import pytest
from hypothesis import settings

# No deadline, as a busy machine is not a failure; the same examples each time and no database, so failures recur.
settings.register_profile("rnnkit", deadline=None, derandomize=True, database=None)
settings.load_profile("rnnkit")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="also run the cases marked `exhaustive`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--all"):
        return
    left_out = [item for item in items if item.get_closest_marker("exhaustive")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("exhaustive")]
