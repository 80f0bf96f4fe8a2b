"""Where compiled kernels are kept on the disk, and when what lies there is used.

A file of machine code is as good as a program, and Numba's form of it is a pickle. So a file is read only where no
other user can have written it, and only whole: it begins with a checksum over its content and over what it was
compiled from. Whatever is damaged, foreign or unreadable counts as missing, and the kernel is compiled again. Where
nothing can be written, kernels last as long as the process. None of it is ever an error.
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

from rnnkit.events import Event, Listener, Note, WarningEvent

VARIABLE = "NUMBA_CACHE_DIR"
"""Environment variable that names a folder for compiled kernels."""

MAGIC = b"rnnkit kernel 1\n"
LARGEST = 1 << 27
"""Bytes; a kernel has some 100,000."""

_HARMLESS = {"NUMBA_DEBUG_CACHE", "NUMBA_NUM_THREADS", "NUMBA_THREADING_LAYER"}
"""Variables of Numba that change no machine code."""

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_PRIVATE = stat.S_IRWXU

_listeners: list[Listener] = []
_reported: set[str] = set()
"""Kinds of events that were reported; each is reported once."""


@contextmanager
def tell(listen: Listener) -> Iterator[None]:
    """Let a listener, until the end of the block, know of compilation and of a cache that cannot be used."""
    _listeners.append(listen)
    try:
        yield
    finally:
        _listeners.remove(listen)


@contextmanager
def tell_warnings(listen: Listener) -> Iterator[None]:
    """As `tell`, of a cache that cannot be used alone."""
    with tell(lambda event: listen(event) if isinstance(event, WarningEvent) else None):
        yield


def settings() -> list[tuple[str, str]]:
    """The variables of the environment that Numba reads, apart from the folder of the cache."""
    return sorted((name, value) for name, value in os.environ.items() if name.startswith("NUMBA_") and name != VARIABLE)


def code_settings() -> list[tuple[str, str]]:
    """Those of them by which Numba may compile other code."""
    return [(name, value) for name, value in settings() if name not in _HARMLESS]


def compiling() -> None:
    """Report that a kernel is compiled now."""
    _report("compiling", Note("compiling the kernels for this machine; later runs find them compiled"))


@dataclass(frozen=True)
class Store:
    """The compiled kernels of a room.

    Attributes:
        named: Folder for compiled kernels that the user has named, or an empty string.
        room: Name of the folder within it.
    """

    named: str
    room: str

    def read(self, name: str, origin: str) -> bytes | None:
        """A compiled kernel; None where it is missing, damaged, of another origin, or perhaps another user's.

        Args:
            name: Name of the file.
            origin: Checksum of all that the kernel was compiled from.
        """
        for place in cache_folders(self.named):
            with suppress(OSError), _opened(place, self.room) as folder:
                content = _content_of_own_file(name, folder)
                payload = content[_HEAD_SIZE:]
                if content[:_HEAD_SIZE] == _head(origin, payload):
                    return payload
        return None

    def write(self, name: str, origin: str, payload: bytes) -> None:
        """Keep a compiled kernel, or report once that it cannot be kept, and keep none from then on.

        Args:
            name: Name of the file.
            origin: Checksum of all that the kernel was compiled from.
            payload: The kernel.
        """
        place = cache_folder(self.named)
        if place is None or self in _unwritable:
            return
        try:
            with suppress(FileExistsError):
                (place / self.room).mkdir(_PRIVATE)
            with _opened(place, self.room) as folder:
                _replace(name, folder, _head(origin, payload) + payload)
        except OSError as error:
            _unwritable.add(self)
            _warn(f"compiled kernels cannot be kept in {place} ({error.strerror}): each run compiles them again")


_unwritable: set[Store] = set()
"""Folders that could not be written to."""


@cache
def cache_folder(named: str) -> Path | None:
    """The folder where compiled kernels are kept; None where there is no safe one that this user can write to.

    Args:
        named: What `NUMBA_CACHE_DIR` says.
    """
    for folder in cache_folders(named):
        if _writable(folder):
            return folder
    _warn("no folder for compiled kernels is safe and can be written to: each run compiles them again")
    return None


@cache
def cache_folders(named: str) -> tuple[Path, ...]:
    """The safe folders of the cache, made where they are missing, up to the first that this user can write to.

    In this order: the folder that the user has named, the one for caches in the user's home, a private one among the
    temporary files.

    Args:
        named: What `NUMBA_CACHE_DIR` says.
    """
    found = []
    if named:
        folder = Path(named).absolute()
        refusal = _refusal(folder, private=False)
        if refusal is None:
            found.append(folder)
        else:
            _warn(f"{VARIABLE}: compiled kernels are not kept in {folder}: {refusal}")
    for folder in _own_folders():
        if found and _writable(found[-1]):
            break
        if _refusal(folder, private=True) is None:
            found.append(folder)
    return tuple(found)


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)


def _own_folders() -> Iterator[Path]:
    """Folders for caches of this user alone."""
    with suppress(RuntimeError):  # there is no home folder
        caches = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
        chosen = Path(os.environ.get("XDG_CACHE_HOME") or caches)
        yield (chosen if chosen.is_absolute() else caches) / "rnnkit" / "kernels"
    import tempfile

    with suppress(OSError):  # there is no folder for temporary files
        yield Path(tempfile.gettempdir()) / f"rnnkit-kernels-{os.geteuid()}"


def _refusal(folder: Path, private: bool) -> str | None:
    """Why a folder cannot hold compiled kernels; None where it can.

    Args:
        folder: Made where it is missing.
        private: Take away others' permission to look at it.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            folder.mkdir(_PRIVATE)
        descriptor = _open_folder(str(folder))
    except OSError as error:
        return "it is a link" if folder.is_symlink() else f"{error.strerror}"
    try:
        facts = os.fstat(descriptor)
        if facts.st_uid != os.geteuid():
            return "it belongs to another user"
        if private and facts.st_mode & ~_PRIVATE & 0o777:
            os.fchmod(descriptor, _PRIVATE)
        elif facts.st_mode & stat.S_IWOTH:
            return "all users can write to it"
    except OSError as error:
        return f"{error.strerror}"
    finally:
        os.close(descriptor)
    return None


