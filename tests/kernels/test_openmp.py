"""The contention monitor: threads stop spinning while other programs compete for the cores."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from rnnkit.kernels import openmp
from rnnkit.system.machine import available_cores, is_library_loaded, run_queue_wait_seconds

WATCHED = (
    is_library_loaded(openmp.GNU_OPENMP)
    and openmp.parallel_region() is not None
    and run_queue_wait_seconds() is not None
)
"""Whether this machine has what the monitor needs."""

STEPS = """
import os, time, torch
from pathlib import Path
from rnnkit.nn.device import set_threads
set_threads(2)
x = torch.zeros(1 << 17)
def steps(seconds):
    done, until = 0, time.process_time() + seconds
    while time.process_time() < until:
        x.add_(1.0)
        done += 1
    return done
steps(0.1)
for task in Path("/proc/self/task").iterdir():
    os.sched_setaffinity(int(task.name), {min(os.sched_getaffinity(0))})
steps(1.5)
print(steps(1.0))
"""
"""Print the number of small steps of two threads on a single core per second of processor time, once it is measured."""

IDLE_TEAM = """
import sys, threading, time
from pathlib import Path
from rnnkit.kernels import openmp
def threads():
    return len(list(Path("/proc/self/task").iterdir()))
def settle(done):
    until = time.monotonic() + 10
    while not done() and time.monotonic() < until:
        time.sleep(0.01)
openmp.parallel_region()
before, release = threads(), threading.Event()
print(before)
threading.Thread(target=openmp.hold_idle_team, args=(int(sys.argv[1]), release)).start()
settle(lambda: threads() >= before + int(sys.argv[1]))
print(threads())
release.set()
settle(lambda: threads() == before)
print(threads())
"""
"""Print the threads of the process before it holds an idle team, while it does, and afterwards."""


@pytest.mark.skipif(not WATCHED, reason="torch uses another OpenMP runtime")
def test_monitor_has_hysteresis() -> None:
    monitor, seen = openmp.ContentionMonitor(0.0, 3.0), []
    for now, waited in [(0.5, 3.1), (1.0, 3.3), (2.0, 3.5), (3.0, 3.55), (4.0, 3.75), (5.0, 3.0)]:
        monitor.update(now, waited)
        seen.append(monitor.contended)
    assert seen == [False, True, True, False, False, False]


@pytest.mark.skipif(not WATCHED, reason="torch uses another OpenMP runtime")
def test_idle_team_starts_and_ends() -> None:
    """The team has its threads and ends; in a separate process, where nothing else starts threads."""
    before, during, after = (int(count) for count in _run([IDLE_TEAM, "3"], dict(os.environ)).split())
    assert during >= before + 3
    assert after == before


@pytest.mark.skipif(not WATCHED, reason="torch uses another OpenMP runtime")
@pytest.mark.parametrize("variable", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_monitor_respects_wait_policy_variables(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", lambda self: None)
    assert openmp.start_contention_monitor.__wrapped__()
    monkeypatch.setenv(variable, "1000")
    assert not openmp.start_contention_monitor.__wrapped__()


def test_monitor_ignores_other_openmp_runtimes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openmp, "GNU_OPENMP", "libiomp5")
    assert not openmp.start_contention_monitor.__wrapped__()


def test_monitor_needs_run_queue_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openmp, "run_queue_wait_seconds", lambda: None)
    assert not openmp.start_contention_monitor.__wrapped__()


@pytest.mark.skipif(not WATCHED or available_cores() < 2, reason="needs two cores, and GNU OpenMP")
def test_threads_on_a_shared_core_do_not_spin() -> None:
    """Spinning threads do hundreds of steps here, sleeping ones ten thousand."""
    free = {name: value for name, value in os.environ.items() if name not in openmp.WAIT_POLICY_VARIABLES}
    quiet, slow = (int(_run([STEPS], one)) for one in (free, {**free, "GOMP_SPINCOUNT": "300000"}))
    assert quiet > 3 * slow


def _run(arguments: list[str], environment: dict[str, str]) -> str:
    command = [sys.executable, "-c", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
