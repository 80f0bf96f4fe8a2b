"""Disk cache of compiled kernels: where it is, and which files it trusts.

A file of machine code is as dangerous as a program, and Numba serializes it as a pickle. Therefore a file is read only
if no other user can have written it and if it is complete: it starts with a checksum over its content and over
everything that it was compiled from. Damaged, foreign and unreadable files count as missing, and the kernel is compiled
again. If no directory is writable, compiled kernels last as long as the process. No failure of the cache is an error.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rnnkit.events import Event, Listener, Note, Status, WarningEvent

CACHE_DIR_VARIABLE = "NUMBA_CACHE_DIR"
"""Environment variable that sets the directory of the cache."""

MAGIC = b"rnnkit kernel 1\n"
MAX_FILE_BYTES = 1 << 27
"""Largest file that is read; a kernel has about 100,000 bytes."""

_NOT_CODEGEN_VARIABLES = {"NUMBA_DEBUG_CACHE", "NUMBA_NUM_THREADS", "NUMBA_THREADING_LAYER"}
"""Environment variables of Numba that do not affect machine code."""

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_PRIVATE = stat.S_IRWXU

_listeners: list[Listener] = []
_reported: set[str] = set()
"""Kinds of events already reported; each is reported once per process."""


@contextmanager
def report_to(listen: Listener) -> Iterator[None]:
    """Report compilation, and a cache that cannot be used, to a listener until the end of the block."""
    _listeners.append(listen)
    try:
        yield
    finally:
        _listeners.remove(listen)


@contextmanager
def report_warnings_to(listen: Listener) -> Iterator[None]:
    """Report a cache that cannot be used, and compilation only as a status; otherwise as `report_to`."""
    with report_to(lambda event: listen(event) if isinstance(event, WarningEvent | Status) else None):
        yield


def numba_settings() -> list[tuple[str, str]]:
    """Return the environment variables that Numba reads, except the directory of the cache."""
    return sorted(
        (name, value) for name, value in os.environ.items() if name.startswith("NUMBA_") and name != CACHE_DIR_VARIABLE
    )


def codegen_settings() -> list[tuple[str, str]]:
    """Return those `numba_settings` that may affect machine code."""
    return [(name, value) for name, value in numba_settings() if name not in _NOT_CODEGEN_VARIABLES]


def report_compilation() -> None:
    """Report that a kernel is being compiled."""
    _report("compiling", Note("compiling kernels for this machine; later runs load them from the cache"))
    if _listeners:
        _listeners[-1](Status("compiling kernels"))


@dataclass(frozen=True)
class KernelStore:
    """Compiled kernels of one source directory.

    Attributes:
        user_dir: Directory of the cache as set by the user, or an empty string.
        name: Name of the subdirectory within the cache.
    """

    user_dir: str
    name: str

    def read(self, name: str, origin: str) -> bytes | None:
        """Read a compiled kernel.

        Args:
            name: Name of the file.
            origin: Checksum of everything that the kernel was compiled from.

        Returns:
            The kernel; None if it is missing, damaged, of another origin, or possibly written by another user.
        """
        for directory in cache_dirs(self.user_dir):
            with suppress(OSError), _private_dir(directory, self.name) as descriptor:
                content = _read_private_file(name, descriptor)
                payload = content[_HEADER_SIZE:]
                if content[:_HEADER_SIZE] == _header(origin, payload):
                    return payload
        return None

    def write(self, name: str, origin: str, payload: bytes) -> None:
        """Store a compiled kernel; after the first failure, report it and store none.

        Args:
            name: Name of the file.
            origin: Checksum of everything that the kernel was compiled from.
            payload: The kernel.
        """
        directory = cache_dir(self.user_dir)
        if directory is None or self in _unwritable_stores:
            return
        try:
            with suppress(FileExistsError):
                (directory / self.name).mkdir(_PRIVATE)
            with _private_dir(directory, self.name) as descriptor:
                _write_atomically(name, descriptor, _header(origin, payload) + payload)
        except OSError as error:
            _unwritable_stores.add(self)
            _warn(f"cannot write compiled kernels to {directory} ({error.strerror}): every run will compile them again")


_unwritable_stores: set[KernelStore] = set()
"""Stores that could not be written to."""


@cache
def cache_dir(user_dir: str) -> Path | None:
    """Return the directory that compiled kernels are written to; None if no directory is both safe and writable.

    Args:
        user_dir: Value of `NUMBA_CACHE_DIR`, or an empty string.
    """
    for directory in cache_dirs(user_dir):
        if _writable(directory):
            return directory
    _warn("no safe and writable directory for compiled kernels: every run will compile them again")
    return None


@cache
def cache_dirs(user_dir: str) -> tuple[Path, ...]:
    """Return the safe directories of the cache, created if missing, up to the first that is writable.

    They are, in this order: the directory set by the user, one in the user's cache directory, and a private one in the
    directory of temporary files.

    Args:
        user_dir: Value of `NUMBA_CACHE_DIR`, or an empty string.
    """
    safe = []
    if user_dir:
        directory = Path(user_dir).absolute()
        reason = _reason_unsafe(directory, private=False)
        if reason is None:
            safe.append(directory)
        else:
            _warn(f"{CACHE_DIR_VARIABLE}: {directory} is not used for compiled kernels: {reason}")
    for directory in _private_dirs():
        if safe and _writable(safe[-1]):
            break
        if _reason_unsafe(directory, private=True) is None:
            safe.append(directory)
    return tuple(safe)


def _writable(directory: Path) -> bool:
    return os.access(directory, os.W_OK | os.X_OK)


def _private_dirs() -> Iterator[Path]:
    """Yield cache directories of this user alone."""
    with suppress(RuntimeError):  # there is no home directory
        default = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
        xdg = Path(os.environ.get("XDG_CACHE_HOME") or default)
        yield (xdg if xdg.is_absolute() else default) / "rnnkit" / "kernels"
    import tempfile

    with suppress(OSError):  # no directory for temporary files was found
        yield Path(tempfile.gettempdir()) / f"rnnkit-kernels-{os.geteuid()}"


def _reason_unsafe(directory: Path, private: bool) -> str | None:
    """Return why a directory cannot hold compiled kernels; None if it can.

    Args:
        directory: The directory; created if missing.
        private: Withdraw the permissions of other users.
    """
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            directory.mkdir(_PRIVATE)
        descriptor = _open_dir(str(directory))
    except OSError as error:
        return "it is a symbolic link" if directory.is_symlink() else f"{error.strerror}"
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid():
            return "it belongs to another user"
        if private and status.st_mode & ~_PRIVATE & 0o777:
            os.fchmod(descriptor, _PRIVATE)
        elif status.st_mode & stat.S_IWOTH:
            return "it is writable by all users"
    except OSError as error:
        return f"{error.strerror}"
    finally:
        os.close(descriptor)
    return None


@contextmanager
def _private_dir(directory: Path, name: str) -> Iterator[int]:
    """Open a subdirectory of the cache; raise OSError if it is missing or others can write to it."""
    outer = _open_dir(str(directory))
    try:
        inner = _open_dir(name, outer)
    finally:
        os.close(outer)
    try:
        status = os.fstat(inner)
        if status.st_uid != os.geteuid() or status.st_mode & _WRITABLE_BY_OTHERS:
            raise PermissionError(errno.EPERM, "writable by others")
        yield inner
    finally:
        os.close(inner)


def _open_dir(name: str, parent: int | None = None) -> int:
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)


def _read_private_file(name: str, directory: int) -> bytes:
    """Read a regular file that only this user can have written; raise OSError for any other."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, dir_fd=directory), "rb") as file:
        status = os.fstat(file.fileno())
        own = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1
        if not own or status.st_mode & _WRITABLE_BY_OTHERS or status.st_size > MAX_FILE_BYTES:
            raise PermissionError(errno.EPERM, "writable by others")
        return file.read(status.st_size)


def _write_atomically(name: str, directory: int, content: bytes) -> None:
    """Write a file by renaming: a concurrent reader sees the previous file, or none."""
    temporary = f"{name}.tmp.{os.urandom(8).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=directory), "wb") as file:
            file.write(content)
        os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=directory)
        raise


def _header(origin: str, payload: bytes) -> bytes:
    import hashlib

    checksum = hashlib.sha256(origin.encode() + b"\n" + payload).hexdigest()
    return MAGIC + checksum.encode() + b"\n"


_HEADER_SIZE = len(MAGIC) + 64 + 1
"""Bytes of the magic line and the checksum, 64 hexadecimal digits."""


def _warn(text: str) -> None:
    """Report the first problem of the cache."""
    _report("warning", WarningEvent(text))


def _report(kind: str, event: Event) -> None:
    if _listeners and kind not in _reported:
        _reported.add(kind)
        _listeners[-1](event)
