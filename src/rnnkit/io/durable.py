"""Durable writes: fsync of files and directories, atomic replacement of a directory, and readable errors of writes."""

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

DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers for a full disk, an exceeded quota and the maximum file size."""

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
"""Flag of Linux's `renameat2` that exchanges two names."""

_RENAME_SWAP = 2
"""The same flag of `renamex_np` on macOS."""

_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM)


def fsync(file: IO[Any]) -> None:
    """Flush an open file to the disk.

    On macOS `fsync` reaches only the cache of the disk, which a power failure empties; `F_FULLFSYNC` reaches the disk.

    Raises:
        OSError: The disk is full, or the write failed.
    """
    file.flush()
    fsync_descriptor(file.fileno())


def fsync_descriptor(descriptor: int) -> None:
    """Flush an open file descriptor to the disk; do nothing on file systems without fsync."""
    try:
        if hasattr(fcntl, "F_FULLFSYNC"):
            with suppress(OSError):  # network file systems lack it
                fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
                return
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def fsync_path(path: Path) -> None:
    """Flush a file to the disk."""
    with path.open("rb") as file:
        fsync_descriptor(file.fileno())


def fsync_directory(path: Path) -> None:
    """Flush the entries of a directory to the disk, without which a rename is not durable.

    Best effort: SMB, FUSE and WSL do not support it for directories, and write the rename anyway.
    """
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fsync_descriptor(descriptor)
        finally:
            os.close(descriptor)


def replace_directory(new: Path, path: Path, aside: Path) -> None:
    """Rename a directory to `path` and remove the directory that had this name.

    If the system can exchange two names in one call, a reader finds the old or the new directory at any moment.
    Otherwise the old one is first renamed to `aside`, where a crash between the two renames leaves it.

    Args:
        new: The new directory.
        path: Its name, which is free, or that of an empty directory or the old one.
        aside: A free name in the same directory.
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
    """Exchange two names; return False if the system or the file system does not support it."""
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


@contextmanager
def explain_os_errors(path: Path) -> Iterator[None]:
    """Convert errors of the operating system while `path` is written to ArtefactError; broken pipes pass through."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        # NumPy raises errors without a number that contain "written".
        full = error.errno in DISK_FULL_ERRNOS or (error.errno is None and "written" in str(error))
        hint = "free some space and run the command again" if full else "check the permissions of the directory"
        what = "the disk is full" if full else "cannot write"
        raise ArtefactError(
            f"{what}: {path} was not written",
            f"{error.strerror or error}; existing files are unchanged",
            hint=hint,
            path=path,
        ) from error


def copy_directory(source: Path, target: Path) -> None:
    """Copy the files of a directory into another, which is created if missing.

    Unlike `shutil.copytree`, which collects errors into one of its own, it preserves the error number of a full disk.

    Raises:
        OSError: The first error of the system.
    """
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.rglob("*")):
        copy = target / path.relative_to(source)
        if path.is_dir():
            copy.mkdir(exist_ok=True)
        else:
            shutil.copyfile(path, copy)
