"""Resources of the machine and the process: cores, threads, memory, and the limits of containers."""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import resource
import signal
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rnnkit.events import Listener, Note, WarningEvent
from rnnkit.system import cgroups

_MEMORY, _MAPPINGS, _STATUS = Path("/proc/meminfo"), Path("/proc/self/maps"), Path("/proc/self/status")
_TASKS = Path("/proc/self/task")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of `mallopt` in the GNU C library."""

_PR_SET_PDEATHSIG = 1
"""Option of Linux's `prctl`: the signal sent when the parent exits."""

_UNKNOWN_MEMORY = 1 << 60
"""Memory assumed if the system does not report it, in bytes: unlimited."""

THREADS_VARIABLE = "OMP_NUM_THREADS"
"""Environment variable of OpenMP and linear-algebra libraries."""


@dataclass(frozen=True)
class ResourceLimits:
    """Resources of this process: those of the hardware, or the limits of its container if these are lower.

    Attributes:
        cores: Processor time in cores; may be a fraction in a container with a quota.
        threads: Default number of parallel threads or processes.
        memory: Memory in bytes.
    """

    cores: float
    threads: int
    memory: int

    def __str__(self) -> str:
        cores, threads = f"{self.cores:.2g}", f"{self.threads}"
        return (
            f"{cores} {'core' if cores == '1' else 'cores'}, {threads} {'thread' if threads == '1' else 'threads'}, "
            f"{format_bytes(self.memory)} of memory"
        )


def resource_limits() -> ResourceLimits:
    """Return the resources of this process."""
    quota = cgroups.read_limits().cores
    cores = float(usable_processors()) if quota is None else min(float(usable_processors()), quota)
    return ResourceLimits(cores, available_cores(), memory_limit())


def memory_shortage(needed: int) -> str | None:
    """Return a warning if work needs more memory than this process may use; None if it fits.

    Args:
        needed: Memory in bytes.
    """
    limit = memory_limit()
    if needed <= limit:
        return None
    return (
        f"this needs about {format_bytes(needed)} of memory, and this process may use {format_bytes(limit)}: "
        "the system may kill it without a message"
    )


def report_limits(needed: int, listen: Listener) -> None:
    """Report the resources of this process, and warn if its memory is too small.

    Args:
        needed: Memory that the work needs, in bytes.
        listen: Receives the events.
    """
    listen(Note(f"this process may use {resource_limits()}"))
    if (warning := memory_shortage(needed)) is not None:
        listen(WarningEvent(warning))


def format_bytes(count: int) -> str:
    """Format a number of bytes: `600 MB`, `1.5 GB`."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def usable_processors() -> int:
    """Return the number of processors in the affinity of this process, regardless of quotas."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_cores() -> int:
    """Return the number of parallel threads: one per processor, or as many as the quota of a container allows."""
    quota = cgroups.read_limits().cores
    return usable_processors() if quota is None else max(1, min(usable_processors(), math.ceil(quota)))


def limit_library_threads(variables: MutableMapping[str, str] = os.environ) -> None:
    """Limit the threads of libraries to the quota of a container, as libraries count processors.

    Must run before the libraries are loaded. Without a quota, or if the user has set the variable, nothing changes.

    Args:
        variables: Environment variables.
    """
    threads = available_cores()
    if threads < usable_processors():
        variables.setdefault(THREADS_VARIABLE, str(threads))


def memory_limit() -> int:
    """Return the memory limit of this process in bytes: of the machine, its container or a resource limit."""
    return min(_machine_memory(), cgroups.read_limits().memory or _UNKNOWN_MEMORY, _process_limit())


def available_memory() -> int:
    """Return the available memory in bytes; an estimate if the system does not report it.

    The inactive file cache of a container counts as available, because the system reclaims it.
    """
    facts = dict(line.split(":", 1) for line in _text(_MEMORY).splitlines() if ":" in line)
    try:
        free = int(facts["MemAvailable"].split()[0]) * 1024
    except (KeyError, ValueError, IndexError):
        free = _machine_memory()
    within_limits = cgroups.read_limits().free
    return min(free, _UNKNOWN_MEMORY if within_limits is None else within_limits, _process_limit())


def peak_memory() -> int:
    """Return the peak memory of this process (RSS) in bytes.

    Linux's `getrusage` includes the memory of the parent at the fork, so that a small child of a large program would
    seem large; `/proc` does not.
    """
    held = dict(line.split(":", 1) for line in _text(_STATUS).splitlines() if ":" in line)
    with suppress(KeyError, ValueError, IndexError):
        return int(held["VmHWM"].split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def run_queue_wait_seconds() -> float | None:
    """Return the time that all threads of this process waited in run queues; None if the system does not report it.

    Threads that have ended are not counted.
    """
    waited = []
    for task in _TASKS.glob("*/schedstat"):
        with suppress(OSError, ValueError, IndexError):  # the thread has just ended
            waited.append(int(task.read_text(encoding="ascii").split()[1]))
    return sum(waited) / 1e9 if waited else None


def is_library_loaded(library: str) -> bool:
    """Return whether a library whose path contains this text is loaded; False if the system does not report it."""
    return library in _text(_MAPPINGS)


def retain_freed_memory() -> None:
    """Make the allocator of the GNU C library retain freed memory of any size until the process ends.

    Training steps free and allocate the same tensors. Otherwise these are returned to the system and mapped again page
    by page, which takes up to a sixth of a step.
    """
    system = _system_library()
    if system is not None and hasattr(system, "mallopt"):
        system.mallopt(_MMAP_THRESHOLD, 1 << 30)
        system.mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)


def terminate_with_parent() -> None:
    """Request SIGTERM when the parent process ends, even if it is killed. Linux only."""
    system = _system_library()
    if system is not None and hasattr(system, "prctl"):
        system.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


def release_library_pages(library: str) -> None:
    """Return the code pages of a library to the system until it runs again, and freed memory of the allocator.

    A compiler that is no longer used occupies about 50 MB. Linux only.

    Args:
        library: Part of the path of the library.
    """
    system, mappings = _system_library(), _text(_MAPPINGS)
    if system is None or not mappings:
        return
    if hasattr(system, "malloc_trim"):  # GNU C library only
        system.malloc_trim(0)
    if not hasattr(system, "madvise"):
        return
    system.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for mapping in mappings.splitlines():  # code pages are never modified, so the system reads them again
        fields = mapping.split(maxsplit=5)
        if len(fields) == 6 and library in fields[5] and fields[1].startswith("r-x"):
            start, _, stop = fields[0].partition("-")
            with suppress(ValueError):
                system.madvise(int(start, 16), int(stop, 16) - int(start, 16), mmap.MADV_DONTNEED)


def _system_library() -> ctypes.CDLL | None:
    """Return the C library on Linux; None on other systems, or if it cannot be loaded."""
    if sys.platform != "linux":
        return None
    try:
        return ctypes.CDLL(None)
    except OSError:
        return None


def _machine_memory() -> int:
    """Return the memory of the machine in bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return _UNKNOWN_MEMORY


def _process_limit() -> int:
    """Return the smallest memory limit set by `ulimit`, in bytes."""
    limits = (resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
    return min((limit for limit in limits if limit != resource.RLIM_INFINITY), default=_UNKNOWN_MEMORY)


def _text(file: Path) -> str:
    """Read a system file; empty if it is unreadable."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
