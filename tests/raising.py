"""Errors, asserted by class, fields and the values that they name; never by the wording of a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from rnnkit.errors import RnnkitError

E = TypeVar("E", bound=RnnkitError)


@contextmanager
def raises(
    kind: type[E],
    *values: object,
    path: Path | str | None = None,
    line: int | None = None,
    option: str | None = None,
) -> Iterator[pytest.ExceptionInfo[E]]:
    """Check that the block raises exactly `kind`, at this place, and that the message names each of `values`.

    Args:
        kind: The class, not one of its base classes.
        values: What the user needs to see: names, numbers, options. Compared as text, numbers with separators.
        path: The error's `path`; not compared unless given.
        line: The error's `line`; not compared unless given.
        option: The error's `option`; not compared unless given.
    """
    with pytest.raises(kind) as raised:
        yield raised
    error = raised.value
    assert type(error) is kind
    assert path is None or error.path == Path(path), f"path is {error.path}: {error}"
    assert line is None or error.line == line, f"line is {error.line}: {error}"
    assert option is None or error.option == option, f"option is {error.option}: {error}"
    for value in values:
        shown = f"{value:,}" if isinstance(value, int) else str(value)
        assert shown in str(error), f"no {shown!r} in: {error}"
