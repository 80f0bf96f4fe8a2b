"""How much of the machine other processes take while a benchmark runs."""

from __future__ import annotations

import os
import time
from pathlib import Path

DISTURBED = 0.03
"""Share of the cores in other processes' hands above which a run is named as disturbed."""


class Meter:
    """Measures, from its making on, how much of the machine other processes take (Linux; elsewhere not known)."""

    def __init__(self) -> None:
        self._start = time.monotonic(), busy_seconds(), own_seconds()

    def others(self) -> float | None:
        """Share of the cores between 0 and 1. Subprocesses count as our own once they have ended."""
        start, busy_before, own_before = self._start
        busy_now = busy_seconds()
        if busy_before is None or busy_now is None:
            return None
        taken = (busy_now - busy_before) - (own_seconds() - own_before)
        return max(0.0, taken / ((time.monotonic() - start) * (os.cpu_count() or 1)))


def busy_seconds() -> float | None:
    """Seconds that the cores have been busy since the machine started, time stolen by other guests included."""
    table = Path("/proc/stat")
    if not table.is_file():
        return None
    user, nice, system, _, _, interrupt, soft_interrupt, steal = map(int, table.read_text().split()[1:9])
    return (user + nice + system + interrupt + soft_interrupt + steal) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """Seconds of processor time of this process and of its subprocesses that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system
