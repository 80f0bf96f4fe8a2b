"""The Python API: models loaded from a path, with methods on strings and lists.

`import rnnkit` gives all of it; a name is imported at its first use, so that the import itself is instant.
"""

from __future__ import annotations

from collections.abc import Iterable


def check_lines(lines: Iterable[object], call: str) -> None:
    """Check that lines are several, since a single string would be read as lines of one character each.

    Args:
        lines: The argument.
        call: The call with a list, for the message.

    Raises:
        TypeError: `lines` is a string.
    """
    if isinstance(lines, str):
        raise TypeError(f"expected several lines, not a string: write {call}")
