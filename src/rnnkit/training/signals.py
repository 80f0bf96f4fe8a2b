"""SIGTERM and Ctrl-C set a flag; the loop finishes its step, saves and stops. A second one stops at once.

What comes in the same moment is the first one still: Linux tells of a parent's death once for each of its threads.
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
"""Seconds after the first signal in which another one means nothing new."""


RETRY_SECONDS = 0.2
"""Seconds after which an exception that something has caught by mistake is raised again."""

IMPORT_GRACE_SECONDS = 2.0
"""Seconds that an import has to finish first: exceptions inside one are often lost or end the process abruptly."""


class Terminated(BaseException):
    """SIGTERM where no stage listens for it; files being written are cleaned up on its way out."""


class SignalDelivery:
    """Raises an exception for a signal, in the main thread, again and again until it has arrived.

    An exception that a handler raises at any moment may come to nothing: in a callback, in a destructor, in code that
    catches everything. It has arrived once `settle` is called. While it is on its way through `finally` blocks it is
    not raised again, so that these can do their work. A second signal ends the process.

    Args:
        exceptions: Makes the exception, by the signal's number.
    """

    def __init__(self, exceptions: Mapping[int, Callable[[], BaseException]]) -> None:
        self._exceptions = exceptions
        self._raised: BaseException | None = None
        self._number = 0
        self._since = 0.0
        self._settled = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The handler of the signals."""
        now = time.monotonic()
        if not self._number:
            self._number, self._since = number, now
            self.attempt(0, frame)
        elif now - self._since > DEBOUNCE_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def attempt(self, number: int, frame: FrameType | None) -> None:
        """Raise the exception, unless it is on its way; and come back later. This is the handler of SIGALRM."""
        if not self._number or self._settled:
            return
        signal.setitimer(signal.ITIMER_REAL, RETRY_SECONDS)
        early = time.monotonic() - self._since < IMPORT_GRACE_SECONDS
        if not self.is_handled() and not (early and _is_importing(frame)):
            self._raised = self._exceptions[self._number]()
            raise self._raised

    def is_handled(self) -> bool:
        """Whether an `except` or `finally` block that the exception has reached is running."""
        found = sys.exception()
        while found is not None:
            if found is self._raised:
                return True
            found = found.__context__
        return False

    def settle(self) -> int:
        """Stop raising; returns the signal's number once, and 0 where there was none."""
        if not self._number or self._settled:
            return 0
        self._settled = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        return self._number

    def ignore_lost(self, lost: UnraisableHookArgs) -> None:
        """Let `sys.unraisablehook` not print what is raised again."""
        if lost.exc_value is None or lost.exc_value is not self._raised:
            sys.__unraisablehook__(lost)


_deliveries: list[SignalDelivery] = []
"""Those whose block is running; the last one has the signals."""


@contextmanager
def raise_on_signals(exceptions: Mapping[int, Callable[[], BaseException]]) -> Iterator[None]:
    """Raise an exception in the block for each of these signals, except those that this process ignores.

    A signal that came before, in the block of another such call around this one, and was not yet raised, is taken over.

    Args:
        exceptions: Makes the exception, by the signal's number.
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
        sys.unraisablehook = delivery.ignore_lost
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
    """Stop raising for the signal that came, if one did; returns its number, else 0."""
    return next((number for delivery in reversed(_deliveries) if (number := delivery.settle())), 0)


@contextmanager
def default_handlers() -> Iterator[None]:
    """Let the signals end the process in the block, which is code outside Python that waits and runs no handler."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    handled = [number for number, handler in old.items() if handler is not signal.SIG_IGN]
    try:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)
        if before := take_pending():  # just before, and not yet raised
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
    """Whether somebody asked to stop; `number` is the signal's, 0 while nobody did, and `since` when it came."""

    def __init__(self) -> None:
        self.signum = 0
        self.since = 0.0

    def __bool__(self) -> bool:
        return self.signum != 0


@contextmanager
def catch_stop_signals() -> Iterator[StopRequest]:
    """Catch the signals while the block runs; the old handlers are back afterwards.

    Outside the main thread signals cannot be caught, and the flag is never set.
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
        if before := take_pending():  # just before, and not yet raised
            handle(before, None)
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
