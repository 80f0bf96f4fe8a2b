"""Which process wrote something that was never finished.

A process is named by its number, its host, the moment it started, the boot of its system and its space of process
numbers. The number alone is not enough: after a reboot, or in a container that counts from 1, it belongs to another
program.
"""

from __future__ import annotations

import fcntl
import glob
import hashlib
import os
from contextlib import suppress
from functools import cache
from pathlib import Path

TEMPORARY = ".partial"
"""Last part of the name of what is being written; left behind only by a kill, ignored and removed by the next run."""

_LONGEST_NAME = 120
"""Bytes of a file's name that a temporary name repeats; with the process's name it stays below the system's 255."""

_BOOT, _NAMESPACE = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")


def name() -> str:
    """This process: number, host, start, boot and number space, separated by blanks; 0 where one is not known."""
    return _name_of(os.getpid())  # a fork has another


@cache
def _name_of(process: int) -> str:
    return f"{process} {os.uname().nodename} {_started(process) or 0} {_boot()} {_namespace()}"


def is_alive(owner: str) -> bool:
    """Whether a process still runs, as far as can be told from here.

    One of another host, or of another container on this one, counts as alive. One of this host's earlier boot is
    gone, and so is one whose number another program has by now. What is not a name owns nothing.
    """
    process, host, started, boot, namespace = _parts(owner)
    if not process.isdigit():
        return False
    if host != os.uname().nodename:
        return True
    if boot not in ("0", _boot()):
        return False
    if namespace not in ("0", _namespace()):
        return True
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return started in ("0", str(_started(int(process)) or started))


def is_out_of_sight(owner: str) -> bool:
    """Whether a process is one of another container on this very system: only its `flock` shows that it lives."""
    _, host, _, boot, namespace = _parts(owner)
    return boot == _boot() != "0" and (host != os.uname().nodename or namespace != _namespace())


def lock(descriptor: int) -> bool | None:
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


def temporary(path: Path) -> Path:
    """Where this process writes what will be `path`."""
    return path.with_name(f".{_stem(path)}.{name().replace(' ', '@')}{TEMPORARY}")


def sweep(path: Path) -> None:
    """Remove what killed processes of this computer left of a file that they wrote."""
    stem = _stem(path)
    for left in path.parent.glob(f".{glob.escape(stem)}.*@*{TEMPORARY}"):
        owner = left.name.removeprefix(f".{stem}.").removesuffix(TEMPORARY).replace("@", " ")
        # What begins with more than a process is of another file, such as the manifest beside this one.
        if owner.partition(" ")[0].isdigit() and (not is_alive(owner) or (is_out_of_sight(owner) and _is_free(left))):
            left.unlink(missing_ok=True)


def _is_free(path: Path) -> bool:
    """Whether no process holds the `flock` of a file that is being written."""
    with suppress(OSError), path.open("rb") as file:
        return lock(file.fileno()) is True
    return False


def _stem(path: Path) -> str:
    """A file's name, or a hash in its place where a temporary name would be longer than a name can be."""
    name = os.fsencode(path.name)
    return path.name if len(name) <= _LONGEST_NAME else hashlib.sha256(name).hexdigest()[:32]


def _parts(owner: str) -> list[str]:
    """Number, host, start, boot and number space; those that an older rnnkit did not write are 0."""
    parts = owner.split(" ")[:5]
    return parts + ["0"] * (5 - len(parts))


def _started(process: int) -> int | None:
    """When a process started, in ticks since the boot; None where the system does not tell."""
    try:
        facts = Path(f"/proc/{process}/stat").read_bytes()
        return int(facts.rpartition(b")")[2].split()[19])  # the name before it may hold anything
    except (OSError, ValueError, IndexError):
        return None


@cache
def _boot() -> str:
    with suppress(OSError):
        return _BOOT.read_text(encoding="ascii").replace("-", "")[:12] or "0"
    return "0"


@cache
def _namespace() -> str:
    with suppress(OSError):
        return "".join(filter(str.isdigit, _NAMESPACE.readlink().name)) or "0"
    return "0"
