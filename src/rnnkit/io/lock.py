"""Which process wrote something that was never finished.

A process is named by its number, its host, the moment it started, the boot of its system and its space of process
numbers. The number alone is not enough: after a reboot, or in a container that counts from 1, it belongs to another
program.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rnnkit.errors import ArtefactError
from rnnkit.io.durable import explain_os_errors

TEMPORARY_SUFFIX = ".partial"
"""Last part of the name of what is being written; left behind only by a kill, ignored and removed by the next run."""

_MAX_NAME_BYTES = 120
"""Bytes of a file's name that a temporary name repeats; with the process's name it stays below the system's 255."""

_BOOT, _NAMESPACE = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")


def process_identity() -> str:
    """This process: number, host, start, boot and number space, separated by blanks; 0 where one is not known."""
    return _identity_of(os.getpid())  # a fork has another


@cache
def _identity_of(process: int) -> str:
    return f"{process} {os.uname().nodename} {_start_time(process) or 0} {_boot_id()} {_pid_namespace()}"


def is_process_alive(owner: str) -> bool:
    """Whether a process still runs, as far as can be told from here.

    One of another host, or of another container on this one, counts as alive. One of this host's earlier boot is
    gone, and so is one whose number another program has by now. What is not a name owns nothing.
    """
    process, host, started, boot, namespace = _identity_fields(owner)
    if not process.isdigit():
        return False
    if host != os.uname().nodename:
        return True
    if boot not in ("0", _boot_id()):
        return False
    if namespace not in ("0", _pid_namespace()):
        return True
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return started in ("0", str(_start_time(int(process)) or started))


def is_in_other_container(owner: str) -> bool:
    """Whether a process is one of another container on this very system: only its `flock` shows that it lives."""
    _, host, _, boot, namespace = _identity_fields(owner)
    return boot == _boot_id() != "0" and (host != os.uname().nodename or namespace != _pid_namespace())


def try_flock(descriptor: int) -> bool | None:
    """Take the `flock` of an open file without waiting.

    Returns:
        True where it was taken, False where another process has it, None where the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def temporary_path(path: Path) -> Path:
    """Where this process writes what will be `path`."""
    return path.with_name(f".{_stem(path)}.{process_identity().replace(' ', '@')}{TEMPORARY_SUFFIX}")


def remove_stale_temporaries(path: Path) -> None:
    """Remove what killed processes of this computer left of a file that they wrote."""
    stem = _stem(path)
    for left in path.parent.glob(f".{glob.escape(stem)}.*@*{TEMPORARY_SUFFIX}"):
        owner = left.name.removeprefix(f".{stem}.").removesuffix(TEMPORARY_SUFFIX).replace("@", " ")
        # What begins with more than a process is of another file, such as the manifest beside this one.
        if owner.partition(" ")[0].isdigit() and (
            not is_process_alive(owner) or (is_in_other_container(owner) and _is_unlocked(left))
        ):
            left.unlink(missing_ok=True)


def _is_unlocked(path: Path) -> bool:
    """Whether no process holds the `flock` of a file that is being written."""
    with suppress(OSError), path.open("rb") as file:
        return try_flock(file.fileno()) is True
    return False


def _stem(path: Path) -> str:
    """A file's name, or a hash in its place where a temporary name would be longer than a name can be."""
    name = os.fsencode(path.name)
    return path.name if len(name) <= _MAX_NAME_BYTES else hashlib.sha256(name).hexdigest()[:32]


def _identity_fields(owner: str) -> list[str]:
    """Number, host, start, boot and number space; those that an older rnnkit did not write are 0."""
    parts = owner.split(" ")[:5]
    return parts + ["0"] * (5 - len(parts))


def _start_time(process: int) -> int | None:
    """When a process started, in ticks since the boot; None where the system does not tell."""
    try:
        facts = Path(f"/proc/{process}/stat").read_bytes()
        return int(facts.rpartition(b")")[2].split()[19])  # the name before it may hold anything
    except (OSError, ValueError, IndexError):
        return None


@cache
def _boot_id() -> str:
    with suppress(OSError):
        return _BOOT.read_text(encoding="ascii").replace("-", "")[:12] or "0"
    return "0"


