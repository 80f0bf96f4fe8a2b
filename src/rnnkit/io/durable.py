"""What the operating system offers for writes that last: syncing files and folders, and exchanging two folders."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
"""Linux's `renameat2` swaps two names with this flag."""

_RENAME_SWAP = 2
"""The same flag of macOS' `renamex_np`."""

_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM)


def sync(file: IO[Any]) -> None:
    """Wait until an open file's bytes are on the disk.

    On macOS `fsync` stops at the disk's own cache, which a power cut empties; `F_FULLFSYNC` does not.

    Raises:
        OSError: The disk is full, or the bytes are lost.
    """
    file.flush()
    sync_descriptor(file.fileno())


def sync_descriptor(descriptor: int) -> None:
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


def sync_file(path: Path) -> None:
    """Wait until a file's bytes are on the disk."""
    with path.open("rb") as file:
        sync_descriptor(file.fileno())


def sync_folder(path: Path) -> None:
    """Wait until a folder's names are on the disk; a rename is lasting only after this.

    This is best effort: SMB, FUSE and WSL refuse it for folders, and what was renamed is written all the same.
    """
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            sync_descriptor(descriptor)
        finally:
            os.close(descriptor)


def exchange(new: Path, path: Path, aside: Path) -> None:
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
    elif _swap(new, path):
        sync_folder(path.parent)
        shutil.rmtree(new, ignore_errors=True)
    else:
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
        new.rename(path)
    sync_folder(path.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _swap(first: Path, second: Path) -> bool:
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
