"""Threads that leave the cores to others where others want them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from rnnkit.kernels import openmp
from rnnkit.system.machine import available_cores, is_library_loaded, run_queue_wait_seconds

WATCHED = (
    is_library_loaded(openmp.GNU) and openmp.parallel_region() is not None and run_queue_wait_seconds() is not None
)
"""Whether this machine has what the watch needs."""

STEPS = """
import os, time, torch
from pathlib import Path
from rnnkit.nn.device import set_threads
set_threads(2)
x = torch.zeros(1 << 17)
def steps(seconds):
    done, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        x.add_(1.0)
        done += 1
    return done
steps(0.1)
for task in Path("/proc/self/task").iterdir():
    os.sched_setaffinity(int(task.name), {min(os.sched_getaffinity(0))})
steps(1.5)
print(steps(1.0))
"""
"""Small pieces of work for two threads that get a single core; how many in a second, once the watch could look."""

SLEEPERS = """
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
before, leave = threads(), threading.Event()
print(before)
threading.Thread(target=openmp.keep_sleepers, args=(int(sys.argv[1]), leave)).start()
settle(lambda: threads() >= before + int(sys.argv[1]))
print(threads())
leave.set()
settle(lambda: threads() == before)
print(threads())
"""
"""Threads of this process before there are sleepers, while there are, and once they have left."""


@pytest.mark.skipif(not WATCHED, reason="torch runs on another OpenMP here")
def test_cores_are_shared_until_the_line_is_clearly_shorter() -> None:
    watch, seen = openmp.Watch(0.0, 3.0), []
    for now, in_line in [(0.5, 3.1), (1.0, 3.3), (2.0, 3.5), (3.0, 3.55), (4.0, 3.75), (5.0, 3.0)]:
        watch.look(now, in_line)
        seen.append(watch.shared)
    assert seen == [False, True, True, False, False, False]


@pytest.mark.skipif(not WATCHED, reason="torch runs on another OpenMP here")
def test_sleepers_come_and_leave() -> None:
    """In a process of its own, in which nothing else starts threads."""
    before, during, after = (int(count) for count in _run([SLEEPERS, "3"], dict(os.environ)).split())
    assert during >= before + 3
    assert after == before


@pytest.mark.skipif(not WATCHED, reason="torch runs on another OpenMP here")
@pytest.mark.parametrize("variable", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_users_who_say_how_threads_wait_are_left_alone(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", lambda self: None)
    assert openmp.watch_cores.__wrapped__()
    monkeypatch.setenv(variable, "1000")
    assert not openmp.watch_cores.__wrapped__()


def test_another_openmp_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openmp, "GNU", "libiomp5")
    assert not openmp.watch_cores.__wrapped__()


def test_a_system_that_does_not_say_who_stands_in_line_is_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openmp, "run_queue_wait_seconds", lambda: None)
    assert not openmp.watch_cores.__wrapped__()


@pytest.mark.skipif(not WATCHED or available_cores() < 2, reason="needs two cores, and GNU OpenMP")
def test_threads_that_share_a_core_do_not_spin() -> None:
    """Spinning ones do some hundreds of steps here, quiet ones ten thousand."""
    free = {name: value for name, value in os.environ.items() if name not in openmp.DECIDED_BY_USER}
    quiet, slow = (int(_run([STEPS], one)) for one in (free, {**free, "GOMP_SPINCOUNT": "300000"}))
    assert quiet > 3 * slow


def _run(arguments: list[str], environment: dict[str, str]) -> str:
    command = [sys.executable, "-c", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
