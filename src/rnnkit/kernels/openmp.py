"""The OpenMP that runs torch's CPU threads: a way into it, and how its threads wait where cores are shared.

Between two pieces of work a thread waits in a busy loop, since to wake a sleeping one takes longer than a small piece
of work. Where another program wants the core, the loop keeps it from the very thread that is waited for: training a
small network beside one busy program went forty times slower. GNU OpenMP cuts the loop from 300,000 rounds to 100 while
it has more threads than there are cores (its manual, `GOMP_SPINCOUNT`). So a watch looks how long the threads of this
process stand in line for a core, and as long as they do, keeps some threads more, which only sleep. No result changes.
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

CROWDED, QUIET = 0.25, 0.1
"""Seconds in each second that all threads together stand in line: cores are shared from the one on, until the other.

Alone it is 0.01 to 0.05, beside one busy program 0.5 to 1."""

INTERVAL = 0.5
"""Seconds from one look to the next."""

DECIDED_BY_USER = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""Variables in which users say themselves how threads wait."""

GNU = "libgomp"
"""Part of the name of the OpenMP that is known to wait like this. Torch's wheels for Linux bring it."""


@cache
def parallel_region() -> Any:
    """`GOMP_parallel(function, argument, threads, flags)` of the OpenMP that torch runs on, or None.

    It is what compilers call to have threads do some work together.
    """
    try:
        function = ctypes.CDLL(torch._C.__file__).GOMP_parallel
    except (AttributeError, OSError):
        return None
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    function.restype = None
    return function


@cache
def watch_cores() -> bool:
    """From now on let torch's threads wait quietly whenever other programs want the cores.

    Returns:
        Whether that is watched: not where users decide themselves, or OpenMP or the system is another.
    """
    decided = any(variable in os.environ for variable in DECIDED_BY_USER)
    if decided or not is_library_loaded(GNU) or parallel_region() is None or run_queue_wait_seconds() is None:
        return False
    threading.Thread(target=_watch, name="watch of the cores", daemon=True).start()
    return True


class Watch:
    """Looks again and again whether cores are shared, and keeps sleepers while they are.

    Args:
        now: Seconds on some clock.
        in_line: Seconds that all threads together have stood in line for a core up to now.
    """

    def __init__(self, now: float, in_line: float) -> None:
        self._last = now, in_line
        self._too_many = usable_processors() + 1  # by themselves: work may have fewer threads for a moment
        self._leave: threading.Event | None = None

    @property
    def shared(self) -> bool:
        """Whether cores are shared, by the last look."""
        return self._leave is not None

    def look(self, now: float, in_line: float) -> None:
        """Compare with the last look."""
        then, before = self._last
        self._last = now, in_line
        share = (in_line - before) / (now - then)
        if self._leave is None and share > CROWDED:
            self._leave = threading.Event()
            threading.Thread(target=keep_sleepers, args=(self._too_many, self._leave), daemon=True).start()
        elif self._leave is not None and share < QUIET:
            self._leave.set()
            self._leave = None


def keep_sleepers(threads: int, leave: threading.Event) -> None:
    """Keep so many threads, the caller's among them, as a team that has nothing to do, until told to leave."""
    nothing = ctypes.cast(ctypes.CDLL(None).free, ctypes.c_void_p)  # called with a null pointer
    parallel_region()(nothing, None, threads, 0)
    leave.wait()


def _watch() -> None:
    watch = Watch(time.monotonic(), run_queue_wait_seconds() or 0.0)
    while True:
        time.sleep(INTERVAL)
        watch.look(time.monotonic(), run_queue_wait_seconds() or 0.0)
