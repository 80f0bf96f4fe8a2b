"""What this machine has, and what this process has taken of it."""

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
"""Numbers of the GNU library's `mallopt`."""

_SIGNAL_OF_PARENT = 1
"""Number of Linux's `prctl` for the signal that comes when the parent is gone."""

_UNKNOWN_MEMORY = 1 << 60
"""Bytes that are assumed where the system does not report its memory: no limit."""

THREADS_VARIABLE = "OMP_NUM_THREADS"
"""Variable that OpenMP and the libraries of linear algebra read."""


@dataclass(frozen=True)
class ResourceLimits:
    """What this process may take of the machine: the hardware, or the limits of its container where these are lower.

    Attributes:
        cores: Processor time in cores; a fraction where a container has a quota.
        threads: Threads or processes that work side by side unless an option says otherwise.
        memory: Bytes of memory.
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
    """What this process may take."""
    quota = cgroups.read_limits().cores
    cores = float(usable_processors()) if quota is None else min(float(usable_processors()), quota)
    return ResourceLimits(cores, available_cores(), memory_limit())


def memory_shortage(needed: int) -> str | None:
    """A warning where work takes more memory than this process may hold; None where it fits.

    Args:
        needed: Bytes.
    """
    limit = memory_limit()
    if needed <= limit:
        return None
    return (
        f"this takes about {format_bytes(needed)} of memory, and this process may use {format_bytes(limit)}: "
        "the system may end it without a message"
    )


def report_limits(needed: int, listen: Listener) -> None:
    """Report what this process may take of the machine, and warn where that is too little.

    Args:
        needed: Bytes of memory that the work takes.
        listen: Gets the events.
    """
    listen(Note(f"this process may use {resource_limits()}"))
    if (warning := memory_shortage(needed)) is not None:
        listen(WarningEvent(warning))


def format_bytes(count: int) -> str:
    """A number of bytes in the unit that suits it: `600 MB`, `1.5 GB`."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def usable_processors() -> int:
    """Processors that this process may run on, of whose time it may have less."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_cores() -> int:
    """Threads that can work side by side: one a processor, or as many as the quota of a container keeps busy."""
    quota = cgroups.read_limits().cores
    return usable_processors() if quota is None else max(1, min(usable_processors(), math.ceil(quota)))


def limit_library_threads(variables: MutableMapping[str, str] = os.environ) -> None:
    """Let libraries start as many threads as the quota of a container keeps busy: they count processors.

    It comes before they are loaded. Without a quota, or where the user has set the variable, nothing changes.

    Args:
        variables: The environment.
    """
    threads = available_cores()
    if threads < usable_processors():
        variables.setdefault(THREADS_VARIABLE, str(threads))


def memory_limit() -> int:
    """Bytes of memory that this process may hold: the machine's, or what its container or a resource limit allows."""
    return min(_machine_memory(), cgroups.read_limits().memory or _UNKNOWN_MEMORY, _process_limit())


def available_memory() -> int:
    """Memory that can be taken without pushing out what others hold; a guess where the system does not say.

    Files that a container holds in its cache and has not used lately are free: they make room.
    """
    facts = dict(line.split(":", 1) for line in _text(_MEMORY).splitlines() if ":" in line)
    try:
        free = int(facts["MemAvailable"].split()[0]) * 1024
    except (KeyError, ValueError, IndexError):
        free = _machine_memory()
    below_limit = cgroups.read_limits().free
    return min(free, _UNKNOWN_MEMORY if below_limit is None else below_limit, _process_limit())


def peak_memory() -> int:
    """Most memory this process has held, in bytes.

    Linux's `getrusage` counts the process that started this one too, as it stood at the start, so that a small command
    that a large program ran would seem large. Its `/proc` does not.
    """
    held = dict(line.split(":", 1) for line in _text(_STATUS).splitlines() if ":" in line)
    with suppress(KeyError, ValueError, IndexError):
        return int(held["VmHWM"].split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def run_queue_wait_seconds() -> float | None:
    """How long this process' threads together have stood in line for a core; None where the system does not say.

    Threads that have ended are not counted.
    """
    waited = []
    for task in _TASKS.glob("*/schedstat"):
        with suppress(OSError, ValueError, IndexError):  # the thread has ended since
            waited.append(int(task.read_text(encoding="ascii").split()[1]))
    return sum(waited) / 1e9 if waited else None


def is_library_loaded(library: str) -> bool:
    """Whether this process has loaded a library with this in its name; False where the system does not say."""
    return library in _text(_MAPPINGS)


def retain_freed_memory() -> None:
    """Let the allocator keep what is freed for the next that asks, however large, until the process ends.

    A training step that is like the one before frees and asks for the same tensors. Otherwise each goes back to the
    system and comes again page by page, which takes up to a sixth of a step. Only the GNU library is asked.
    """
    system = _system_library()
    if system is not None and hasattr(system, "mallopt"):
        system.mallopt(_MMAP_THRESHOLD, 1 << 30)
        system.mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)


def terminate_with_parent() -> None:
    """Get SIGTERM when the process that started this one is gone, be it killed. Only Linux is asked."""
    system = _system_library()
    if system is not None and hasattr(system, "prctl"):
        system.prctl(_SIGNAL_OF_PARENT, int(signal.SIGTERM), 0, 0, 0)


def release_library_pages(library: str) -> None:
    """Give back the memory that a library's code takes until it runs again, and what it has freed of its own.

    A compiler that has done its work is half a hundred megabytes that nobody looks at. Only Linux is asked.

    Args:
        library: Part of the name of its file.
    """
    system, mappings = _system_library(), _text(_MAPPINGS)
    if system is None or not mappings:
        return
    if hasattr(system, "malloc_trim"):  # of the GNU library
        system.malloc_trim(0)
    if not hasattr(system, "madvise"):
        return
    system.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for mapping in mappings.splitlines():
        fields = mapping.split(maxsplit=5)
        if len(fields) == 6 and library in fields[5] and fields[1].startswith("r-x"):  # nothing was ever written there
            start, _, stop = fields[0].partition("-")
            with suppress(ValueError):
                system.madvise(int(start, 16), int(stop, 16) - int(start, 16), mmap.MADV_DONTNEED)


def _system_library() -> ctypes.CDLL | None:
    """The C library on Linux; None on other systems, and where it cannot be reached."""
    if sys.platform != "linux":
        return None
    try:
        return ctypes.CDLL(None)
    except OSError:
        return None


def _machine_memory() -> int:
    """Memory of the whole machine in bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return _UNKNOWN_MEMORY


def _process_limit() -> int:
    """The least of the limits that a shell sets with `ulimit`."""
    limits = (resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
    return min((limit for limit in limits if limit != resource.RLIM_INFINITY), default=_UNKNOWN_MEMORY)


def _text(file: Path) -> str:
    """The content of a file of the system; empty where it cannot be read."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