@contextmanager
def _opened(place: Path, room: str) -> Iterator[int]:
    """The folder of a room, to which only this user can write. Raises OSError where there is none."""
    outer = _open_folder(str(place))
    try:
        inner = _open_folder(room, outer)
    finally:
        os.close(outer)
    try:
        facts = os.fstat(inner)
        if facts.st_uid != os.geteuid() or facts.st_mode & _WRITABLE_BY_OTHERS:
            raise PermissionError(errno.EPERM, "others can write to it")
        yield inner
    finally:
        os.close(inner)


def _open_folder(name: str, within: int | None = None) -> int:
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=within)


def _content_of_own_file(name: str, folder: int) -> bytes:
    """The content of a regular file that only this user can have written. Raises OSError for all others."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, dir_fd=folder), "rb") as file:
        facts = os.fstat(file.fileno())
        own = stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid() and facts.st_nlink == 1
        if not own or facts.st_mode & _WRITABLE_BY_OTHERS or facts.st_size > LARGEST:
            raise PermissionError(errno.EPERM, "others can write to it")
        return file.read(facts.st_size)


def _replace(name: str, folder: int, content: bytes) -> None:
    """Write a file whole: a reader meanwhile sees the one before, or none."""
    temporary = f"{name}.tmp.{os.urandom(8).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=folder), "wb") as file:
            file.write(content)
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise


def _head(origin: str, payload: bytes) -> bytes:
    import hashlib

    checksum = hashlib.sha256(origin.encode() + b"\n" + payload).hexdigest()
    return MAGIC + checksum.encode() + b"\n"


_HEAD_SIZE = len(MAGIC) + 64 + 1
"""Bytes of the first lines: SHA-256 takes 64 in hexadecimal digits."""


def _warn(text: str) -> None:
    """Report the first of the things that are wrong with the cache."""
    _report("warning", WarningEvent(text))


def _report(kind: str, event: Event) -> None:
    if _listeners and kind not in _reported:
        _reported.add(kind)
        _listeners[-1](event)
