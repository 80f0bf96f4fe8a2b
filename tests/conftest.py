"""Settings of all property tests."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is no failure, and a failure must come again: no deadline, the same examples each time, none kept.
settings.register_profile("rnnkit", deadline=None, derandomize=True, database=None)
settings.load_profile("rnnkit")
