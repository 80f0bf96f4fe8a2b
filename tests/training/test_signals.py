"""Signals: the first requests to stop, a later one ends the process at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from rnnkit.training import signals

WAITING = """
import signal, sys, time
from rnnkit.training import signals
with signals.catch_stop_signals() as stop:
    print("ready", flush=True)
    while not stop:
        time.sleep(0.01)
    signal.raise_signal(signal.SIGTERM)
    print("within the debounce", flush=True)
    time.sleep(signals.DEBOUNCE_SECONDS + 0.1)
    signal.raise_signal(signal.SIGTERM)
print("never")
"""


@pytest.mark.parametrize("number", signals.STOP_SIGNALS)
def test_a_signal_requests_to_stop_and_handlers_are_restored(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with signals.catch_stop_signals() as stop:
        assert not stop
        signal.raise_signal(number)
        assert stop
        assert stop.signum == number
    assert signal.getsignal(number) is before


def test_a_second_signal_ends_the_process_after_the_debounce() -> None:
    process = subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (-signal.SIGTERM, "within the debounce\n")


def test_signals_are_not_caught_outside_the_main_thread() -> None:
    before, seen = signal.getsignal(signal.SIGTERM), []

    def look() -> None:
        with signals.catch_stop_signals() as stop:
            seen.append((bool(stop), signal.getsignal(signal.SIGTERM) is before))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [(False, True)]


LOST = """
import signal, sys, time, weakref
from rnnkit.training import signals
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background have inherited that it is ignored

class Here: pass

def callback(_):
    signal.raise_signal({number})

def swallow():
    try:
        signal.raise_signal({number})
    except BaseException:
        pass

def lose():
    here = Here()
    reference = weakref.ref(here, callback)
    del here

try:
    with signals.raise_on_signals({{signal.SIGTERM: signals.Terminated, signal.SIGINT: KeyboardInterrupt}}):
        try:
            {how}()
            time.sleep(20)
            print("not raised again")
        finally:
            time.sleep(1)  # several times the interval of raising it again
            print("cleaned up")
except (signals.Terminated, KeyboardInterrupt) as stop:
    print(type(stop).__name__)
"""


@pytest.mark.parametrize("how", ["lose", "swallow"])
@pytest.mark.parametrize(("number", "name"), [(signal.SIGTERM, "Terminated"), (signal.SIGINT, "KeyboardInterrupt")])
def test_a_swallowed_exception_is_raised_again(how: str, number: int, name: str) -> None:
    """It does not interrupt `finally` blocks that it has reached."""
    program = LOST.format(how=how, number=int(number))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == (f"cleaned up\n{name}\n", "")


def test_a_stop_request_takes_over_a_pending_signal() -> None:
    with signals.raise_on_signals({signal.SIGTERM: signals.Terminated}):
        delivery = signals._deliveries[-1]
        with pytest.raises(signals.Terminated):
            delivery.handle(signal.SIGTERM, None)
        with signals.catch_stop_signals() as stop:
            assert stop.signum == signal.SIGTERM
        assert signals.take_pending() == 0, "the signal is taken over"


def test_an_inner_block_takes_over_a_signal_during_an_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_is_importing", lambda frame: frame is not None)
    with signals.raise_on_signals({signal.SIGTERM: signals.Terminated}):
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt), signals.raise_on_signals({signal.SIGTERM: KeyboardInterrupt}):
            pytest.fail("it is raised at once")


SECOND = """
import signal, time
from rnnkit.training import signals

with signals.raise_on_signals({signal.SIGTERM: signals.Terminated}):
    try:
        print("waiting", flush=True)
        time.sleep(60)
    finally:
        print("cleaning", flush=True)
        time.sleep(60)
"""


def test_a_second_signal_ends_a_hanging_cleanup() -> None:
    process = subprocess.Popen([sys.executable, "-c", SECOND], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in ("waiting", "cleaning"):
        assert process.stdout.readline() == f"{line}\n"
        time.sleep(2 * signals.DEBOUNCE_SECONDS)
        process.send_signal(signal.SIGTERM)
    assert process.wait(20) == -signal.SIGTERM
