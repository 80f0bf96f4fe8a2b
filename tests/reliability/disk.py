"""A small disk of its own: a file system in memory, for those who may mount one (on Linux, root)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

PLENTY = 64 << 20


@cache
def may_mount(scratch: Path) -> bool:
    """Whether a disk can be mounted below a folder."""
    if sys.platform != "linux" or os.geteuid():
        return False
    try:
        with mounted(scratch / "first"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextmanager
def mounted(place: Path) -> Iterator[Path]:
    """Mount an empty disk; it is gone when the block ends."""
    place.mkdir(parents=True)
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={PLENTY}", "tmpfs", str(place))
        try:
            yield place
        finally:
            _run("umount", str(place))
    finally:
        place.rmdir()


def leave(place: Path, room: int) -> None:
    """Leave so many bytes of a mounted disk free."""
    state = os.statvfs(place)
    used = (state.f_blocks - state.f_bfree) * state.f_frsize
    _run("mount", "-o", f"remount,size={used + room}", str(place))


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
