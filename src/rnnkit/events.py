"""Events that a stage emits while it runs.

Stages never print: they call a listener with events. The command line displays them (`cli/`), a script may ignore
them, a test collects them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Note:
    """One line of information: a count, the path of an output, a sample translation."""

    text: str


@dataclass(frozen=True)
class WarningEvent:
    """One line that needs attention: dropped data, or a probably unsatisfactory result."""

    text: str


@dataclass(frozen=True)
class Status:
    """What a stage is doing while it has nothing to count, such as `loading the model`; displayed until the next event.

    Attributes:
        text: A few words; empty if the stage waits for the user.
    """

    text: str


@dataclass(frozen=True)
class Progress:
    """Progress of a task.

    Attributes:
        task: Name of the task, such as `tokenize train.de` or `training`.
        done: Completed units.
        total: Total units; None if unknown.
        unit: Plural name of the unit: `lines`, `steps`.
        facts: Short formatted facts to display beside it, such as `{"tokens/s": "2,690"}`.
        finished: Whether this is the last event of the task.
    """

    task: str
    done: int
    total: int | None = None
    unit: str = "lines"
    facts: Mapping[str, str] = field(default_factory=dict)
    finished: bool = False


Event = Note | WarningEvent | Status | Progress
Listener = Callable[[Event], None]


def limit_progress(listen: Listener, seconds: float = 0.1) -> Listener:
    """Return a listener that passes events on, but only the first, the last and some progress of each task.

    Args:
        listen: Receives the events.
        seconds: Least time between two progress events.
    """
    shown: dict[str, float] = {}

    def select(event: Event) -> None:
        if isinstance(event, Progress) and not event.finished:
            now = time.monotonic()
            if now - shown.get(event.task, -seconds) < seconds:
                return
            shown[event.task] = now
        listen(event)

    return select


def null_listener(event: Event) -> None:
    """Ignore an event."""
