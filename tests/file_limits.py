"""A full disk, simulated by a limit on the size of files."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def limit_files(size: int) -> Iterator[None]:
    """Let no file grow beyond a size in bytes.

    The limit applies to pytest's own process, whose output may be a file, so only the statement that must fail belongs
    inside.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
