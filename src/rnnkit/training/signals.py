"""SIGTERM and Ctrl-C set a flag; the loop finishes its step, saves and stops. A second one stops at once.

What comes in the same moment is the first one still: Linux tells of a parent's death once for each of its threads.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

CAUGHT = (signal.SIGINT, signal.SIGTERM)

MOMENT = 0.5
"""Seconds after the first signal in which another one means nothing new."""


class Stop:
    """Whether somebody asked to stop; `number` is the signal's, 0 while nobody did, and `since` when it came."""

    def __init__(self) -> None:
        self.number = 0
        self.since = 0.0

    def __bool__(self) -> bool:
        return self.number != 0


@contextmanager
def catch() -> Iterator[Stop]:
    """Catch the signals while the block runs; the old handlers are back afterwards.

    Outside the main thread signals cannot be caught, and the flag is never set.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    old = {number: signal.getsignal(number) for number in CAUGHT}

    def handle(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not stop:
            stop.number, stop.since = number, now
        elif now - stop.since > MOMENT:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    try:
        for number in CAUGHT:
            signal.signal(number, handle)
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
