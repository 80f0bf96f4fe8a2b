"""What the operating system offers for writes that last: syncing files and folders, and exchanging two folders."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from rnnkit.errors import ArtefactError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
"""Linux's `renameat2` swaps two names with this flag."""

_RENAME_SWAP = 2
"""The same flag of macOS' `renamex_np`."""

_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM)


def fsync(file: IO[Any]) -> None:
    """Wait until an open file's bytes are on the disk.

    On macOS `fsync` stops at the disk's own cache, which a power cut empties; `F_FULLFSYNC` does not.

    Raises:
        OSError: The disk is full, or the bytes are lost.
    """
    file.flush()
    fsync_descriptor(file.fileno())


def fsync_descriptor(descriptor: int) -> None:
    """The same for a descriptor. File systems without sync are left to themselves."""
    try:
        if hasattr(fcntl, "F_FULLFSYNC"):
            with suppress(OSError):  # a network disk does not have it
                fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
                return
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def fsync_path(path: Path) -> None:
    """Wait until a file's bytes are on the disk."""
    with path.open("rb") as file:
        fsync_descriptor(file.fileno())


def fsync_directory(path: Path) -> None:
    """Wait until a folder's names are on the disk; a rename is lasting only after this.

    This is best effort: SMB, FUSE and WSL refuse it for folders, and what was renamed is written all the same.
    """
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fsync_descriptor(descriptor)
        finally:
            os.close(descriptor)


def replace_directory(new: Path, path: Path, aside: Path) -> None:
    """Give a folder the name of another, which is removed.

    The names are swapped in one system call where there is one, so that a reader finds the old folder or the new one.
    Elsewhere the old one is renamed to `aside` first; a crash between the two renames leaves it there.

    Args:
        new: The new folder.
        path: The name it takes; nothing, an empty folder, or the old folder has it.
        aside: A name beside it that is free.
    """
    if not path.exists():
        new.rename(path)
    elif _exchange_names(new, path):
        fsync_directory(path.parent)
        shutil.rmtree(new, ignore_errors=True)
    else:
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
        new.rename(path)
    fsync_directory(path.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _exchange_names(first: Path, second: Path) -> bool:
    """Exchange two names; False where the system or the file system cannot."""
    import ctypes

    system = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(first), os.fsencode(second)
    if sys.platform == "linux" and hasattr(system, "renameat2"):
        failed = system.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)
    elif sys.platform == "darwin" and hasattr(system, "renamex_np"):
        failed = system.renamex_np(names[0], names[1], _RENAME_SWAP)
    else:
        return False
    if failed and ctypes.get_errno() not in _UNSUPPORTED:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(second))
    return not failed


DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The system's words for a disk, a share of it or a file that is full."""


@contextmanager
def explain_os_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says while writing `path` into an error that a user can act on."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        full = error.errno in DISK_FULL_ERRNOS or (
            error.errno is None and "written" in str(error)
        )  # the latter is NumPy's word
        hint = "free some space and run the command again" if full else "check the folder's permissions"
        what = "the disk is full" if full else "cannot write"
        raise ArtefactError(
            f"{what}: {path} was not written",
            f"{error.strerror or error}; what was there before is untouched",
            hint=hint,
        ) from error


def copy_directory(source: Path, target: Path) -> None:
    """Copy the files of a folder into another, which is made where it is missing.

    `shutil.copytree` collects what went wrong in an error of its own, from which a full disk can no longer be told.

    Raises:
        OSError: The first that the system gave.
    """
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(exist_ok=True)
        else:
            shutil.copyfile(path, place)
