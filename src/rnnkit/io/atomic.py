"""Atomic and durable writes of files and directories, and outputs that are not regular files.

A temporary file beside the target, flush, fsync, rename, fsync of the directory: at any moment and after any crash a
reader finds the complete old or the complete new file. Symbolic links are followed. A device, FIFO or socket is written
to and not replaced. `artifact_output.py` does the same for artifacts.
"""

from __future__ import annotations

import errno
import fcntl
import gzip
import io
import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from rnnkit.errors import ArtefactError, explain_os_errors
from rnnkit.io import lock

GZIP_SUFFIX = ".gz"
"""Suffix of compressed files."""

_COMPRESSION_LEVEL = 6
"""Level of gzip: level 9 takes about three times as long and saves one percent."""

_STREAMS = re.compile(r"/(?:dev|proc/(?:self|\d+))/(?:fd/(\d+)|(stdin|stdout|stderr))")
_DESCRIPTORS = {"stdin": 0, "stdout": 1, "stderr": 2}

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
"""Flag of Linux's `renameat2` that exchanges two names."""

_RENAME_SWAP = 2
"""The same flag of `renamex_np` on macOS."""

_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM)


@contextmanager
def atomic_file(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file for an atomic write: it gets its name only when the block ends without an error.

    Args:
        path: The file; its directory is created. A name that ends in `.gz` is compressed.
        mode: `w` for UTF-8 text with LF line ends, `wb` for bytes. The file is not seekable.

    Raises:
        ArtefactError: The directory or file cannot be written, or the disk is full; the old file is unchanged.
    """
    with explain_os_errors(path):
        if is_stream(path):
            with _open_stream(path) as raw, _encoded(raw, path, mode) as file:
                yield file
            return
        target = resolve_output(path)
        temporary = lock.temporary_path(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        lock.remove_stale_temporaries(target)
        try:
            with temporary.open("wb") as raw:
                lock.try_flock(raw.fileno())  # shows processes in other containers that this one is alive
                _keep_mode(raw.fileno(), target)
                with _encoded(raw, path, mode) as file:
                    yield file
                fsync(raw)
                temporary.replace(target)
            fsync_directory(target.parent)
        finally:
            temporary.unlink(missing_ok=True)


def is_stream(path: Path) -> bool:
    """Return whether an output is a device, a FIFO, a socket or an open descriptor such as `/dev/stdout`."""
    if _STREAMS.fullmatch(os.path.abspath(path)):  # noqa: PTH100 - `resolve` would follow the link
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def resolve_output(path: Path) -> Path:
    """Return the file of an output, with symbolic links followed.

    Raises:
        ArtefactError: It is a directory, or has no name, such as `.`.
        OSError: Its links form a cycle.
    """
    if path.name in ("", "..") or path.is_dir():
        raise ArtefactError(f"{path} is a folder, not a file", hint="name a file inside it", path=path)
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        target.stat()  # raises the error of the system
    return target


@contextmanager
def _open_stream(path: Path) -> Iterator[IO[bytes]]:
    """Open a device, FIFO, socket or descriptor for writing."""
    numbered = _STREAMS.fullmatch(os.path.abspath(path))  # noqa: PTH100
    if numbered:
        number = int(numbered[1]) if numbered[1] is not None else _DESCRIPTORS[numbered[2]]
        file: IO[bytes] = io.BufferedWriter(_ForwardOnlyFile(os.dup(number), "wb"))
    elif stat.S_ISSOCK(path.stat().st_mode):
        import socket

        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(path))
            file = connection.makefile("wb")
    else:
        file = io.BufferedWriter(_ForwardOnlyFile(path, "wb"))
    with file:
        yield file


class _ForwardOnlyFile(io.FileIO):
    """A stream without seeking, which devices such as `/dev/null` claim to support."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise io.UnsupportedOperation("tell")

    def seek(self, offset: int, whence: int = 0, /) -> int:
        raise io.UnsupportedOperation("seek")


@contextmanager
def _encoded(raw: IO[bytes], path: Path, mode: str) -> Iterator[IO[Any]]:
    """Wrap a binary file according to mode and name: text or bytes, compressed or not."""
    with ExitStack() as stack:
        file: Any = raw
        if path.name.endswith(GZIP_SUFFIX):  # no name or time in the header: reproducible bytes
            file = stack.enter_context(gzip.GzipFile("", "wb", _COMPRESSION_LEVEL, raw, 0))
        if "b" in mode:
            yield file
            return
        text = io.TextIOWrapper(file, encoding="utf-8", newline="\n")
        try:
            yield text
            text.flush()
        finally:
            with suppress(OSError, ValueError):  # the first error is reported
                text.detach()


def _keep_mode(descriptor: int, target: Path) -> None:
    """Copy the permissions of the file that is replaced."""
    with suppress(OSError):  # there is no old file, or the file system has no permissions
        os.fchmod(descriptor, stat.S_IMODE(target.stat().st_mode))


def fsync(file: IO[str] | IO[bytes]) -> None:
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
