"""Progress on a terminal: a bar for each running task, and a moving bar while there is nothing to count.

A thread redraws the bars, so that time passes on the screen while a library is loading or a kernel is being compiled.
It blocks all signals and holds a lock only while it draws. A bar keeps its width on every terminal; facts that do not
fit behind it are left out.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnkit.errors import escape_line
from rnnkit.events import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

REDRAW = 0.1
"""Seconds between two drawings of the same bar."""

REFRESH = 0.25
"""Seconds between two drawings by the thread."""

PATIENCE = 0.5
"""Seconds without a sign of life after which a moving bar appears."""

BAR_WIDTH = 12
"""Columns of a bar: the shortest on which 10 % can be told from 20 %."""

NAME_WIDTH = 24
"""Most columns of the name of a task."""

WORKING = "working"
"""Text of the moving bar if the stage has set none."""


@dataclass
class Pace:
    """Time and speed of a task.

    Attributes:
        started: Time of its first event.
        first: Units that were complete then.
        since: Time from which the speed is measured: after the first units, which often include preparations.
        done: Units that were complete at that time.
    """

    started: float
    first: int
    since: float
    done: int

    @classmethod
    def begin(cls, event: Progress, now: float) -> Pace:
        """Begin with the first event of a task."""
        return cls(now, event.done, now, event.done)

    def update(self, event: Progress, now: float) -> None:
        """Note the time of the first units."""
        if self.done == self.first < event.done:
            self.since, self.done = now, event.done

    def per_second(self, event: Progress, now: float) -> float:
        """Units per second; 0 if unknown."""
        if event.done > self.done and now > self.since:
            return (event.done - self.done) / (now - self.since)
        return (event.done - self.first) / (now - self.started) if now > self.started else 0.0

    def seconds_left(self, event: Progress, now: float) -> float | None:
        """Estimated time to the end; None if unknown."""
        rate = self.per_second(event, now)
        return (event.total - event.done) / rate if event.total is not None and rate > 0 else None


@dataclass
class _Row:
    """A task on display: its last event, when it was drawn, and its bar."""

    event: Progress
    pace: Pace
    drawn: float
    bar: TaskID | None = None


class ProgressDisplay:
    """Bars at the foot of a terminal, on standard error.

    Attributes:
        lock: Held while something is drawn.

    Args:
        clock: A monotonic clock in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.lock = threading.RLock()
        self._clock = clock
        self._rows: dict[str, _Row] = {}
        self._bars: Bars | None = None
        self._status = ""
        self._status_since = clock()
        self._status_bar: TaskID | None = None
        self._paused = False
        self._ended = threading.Event()

    def start(self) -> None:
        """Start the thread that draws what changes with time."""
        self.set_status("starting")
        with suppress(RuntimeError):  # no more threads are allowed: bars are drawn by events alone
            threading.Thread(target=self._run, name="progress display", daemon=True).start()

    def stop(self) -> None:
        """End the thread and remove the bars."""
        self._ended.set()
        self._rows.clear()
        self.clear()

    def set_status(self, text: str) -> None:
        """Set the text of the moving bar, which appears if nothing happens for a while; none if it is empty."""
        with self.lock:
            if text == self._status != WORKING:
                return
            self._status, self._status_since = text, self._clock()
            if self._status_bar is not None and self._bars is not None:
                self._bars.remove_task(self._status_bar)
            self._status_bar = None

    def pause(self) -> None:
        """Remove the bars while the user types."""
        with self.lock:
            self._paused = True
            self.clear()

    def resume(self) -> None:
        """Allow bars again after `pause`."""
        with self.lock:
            self._paused = False
            self.set_status(WORKING)

    def follow(self, event: Progress, pace: Pace) -> None:
        """Show an event of a task."""
        with self.lock:
            now = self._clock()
            row = self._rows.setdefault(event.task, _Row(event, pace, now))
            row.event = event
            if event.finished:
                self._remove(row)
            elif now - row.drawn >= REDRAW:
                row.drawn = now
                self._draw()
            self.set_status("" if self._rows else WORKING)

    def clear(self) -> None:
        """Remove the bars, so that something else can be written; the next drawing brings them back."""
        with self.lock:
            bars, self._bars, self._status_bar = self._bars, None, None
            for row in self._rows.values():
                row.bar = None
            if bars is not None:
                bars.stop()

    def write(self, text: str) -> bool:
        """Write a line above the bars. Returns False if there are none."""
        with self.lock:
            if self._bars is None:
                return False
            self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)
            return True

    def _run(self) -> None:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while not self._ended.wait(REFRESH):
            with self.lock, suppress(OSError):  # a closed terminal
                self.refresh()

    def refresh(self) -> None:
        """Draw what has changed with time."""
        if self._ended.is_set() or self._paused:
            return
        if self._rows or self._shows_status():
            self._draw()

    def _draw(self) -> None:
        from rich.cells import cell_len, set_cell_size

        now, bars = self._clock(), self._open()
        longest = min(NAME_WIDTH, bars.console.width // 3)
        names = [escape_line(task) for task in self._rows]
        names = [set_cell_size(name, longest - 1) + "…" if cell_len(name) > longest else name for name in names]
        status = escape_line(self._status) if self._shows_status() else ""
        width = bars.console.width - max(map(cell_len, [*names, status])) - BAR_WIDTH - 2
        for name, row in zip(names, self._rows.values(), strict=True):
            words = escape_line(fit(bar_words(row.event, row.pace, now), width))
            if row.bar is None:
                row.bar = bars.add_task(name, total=row.event.total, words=words, dashes="")
            dashes = bar_of_dashes(row.event.done, row.event.total, now)
            bars.update(row.bar, completed=row.event.done, total=row.event.total, words=words, dashes=dashes)
        if status:
            if self._status_bar is None:
                self._status_bar = bars.add_task(status, total=None, words="", dashes="")
            dashes = bar_of_dashes(0, None, now)
            bars.update(self._status_bar, words=short_duration(now - self._status_since), dashes=dashes)
        bars.refresh()

    def _shows_status(self) -> bool:
        return bool(self._status) and self._clock() - self._status_since >= PATIENCE

    def _open(self) -> Bars:
        if self._bars is None:
            self._bars = _new_bars()
            self._bars.start()
        return self._bars

    def _remove(self, row: _Row) -> None:
        del self._rows[row.event.task]
        if self._bars is not None and row.bar is not None:
            self._bars.remove_task(row.bar)
        if not self._rows:
            self.clear()


def bar_words(event: Progress, pace: Pace, now: float) -> list[str]:
    """Facts behind a bar, the most important first: count, time left, metrics, rates."""
    total = f"/{event.total:,}" if event.total is not None else ""
    words = [f"{event.done:,}{total} {event.unit}"]
    left = pace.seconds_left(event, now)
    if left is not None and left > 0:
        words.append(f"{short_duration(left)} left")
    elif left is None and now - pace.started >= 1:
        words.append(short_duration(now - pace.started))
    words += [f"{name} {fact}" for name, fact in event.facts.items() if not name.endswith("/s")][:1]
    words += [f"{fact} {name}" for name, fact in event.facts.items() if name.endswith("/s")]
    words += [f"{name} {fact}" for name, fact in event.facts.items() if not name.endswith("/s")][1:]
    if not any(name.endswith("/s") for name in event.facts) and (rate := pace.per_second(event, now)) > 0:
        words.append(f"{format_rate(rate)} {event.unit}/s")
    return words


def bar_of_dashes(done: int, total: int | None, now: float) -> str:
    """A bar without colors, whose rest is dashed; without a total, a piece of it moves."""
    if total is None:
        place = int(now / REFRESH) % (BAR_WIDTH - 2)
        return f"{'┄' * place}━━━".ljust(BAR_WIDTH, "┄")
    return ("━" * (BAR_WIDTH * min(done, total) // max(1, total))).ljust(BAR_WIDTH, "┄")


def fit(words: Sequence[str], width: int) -> str:
    """Join as many words, from the first on, as fit; a first word that is too long is cut."""
    text = words[0] if len(words[0]) <= width else f"{words[0][: max(0, width - 1)]}…"
    for word in words[1:]:
        if len(text) + 2 + len(word) > width:
            break
        text += f"  {word}"
    return text


def format_rate(per_second: float) -> str:
    """A rate, with a decimal if it is small."""
    return f"{per_second:,.{0 if per_second >= 10 else 1}f}"


def short_duration(seconds: float) -> str:
    """An estimated duration: `8 s`, `9 min 20 s`, `43 min`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _new_bars() -> Bars:
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars
    from rich.table import Column

    one_line = Column(no_wrap=True, overflow="ellipsis")
    console = RichConsole(stderr=True)
    return Bars(
        TextColumn("{task.description}", markup=False, table_column=one_line),
        TextColumn("{task.fields[dashes]}", markup=False) if console.no_color else BarColumn(bar_width=BAR_WIDTH),
        TextColumn("{task.fields[words]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
        console=console,
        transient=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    )
