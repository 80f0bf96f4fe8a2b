"""Settings of all property tests."""

from __future__ import annotations

from hypothesis import settings

# No deadline, as a busy machine is not a failure; the same examples each time and no database, so failures recur.
settings.register_profile("rnnkit", deadline=None, derandomize=True, database=None)
settings.load_profile("rnnkit")
