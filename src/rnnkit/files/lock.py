"""One writer a directory: a lock file that names its owner.

`flock` silently succeeds for everybody on some network disks, so the lock is a file created exclusively, its owner's
name in it from the first moment. A lock whose process is gone is taken over, by one of those who try: there `flock`
decides.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rnnkit.errors import ArtefactError
from rnnkit.files import owner
from rnnkit.files.explained import explain_os_errors

NAME = ".lock"


@contextmanager
def hold(folder: Path, part: str = "") -> Iterator[None]:
    """Be the only writer of a folder while the block runs.

    Args:
        folder: Which.
        part: Only this part of it, whose writers disturb no others.

    Raises:
        ArtefactError: Another living process holds it, or the folder cannot be written.
    """
    with explain_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with hold_file(folder / (f".{part}{NAME}" if part else NAME), folder):
        yield


@contextmanager
def hold_file(path: Path, what: Path) -> Iterator[None]:
    """The same, with a lock file anywhere.

    Args:
        path: The lock file.
        what: What it stands for, in messages.
    """
    with explain_os_errors(what):
        _take(path, what)
    try:
        yield
    finally:
        if _read(path) == owner.name():  # somebody may have deleted the lock, and another process taken it
            path.unlink(missing_ok=True)


@contextmanager
def hold_beside(path: Path) -> Iterator[None]:
    """The same, for what is to have the name `path`: the lock file stands beside it, in a folder that exists."""
    with hold_file(path.with_name(f".{path.name}{NAME}"), path):
        yield


def _take(path: Path, what: Path) -> None:
    for _ in range(3):
        if _create(path):
            return
        holder = _read(path)
        if holder is None:
            continue  # it was given back just now
        if owner.is_alive(holder) and holder != owner.name():
            process, _, host = holder.partition(" ")
            raise ArtefactError(
                f"{what} is in use",
                f"process {process} on {host} writes to it",
                hint=f"wait for it; if it is certain that no such process runs, delete {path}",
            )
        if _take_over(path, holder):
            return
    raise ArtefactError(f"{what} is in use", "another process took it just now", hint="wait for it")


def _create(path: Path) -> bool:
    """Make the lock file, if there is none; it is never there without its owner's name."""
    owner.sweep(path)
    mine = owner.temporary(path)
    try:
        mine.write_text(owner.name())
        try:
            os.link(mine, path)
        except FileExistsError:
            return False
        except OSError:  # a disk without links
            with path.open("x") as file:
                file.write(owner.name())
        return True
    except FileExistsError:
        return False
    finally:
        mine.unlink(missing_ok=True)


def _take_over(path: Path, holder: str) -> bool:
    """Put this process in the place of one that is gone; False where somebody else was faster."""
    try:
        with path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if file.read() != holder or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return False
            file.seek(0)
            file.write(owner.name())
            file.truncate()
            return True
    except (BlockingIOError, FileNotFoundError):
        return False


def _read(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return None
