"""The OpenMP runtime of torch's CPU threads: an entry point for kernels, and relief from busy waiting.

Between two pieces of work, an OpenMP thread spins in a busy loop, because waking a sleeping thread takes longer than a
small piece of work. If another program competes for the core, the loop takes it from the very thread that the others
wait for: training a small network beside one busy program was forty times slower. GNU OpenMP reduces the loop from
300,000 rounds to 100 while it has more threads than there are cores (its manual, `GOMP_SPINCOUNT`). The contention
monitor measures how long the threads of this process wait in the run queue; as long as it is long, it holds an idle
team of extra threads, which only sleep, so that the runtime stops spinning. No result changes.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from functools import cache
from typing import Any

import torch

from rnnkit.system.machine import is_library_loaded, run_queue_wait_seconds, usable_processors

HIGH_CONTENTION, LOW_CONTENTION = 0.25, 0.1
"""Seconds per second that all threads together wait in the run queue: contention starts above the first, and ends below
the second. Alone, a process has 0.01 to 0.05; beside one busy program, 0.5 to 1."""

SAMPLING_INTERVAL = 0.5
"""Seconds between two measurements."""

WAIT_POLICY_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""Environment variables by which users set how threads wait; they switch the monitor off."""

GNU_OPENMP = "libgomp"
"""Part of the file name of GNU OpenMP, the runtime known to wait this way. Torch's Linux wheels include it."""


@cache
def parallel_region() -> Any:
    """Return `GOMP_parallel(function, argument, threads, flags)` of the OpenMP runtime that torch uses, or None.

    Compilers emit calls of it for parallel regions.
    """
    try:
        function = ctypes.CDLL(torch._C.__file__).GOMP_parallel
    except (AttributeError, OSError):
        return None
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    function.restype = None
    return function


@cache
def start_contention_monitor() -> bool:
    """Start the contention monitor in a daemon thread, once per process.

    Returns:
        Whether it runs. It does not if the user has set a wait policy, if torch uses another OpenMP runtime, or if the
        system does not report the time in the run queue.
    """
    decided = any(variable in os.environ for variable in WAIT_POLICY_VARIABLES)
    if decided or not is_library_loaded(GNU_OPENMP) or parallel_region() is None or run_queue_wait_seconds() is None:
        return False
    threading.Thread(target=_monitor_contention, name="contention monitor", daemon=True).start()
    return True


class ContentionMonitor:
    """Detects contention for the cores, and holds an idle team while it lasts.

    Args:
        now: Current time in seconds, of any clock.
        waited: Seconds that all threads together have waited in the run queue so far.
    """

    def __init__(self, now: float, waited: float) -> None:
        self._last = now, waited
        # More than the cores even if the process has no other threads at the moment.
        self._team_size = usable_processors() + 1
        self._release: threading.Event | None = None

    @property
    def contended(self) -> bool:
        """Whether there was contention at the last measurement."""
        return self._release is not None

    def update(self, now: float, waited: float) -> None:
        """Compare a measurement with the last one."""
        last_now, last_waited = self._last
        self._last = now, waited
        share = (waited - last_waited) / (now - last_now)
        if self._release is None and share > HIGH_CONTENTION:
            self._release = threading.Event()
            threading.Thread(target=hold_idle_team, args=(self._team_size, self._release), daemon=True).start()
        elif self._release is not None and share < LOW_CONTENTION:
            self._release.set()
            self._release = None


def hold_idle_team(threads: int, release: threading.Event) -> None:
    """Create a team of OpenMP threads, the calling one among them, and keep it idle until `release` is set."""
    no_work = ctypes.cast(ctypes.CDLL(None).free, ctypes.c_void_p)  # free(NULL) does nothing
    parallel_region()(no_work, None, threads, 0)
    release.wait()


def _monitor_contention() -> None:
    monitor = ContentionMonitor(time.monotonic(), run_queue_wait_seconds() or 0.0)
    while True:
        time.sleep(SAMPLING_INTERVAL)
        monitor.update(time.monotonic(), run_queue_wait_seconds() or 0.0)
