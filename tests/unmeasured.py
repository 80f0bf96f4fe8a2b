"""Commands that coverage does not look into: it would cost them time, and write files of its own."""

from __future__ import annotations

import os


def environment() -> dict[str, str]:
    """The environment without what makes new processes count lines."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS")}
