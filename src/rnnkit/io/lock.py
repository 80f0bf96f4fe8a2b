"""Locks: one writer per directory, and the identity of the processes that hold locks or left temporary files behind.

A lock file is created exclusively and contains the identity of its owner from the start, because on some network file
systems `flock` always succeeds. The owner also holds it with `flock`, because a process id means nothing in another
container or after a reboot. A lock whose owner has ended is taken over by exactly one of the processes that try.

A process is identified by its id, host, start time, boot id and process-id namespace. The id alone does not suffice:
after a reboot, or in a container with ids from 1, it belongs to another program.
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

from rnnkit.errors import ArtefactError, explain_os_errors

LOCK_NAME = ".lock"

TEMPORARY_SUFFIX = ".partial"
"""Suffix of temporary names. Only a kill leaves such a file behind; the next run ignores and removes it."""

_MAX_NAME_BYTES = 120
"""Maximum length of a file name within its temporary name, which with the identity stays below the limit of 255."""

_MAX_IDENTITY_BYTES = 1000

_BOOT, _NAMESPACE = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")


def process_identity() -> str:
    """Return the identity of this process: id, host, start, boot and namespace, space-separated; 0 if unknown."""
    return _identity_of(os.getpid())  # by id, because a fork has another identity


@cache
def _identity_of(process: int) -> str:
    return f"{process} {os.uname().nodename} {_start_time(process) or 0} {_boot_id()} {_pid_namespace()}"


def is_process_alive(identity: str) -> bool:
    """Return whether a process still runs, as far as this process can determine.

    A process of another host, or of another container on this host, counts as alive. One of an earlier boot of this
    host has ended, and so has one whose id now belongs to another program. A malformed identity counts as ended.
    """
    process, host, started, boot, namespace = _identity_fields(identity)
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


def is_in_other_container(identity: str) -> bool:
    """Return whether a process runs in another container of this system, where only its `flock` shows it is alive."""
    _, host, _, boot, namespace = _identity_fields(identity)
    return boot == _boot_id() != "0" and (host != os.uname().nodename or namespace != _pid_namespace())


def try_flock(descriptor: int) -> bool | None:
    """Try to take the `flock` of an open file without waiting.

    Returns:
        True if taken, False if another process holds it, None if the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def temporary_path(path: Path) -> Path:
    """Return the path under which this process writes the future content of `path`."""
    return path.with_name(f".{_short_name(path)}.{process_identity().replace(' ', '@')}{TEMPORARY_SUFFIX}")


def remove_stale_temporaries(path: Path) -> None:
    """Remove temporary files of `path` whose process, on this system, has ended."""
    short = _short_name(path)
    for temporary in path.parent.glob(f".{glob.escape(short)}.*@*{TEMPORARY_SUFFIX}"):
        identity = temporary.name.removeprefix(f".{short}.").removesuffix(TEMPORARY_SUFFIX).replace("@", " ")
        if not identity.partition(" ")[0].isdigit():
            continue  # a temporary of a longer name, such as that of the manifest of this file
        if not is_process_alive(identity) or (is_in_other_container(identity) and _is_unlocked(temporary)):
            temporary.unlink(missing_ok=True)


def _is_unlocked(path: Path) -> bool:
    """Return whether no process holds the `flock` of a temporary file."""
    with suppress(OSError), path.open("rb") as file:
        return try_flock(file.fileno()) is True
    return False


def _short_name(path: Path) -> str:
    """Return the name of a file, or a hash if its temporary name would be too long."""
    name = os.fsencode(path.name)
    return path.name if len(name) <= _MAX_NAME_BYTES else hashlib.sha256(name).hexdigest()[:32]


def _identity_fields(identity: str) -> list[str]:
    """Return id, host, start, boot and namespace; fields that an older version did not write are 0."""
    fields = identity.split(" ")[:5]
    return fields + ["0"] * (5 - len(fields))


def _start_time(process: int) -> int | None:
    """Return the start time of a process in clock ticks since boot; None if the system does not report it."""
    try:
        facts = Path(f"/proc/{process}/stat").read_bytes()
        return int(facts.rpartition(b")")[2].split()[19])  # the name before it may contain anything
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


