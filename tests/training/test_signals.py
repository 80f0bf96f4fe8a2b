"""Signals that ask to stop: the first one kindly, a later one at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from rnnkit.training import signals

WAITING = """
import signal, sys, time
from rnnkit.training import signals
with signals.catch() as stop:
    print("ready", flush=True)
    while not stop:
        time.sleep(0.01)
    signal.raise_signal(signal.SIGTERM)
    print("in the same moment", flush=True)
    time.sleep(signals.MOMENT + 0.1)
    signal.raise_signal(signal.SIGTERM)
print("never")
"""


@pytest.mark.parametrize("number", signals.CAUGHT)
def test_a_signal_sets_the_flag_and_the_old_handler_comes_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with signals.catch() as stop:
        assert not stop
        signal.raise_signal(number)
        assert stop
        assert stop.number == number
    assert signal.getsignal(number) is before


def test_a_second_one_stops_at_once_unless_it_comes_in_the_same_moment() -> None:
    process = subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (-signal.SIGTERM, "in the same moment\n")


def test_outside_the_main_thread_nothing_is_caught() -> None:
    before, seen = signal.getsignal(signal.SIGTERM), []

    def look() -> None:
        with signals.catch() as stop:
            seen.append((bool(stop), signal.getsignal(signal.SIGTERM) is before))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [(False, True)]
