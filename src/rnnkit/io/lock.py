"""One writer a directory: a lock file that names its owner, and that its owner holds with `flock`.

The file is created exclusively, its owner's name in it from the first moment, because `flock` succeeds for everyone on
some network disks. The owner keeps it locked with `flock` as well, because a process number means nothing to another
container or after a reboot. A lock whose owner is gone is taken over, by one of those that try.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rnnkit.errors import ArtefactError
from rnnkit.io import owner
from rnnkit.io.explained import explain_os_errors

NAME = ".lock"
_LONGEST = 1000


@dataclass
class Held:
    """A lock that this process holds.

    Attributes:
        path: The lock file. A folder that is renamed takes it along, and sets this.
        descriptor: The open file; None where an outer block of this process holds the lock already.
    """

    path: Path
    descriptor: int | None


_held: dict[tuple[int, int], int] = {}
"""Descriptors of the locks of this process, by device and inode."""


@contextmanager
def hold(folder: Path, part: str = "") -> Iterator[Held]:
    """Be the only writer of a folder while the block runs.

    Args:
        folder: Which.
        part: Only this part of it, whose writers disturb no others.

    Raises:
        ArtefactError: Another living process holds it, or the folder cannot be written.
    """
    with explain_os_errors(folder):
        new = [place for place in (folder, *folder.parents) if not place.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with hold_file(folder / (f".{part}{NAME}" if part else NAME), folder) as held:
            yield held
    finally:
        with suppress(OSError):  # a command that wrote nothing leaves no folders either
            for place in new:
                place.rmdir()


@contextmanager
def hold_file(path: Path, what: Path) -> Iterator[Held]:
    """The same, with a lock file anywhere.

    Args:
        path: The lock file.
        what: What it stands for, in messages.
    """
    with explain_os_errors(what):
        held = Held(path, _take(path, what))
    try:
        yield held
    finally:
        if held.descriptor is not None:
            _release(held.path, held.descriptor)


@contextmanager
def hold_beside(path: Path) -> Iterator[None]:
    """The same, for what is to have the name `path`: the lock file stands beside it, in a folder that exists."""
    with hold_file(path.with_name(f".{path.name}{NAME}"), path):
        yield


def _take(path: Path, what: Path) -> int | None:
    """Take a lock; its descriptor, or None where this process holds it already."""
    for _ in range(3):
        created = _create(path)
        if created is not None:
            return created
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue  # it was released just now
        if _inode(descriptor) in _held:
            os.close(descriptor)
            return None
        try:
            holder = _read(descriptor)
            locked = owner.lock(descriptor)
            if locked is False or (holder != owner.name() and _is_alive(holder, locked)):
                raise _in_use(path, what, holder)
            if _is_named(path, descriptor) and _read(descriptor) == holder:
                _write(descriptor)
                _held[_inode(descriptor)] = descriptor
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # another process released it or took it over just now
    raise ArtefactError(f"{what} is in use", "another process took it just now", hint="wait for it")


def _create(path: Path) -> int | None:
    """Make the lock file, locked and with its owner's name; None where there is one."""
    owner.sweep(path)
    mine = owner.temporary(path)
    descriptor = os.open(mine, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        _write(descriptor)
        owner.lock(descriptor)
        try:
            os.link(mine, path)
        except FileExistsError:
            raise
        except OSError:  # a disk without links
            os.close(descriptor)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            owner.lock(descriptor)
            _write(descriptor)
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, FileExistsError):
            return None
        raise
    finally:
        mine.unlink(missing_ok=True)
    _held[_inode(descriptor)] = descriptor
    return descriptor


def _is_alive(holder: str, locked: bool | None) -> bool:
    """Whether the process that wrote its name into a lock still holds it.

    Args:
        holder: Its name.
        locked: Whether the file's `flock` could be taken; None where there are none.
    """
    return owner.is_alive(holder) and not (locked and owner.is_out_of_sight(holder))


def _release(path: Path, descriptor: int) -> None:
    """Give a lock back. The file may have been deleted, and another process have made one of the same name."""
    del _held[_inode(descriptor)]
    with suppress(OSError):
        if _is_named(path, descriptor) and _read(descriptor) == owner.name():
            path.unlink()
    os.close(descriptor)


def _in_use(path: Path, what: Path, holder: str) -> ArtefactError:
    process, _, rest = holder.partition(" ")
    host = rest.partition(" ")[0]
    named = f"process {process} on {host} writes to it" if process.isdigit() else "another process writes to it"
    return ArtefactError(
        f"{what} is in use",
        named,
        hint=f"wait for it; if it is certain that no such process runs, delete {path}",
    )


def _is_named(path: Path, descriptor: int) -> bool:
    """Whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _inode(descriptor: int) -> tuple[int, int]:
    facts = os.fstat(descriptor)
    return facts.st_dev, facts.st_ino


def _read(descriptor: int) -> str:
    return os.pread(descriptor, _LONGEST, 0).decode("utf-8", "replace")


def _write(descriptor: int) -> None:
    """Put this process's name into a lock file."""
    mine = owner.name().encode()
    os.ftruncate(descriptor, 0)
    if os.pwrite(descriptor, mine, 0) < len(mine):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
