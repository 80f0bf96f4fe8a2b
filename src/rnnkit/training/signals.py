"""SIGTERM and SIGINT (Ctrl-C): a stop request that the trainer handles after its step, or an exception.

A second signal ends the process at once, unless it follows immediately: Linux reports the death of a parent process
once for each of its threads.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

DEBOUNCE_SECONDS = 0.5
"""Seconds after the first signal in which further signals are ignored."""

RETRY_SECONDS = 0.2
"""Seconds after which an exception that other code has swallowed is raised again."""

IMPORT_GRACE_SECONDS = 2.0
"""Seconds that a running import may take to finish first; an exception inside an import is often lost, or ends the
process abruptly."""


class Terminated(BaseException):
    """Raised by SIGTERM where no stop request is handled; it unwinds the stack, so temporary files are removed."""


class SignalDelivery:
    """Raises an exception for a signal in the main thread, repeatedly until it is delivered.

    An exception raised by a signal handler may be lost: in a callback, in a destructor, in code that catches
    everything. It counts as delivered when `settle` is called. It is not raised again while `finally` blocks handle
    it, so that these can complete. A second signal ends the process.

    Args:
        exceptions: Constructors of the exceptions, by signal number.
    """

    def __init__(self, exceptions: Mapping[int, Callable[[], BaseException]]) -> None:
        self._exceptions = exceptions
        self._raised: BaseException | None = None
        self._number = 0
        self._since = 0.0
        self._settled = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        now = time.monotonic()
        if not self._number:
            self._number, self._since = number, now
            self.attempt(0, frame)
        elif now - self._since > DEBOUNCE_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def attempt(self, number: int, frame: FrameType | None) -> None:
        """Raise the exception unless it is being handled, and set a timer to try again; the handler of SIGALRM."""
        if not self._number or self._settled:
            return
        signal.setitimer(signal.ITIMER_REAL, RETRY_SECONDS)
        early = time.monotonic() - self._since < IMPORT_GRACE_SECONDS
        if not self.is_handled() and not (early and _is_importing(frame)):
            self._raised = self._exceptions[self._number]()
            raise self._raised

    def is_handled(self) -> bool:
        """Return whether an `except` or `finally` block is handling the exception."""
        current = sys.exception()
        while current is not None:
            if current is self._raised:
                return True
            current = current.__context__
        return False

    def settle(self) -> int:
        """Stop raising; return the signal's number the first time, and 0 later or if there was no signal."""
        if not self._number or self._settled:
            return 0
        self._settled = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        return self._number

    def filter_unraisable(self, unraisable: UnraisableHookArgs) -> None:
        """Print unraisable exceptions (`sys.unraisablehook`) except the one that will be raised again."""
        if unraisable.exc_value is None or unraisable.exc_value is not self._raised:
            sys.__unraisablehook__(unraisable)


_deliveries: list[SignalDelivery] = []
"""Deliveries whose block is running; the last one handles the signals."""


@contextmanager
def raise_on_signals(exceptions: Mapping[int, Callable[[], BaseException]]) -> Iterator[None]:
    """Raise an exception in the block for each of these signals, except those that this process ignores.

    A pending signal of an enclosing block, whose exception was not raised yet, is handled here.

    Args:
        exceptions: Constructors of the exceptions, by signal number.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    delivery = SignalDelivery(exceptions)
    handlers = {number: delivery.handle for number in exceptions if signal.getsignal(number) is not signal.SIG_IGN}
    before = {number: signal.getsignal(number) for number in (*handlers, signal.SIGALRM)}
    hook = sys.unraisablehook
    pending = take_pending()
    _deliveries.append(delivery)
    try:
        signal.signal(signal.SIGALRM, delivery.attempt)
        sys.unraisablehook = delivery.filter_unraisable
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if pending in exceptions:
            delivery.handle(pending, None)
        yield
    finally:
        delivery.settle()
        for number, old in before.items():
            signal.signal(number, old)
        sys.unraisablehook = hook
        _deliveries.remove(delivery)


def take_pending() -> int:
    """Take over a signal that is being delivered: stop raising, and return its number; 0 if there is none."""
    return next((number for delivery in reversed(_deliveries) if (number := delivery.settle())), 0)


@contextmanager
def default_handlers() -> Iterator[None]:
    """Restore the default handlers in the block, for native code that blocks and so runs no Python handler."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    handled = [number for number, handler in old.items() if handler is not signal.SIG_IGN]
    try:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)
        if before := take_pending():  # received just before, and not raised yet
            signal.raise_signal(before)
        yield
    finally:
        for number in handled:
            signal.signal(number, old[number])


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


class StopRequest:
    """A request to stop; false until a signal is received.

    Attributes:
        signum: Number of the signal; 0 before.
        since: Monotonic time of the signal.
    """

    def __init__(self) -> None:
        self.signum = 0
        self.since = 0.0

    def __bool__(self) -> bool:
        return self.signum != 0


@contextmanager
def catch_stop_signals() -> Iterator[StopRequest]:
    """Turn SIGINT and SIGTERM into a stop request within the block.

    Outside the main thread, signals cannot be caught and the request stays false.
    """
    stop = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    old = {number: signal.getsignal(number) for number in STOP_SIGNALS}

    def handle(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not stop:
            stop.signum, stop.since = number, now
        elif now - stop.since > DEBOUNCE_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    try:
        for number in STOP_SIGNALS:
            signal.signal(number, handle)
        if before := take_pending():  # received just before, and not raised yet
            handle(before, None)
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
