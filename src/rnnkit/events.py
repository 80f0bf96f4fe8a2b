"""What a stage tells whoever called it while it works.

Stages never print: they call a listener with these. The command line draws them (`cli/`), a script may
ignore them, a test collects them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Note:
    """One line worth reading: a count, a path that was written, a sample translation."""

    text: str


@dataclass(frozen=True)
class WarningEvent:
    """One line the user should look at: something was dropped, or will probably disappoint."""

    text: str


@dataclass(frozen=True)
class Progress:
    """How far a piece of work has come.

    Attributes:
        task: What is being done, such as `tokenize train.de` or `training`.
        done: Units finished.
        total: Units in all, or None where nobody knows.
        unit: Plural name of the unit: `lines`, `steps`.
        facts: Short facts to show beside it, ready to print, such as `{"tokens/s": "2,690"}`.
        finished: True with the last event of the task.
    """

    task: str
    done: int
    total: int | None = None
    unit: str = "lines"
    facts: Mapping[str, str] = field(default_factory=dict)
    finished: bool = False


Event = Note | WarningEvent | Progress
Listener = Callable[[Event], None]


def null_listener(event: Event) -> None:
    """A listener that hears nothing."""
