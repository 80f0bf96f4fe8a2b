"""What this machine has, and what this process has taken of it."""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

_MEMORY, _MAPPINGS, _STATUS = Path("/proc/meminfo"), Path("/proc/self/maps"), Path("/proc/self/status")
_TASKS = Path("/proc/self/task")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Numbers of the GNU library's `mallopt`."""

_SIGNAL_OF_PARENT = 1
"""Number of Linux's `prctl` for the signal that comes when the parent is gone."""


def available_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_bytes() -> int:
    """Memory that can be taken without pushing out what others hold; a guess where the system does not say."""
    try:
        facts = dict(line.split(":") for line in _MEMORY.read_text(encoding="ascii").splitlines())
        free = int(facts["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = (resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
    return min([free, *(limit for limit in limits if limit != resource.RLIM_INFINITY)])


def peak_memory() -> int:
    """Most memory this process has held, in bytes.

    Linux's `getrusage` counts the process that started this one too, as it stood at the start, so that a small command
    that a large program ran would seem large. Its `/proc` does not.
    """
    if _STATUS.exists():
        held = dict(line.split(":", 1) for line in _STATUS.read_text(encoding="utf-8", errors="replace").splitlines())
        if "VmHWM" in held:
            return int(held["VmHWM"].split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def seconds_in_line() -> float | None:
    """How long this process' threads together have stood in line for a core; None where the system does not say.

    Threads that have ended are not counted.
    """
    waited = []
    for task in _TASKS.glob("*/schedstat"):
        with suppress(OSError):  # the thread has ended since
            waited.append(int(task.read_text(encoding="ascii").split()[1]))
    return sum(waited) / 1e9 if waited else None


def has_loaded(library: str) -> bool:
    """Whether this process has loaded a library with this in its name; False where the system does not say."""
    return _MAPPINGS.exists() and library in _MAPPINGS.read_text(encoding="utf-8", errors="replace")


def keep_freed_memory() -> None:
    """Let the allocator keep what is freed for the next that asks, however large, until the process ends.

    A training step that is like the one before frees and asks for the same tensors. Otherwise each goes back to the
    system and comes again page by page, which takes up to a sixth of a step. Only the GNU library is asked.
    """
    system = ctypes.CDLL(None)
    if sys.platform == "linux" and hasattr(system, "mallopt"):
        system.mallopt(_MMAP_THRESHOLD, 1 << 30)
        system.mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)


def end_with_parent() -> None:
    """Get SIGTERM when the process that started this one is gone, be it killed. Only Linux is asked."""
    system = ctypes.CDLL(None)
    if sys.platform == "linux":
        system.prctl(_SIGNAL_OF_PARENT, int(signal.SIGTERM), 0, 0, 0)


def release_code(library: str) -> None:
    """Give back the memory that a library's code takes until it runs again, and what it has freed of its own.

    A compiler that has done its work is half a hundred megabytes that nobody looks at. Only Linux is asked.

    Args:
        library: Part of the name of its file.
    """
    if not _MAPPINGS.exists():
        return
    system = ctypes.CDLL(None)
    if hasattr(system, "malloc_trim"):  # of the GNU library
        system.malloc_trim(0)
    system.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for mapping in _MAPPINGS.read_text(encoding="utf-8", errors="replace").splitlines():
        span, access, *_, name = mapping.split(maxsplit=5)
        if library in name and access.startswith("r-x"):  # nothing was ever written there
            start, stop = (int(bound, 16) for bound in span.split("-"))
            system.madvise(start, stop - start, mmap.MADV_DONTNEED)