@cache
def _pid_namespace() -> str:
    with suppress(OSError):
        return "".join(filter(str.isdigit, _NAMESPACE.readlink().name)) or "0"
    return "0"


LOCK_NAME = ".lock"
_MAX_IDENTITY_BYTES = 1000


@dataclass
class HeldLock:
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
def lock_directory(folder: Path, part: str = "") -> Iterator[HeldLock]:
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
        with lock_file(folder / (f".{part}{LOCK_NAME}" if part else LOCK_NAME), folder) as held:
            yield held
    finally:
        with suppress(OSError):  # a command that wrote nothing leaves no folders either
            for place in new:
                place.rmdir()


@contextmanager
def lock_file(path: Path, what: Path) -> Iterator[HeldLock]:
    """The same, with a lock file anywhere.

    Args:
        path: The lock file.
        what: What it stands for, in messages.
    """
    with explain_os_errors(what):
        held = HeldLock(path, _acquire(path, what))
    try:
        yield held
    finally:
        if held.descriptor is not None:
            _release(held.path, held.descriptor)


@contextmanager
def lock_beside(path: Path) -> Iterator[None]:
    """The same, for what is to have the name `path`: the lock file stands beside it, in a folder that exists."""
    with lock_file(path.with_name(f".{path.name}{LOCK_NAME}"), path):
        yield


def _acquire(path: Path, what: Path) -> int | None:
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
            holder = _read_identity(descriptor)
            locked = try_flock(descriptor)
            if locked is False or (holder != process_identity() and _is_held_by(holder, locked)):
                raise _lock_taken(path, what, holder)
            if _has_name(path, descriptor) and _read_identity(descriptor) == holder:
                _write_identity(descriptor)
                _held[_inode(descriptor)] = descriptor
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # another process released it or took it over just now
    raise ArtefactError(f"{what} is in use", "another process took it just now", hint="wait for it")


def _create(path: Path) -> int | None:
    """Make the lock file, locked and with its owner's name; None where there is one."""
    remove_stale_temporaries(path)
    mine = temporary_path(path)
    descriptor = os.open(mine, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        _write_identity(descriptor)
        try_flock(descriptor)
        try:
            os.link(mine, path)
        except FileExistsError:
            raise
        except OSError:  # a disk without links
            os.close(descriptor)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            try_flock(descriptor)
            _write_identity(descriptor)
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, FileExistsError):
            return None
        raise
    finally:
        mine.unlink(missing_ok=True)
    _held[_inode(descriptor)] = descriptor
    return descriptor


def _is_held_by(holder: str, locked: bool | None) -> bool:
    """Whether the process that wrote its name into a lock still holds it.

    Args:
        holder: Its name.
        locked: Whether the file's `flock` could be taken; None where there are none.
    """
    return is_process_alive(holder) and not (locked and is_in_other_container(holder))


def _release(path: Path, descriptor: int) -> None:
    """Give a lock back. The file may have been deleted, and another process have made one of the same name."""
    del _held[_inode(descriptor)]
    with suppress(OSError):
        if _has_name(path, descriptor) and _read_identity(descriptor) == process_identity():
            path.unlink()
    os.close(descriptor)


def _lock_taken(path: Path, what: Path, holder: str) -> ArtefactError:
    process, _, rest = holder.partition(" ")
    host = rest.partition(" ")[0]
    named = f"process {process} on {host} writes to it" if process.isdigit() else "another process writes to it"
    return ArtefactError(
        f"{what} is in use",
        named,
        hint=f"wait for it; if it is certain that no such process runs, delete {path}",
    )


def _has_name(path: Path, descriptor: int) -> bool:
    """Whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _inode(descriptor: int) -> tuple[int, int]:
    facts = os.fstat(descriptor)
    return facts.st_dev, facts.st_ino


def _read_identity(descriptor: int) -> str:
    return os.pread(descriptor, _MAX_IDENTITY_BYTES, 0).decode("utf-8", "replace")


def _write_identity(descriptor: int) -> None:
    """Put this process's name into a lock file."""
    mine = process_identity().encode()
    os.ftruncate(descriptor, 0)
    if os.pwrite(descriptor, mine, 0) < len(mine):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
