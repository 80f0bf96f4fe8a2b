"""Events: progress that is thinned out."""

from __future__ import annotations

import pytest

from rnnkit.events import Event, Note, Progress, limit_progress


def test_progress_is_thinned_out_by_task(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 10.05, 10.07, 10.2, 10.21])
    monkeypatch.setattr("rnnkit.events.time.monotonic", lambda: next(clock))
    heard: list[Event] = []
    listen = limit_progress(heard.append)
    events: list[Event] = [
        Progress("read a", 1),
        Progress("read a", 2),
        Progress("read b", 1),
        Note("a note"),
        Progress("read a", 3),
        Progress("read a", 4),
        Progress("read a", 4, finished=True),
    ]
    for event in events:
        listen(event)
    assert heard == [event for event in events if event not in (Progress("read a", 2), Progress("read a", 4))]