@dataclass
class HeldLock:
    """A lock held by this process.

    Attributes:
        path: The lock file. Renaming its directory moves it, and updates this.
        descriptor: The open file; None if an outer block of this process already holds the lock.
    """

    path: Path
    descriptor: int | None


_held: dict[tuple[int, int], int] = {}
"""Descriptors of the locks of this process, by device and inode."""


@contextmanager
def lock_directory(folder: Path, part: str = "") -> Iterator[HeldLock]:
    """Lock a directory, which is created if missing, while the block runs.

    Args:
        folder: The directory.
        part: Lock only this part of it, whose writers are independent of others.

    Raises:
        ArtefactError: Another process holds the lock, or the directory cannot be written.
    """
    with explain_os_errors(folder):
        created = [parent for parent in (folder, *folder.parents) if not parent.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with lock_file(folder / (f".{part}{LOCK_NAME}" if part else LOCK_NAME), folder) as held:
            yield held
    finally:
        with suppress(OSError):  # a command that wrote nothing leaves no directories behind
            for parent in created:
                parent.rmdir()


@contextmanager
def lock_file(path: Path, target: Path) -> Iterator[HeldLock]:
    """Hold a lock file while the block runs. Raises as `lock_directory`.

    Args:
        path: The lock file.
        target: What it protects, for messages.
    """
    with explain_os_errors(target):
        held = HeldLock(path, _acquire(path, target))
    try:
        yield held
    finally:
        if held.descriptor is not None:
            _release(held.path, held.descriptor)


@contextmanager
def lock_beside(path: Path) -> Iterator[None]:
    """Hold a lock file beside `path`, in an existing directory. Raises as `lock_directory`."""
    with lock_file(path.with_name(f".{path.name}{LOCK_NAME}"), path):
        yield


def _acquire(path: Path, target: Path) -> int | None:
    """Acquire a lock and return its descriptor; None if this process already holds it."""
    for _ in range(3):
        created = _create(path)
        if created is not None:
            return created
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue  # it has just been released
        if _inode(descriptor) in _held:
            os.close(descriptor)
            return None
        try:
            holder = _read_identity(descriptor)
            locked = try_flock(descriptor)
            if locked is False or (holder != process_identity() and _is_held_by(holder, locked)):
                raise _lock_taken(path, target, holder)
            if _has_name(path, descriptor) and _read_identity(descriptor) == holder:
                _write_identity(descriptor)
                _held[_inode(descriptor)] = descriptor
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # another process has just released it or taken it over
    raise ArtefactError(
        f"{target} is in use", "another process has just locked it", hint="wait until it ends", path=target
    )


def _create(path: Path) -> int | None:
    """Create the lock file, locked and with the identity of its owner; return None if it exists."""
    remove_stale_temporaries(path)
    temporary = temporary_path(path)
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        _write_identity(descriptor)
        try_flock(descriptor)
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # the file system has no hard links
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
        temporary.unlink(missing_ok=True)
    _held[_inode(descriptor)] = descriptor
    return descriptor


def _is_held_by(holder: str, locked: bool | None) -> bool:
    """Return whether the owner recorded in a lock file still holds the lock.

    Args:
        holder: Identity of the owner.
        locked: Whether the `flock` of the file was taken; None if the file system has no locks.
    """
    return is_process_alive(holder) and not (locked and is_in_other_container(holder))


def _release(path: Path, descriptor: int) -> None:
    """Release a lock. The file may have been deleted, and another process may have created one of the same name."""
    del _held[_inode(descriptor)]
    with suppress(OSError):
        if _has_name(path, descriptor) and _read_identity(descriptor) == process_identity():
            path.unlink()
    os.close(descriptor)


def _lock_taken(path: Path, target: Path, holder: str) -> ArtefactError:
    process, _, rest = holder.partition(" ")
    host = rest.partition(" ")[0]
    owner = f"process {process} on {host}" if process.isdigit() else "another process"
    return ArtefactError(
        f"{target} is in use",
        f"{owner} writes to it",
        hint=f"wait until it ends; if no such process runs, delete {path}",
        path=target,
    )


def _has_name(path: Path, descriptor: int) -> bool:
    """Return whether an open file still has its name."""
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
    """Write the identity of this process into a lock file."""
    identity = process_identity().encode()
    os.ftruncate(descriptor, 0)
    if os.pwrite(descriptor, identity, 0) < len(identity):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
