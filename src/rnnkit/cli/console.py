"""Output of a command: results on standard output, everything else on standard error.

Progress is a bar on a terminal, and a plain line every ten seconds elsewhere, so that a log file stays readable.
`NO_COLOR` and `TERM=dumb` are respected. If the reader of standard error closes it, the work continues silently.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from rnnkit.errors import escape_control, escape_json, escape_line
from rnnkit.events import Event, Note, Progress, WarningEvent

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

INTERVAL = 10.0
"""Seconds between two plain lines about the same task."""

REDRAW = 0.1
"""Seconds between two drawings of the same bar."""

AT_ONCE = 1.0
"""Work of fewer seconds than this leaves no line."""

BAR_WIDTH = 12
"""Columns of a bar: the shortest on which 10 % can be told from 20 %."""

RED, YELLOW = "1;31", "33"

Mark = tuple[str, str]
"""A word before a text, and its style."""


@dataclass
class _Task:
    """State of a task on display: when and where it began, and when it was last drawn."""

    started: float
    first: int
    shown: float
    bar: TaskID | None = None


class Console:
    """Displays the events of a stage and prints its results.

    Args:
        quiet: Only print results and errors.
        json: Print a report as one JSON object instead of text.
        clock: A monotonic clock in seconds.
        debug: Whether failures show a traceback; passed on to the processes of a distributed run.
        silent: Print nothing, because another rank does.
    """

    def __init__(
        self,
        quiet: bool = False,
        json: bool = False,
        clock: Callable[[], float] = time.monotonic,
        debug: bool = False,
        silent: bool = False,
    ) -> None:
        self.quiet = quiet or silent
        self.json = json
        self._debug = debug
        self._silent = silent
        self._clock = clock
        self._tasks: dict[str, _Task] = {}
        self._animated = is_animated(sys.stderr)
        self._bars: Bars | None = None

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def listen(self, event: Event) -> None:
        """Display one event; the listener of every stage."""
        if self.quiet:
            return
        try:
            match event:
                case Note(text):
                    self._write_note(escape_line(text))
                case WarningEvent(text):
                    self._write_note(escape_line(text), ("warning:", YELLOW))
                case Progress():
                    self._follow(event)
        except OSError:  # a closed terminal or pipe
            self.quiet = True
            self._bars = None

    def words(self) -> list[str]:
        """Flags of a command with a console like this one."""
        flags = {"--quiet": self.quiet, "--json": self.json, "--debug": self._debug}
        return [flag for flag, given in flags.items() if given]

    def note(self, text: str) -> None:
        """Print one line on standard error."""
        self.listen(Note(text))

    def write(self, line: str) -> None:
        """Print one line of data on standard output: unchanged, or escaped and flushed on a terminal."""
        if self._silent:
            return
        live = sys.stdout.isatty()
        if live:
            self._clear()
        sys.stdout.write(f"{escape_control(line) if live else line}\n")
        if live:
            sys.stdout.flush()

    def write_aside(self, line: str) -> None:
        """Print one line of the result on standard error, if standard output has lines of another kind."""
        if self._silent:
            return
        self._clear()
        with contextlib.suppress(OSError):  # a closed terminal or pipe
            write_line(line)

    def show(self, line: str) -> None:
        """Print one line for people, escaped."""
        self.write(escape_line(line))

    def show_document(self, document: Mapping[str, Any]) -> None:
        """Print one JSON object, control characters escaped."""
        self.write(escape_json(json.dumps(document, ensure_ascii=False)))

    def report(self, text: str, document: Mapping[str, Any]) -> None:
        """Print a result as text, or with `--json` as one JSON object."""
        if self.json:
            self.show_document(document)
        else:
            self.write(escape_control(text))

    def summarize(self, lines: Iterable[str], document: Mapping[str, Any]) -> None:
        """Print notes about a result that is files, or with `--json` one JSON object."""
        if self.json:
            self.show_document(document)
        else:
            for line in lines:
                self.note(line)

    def close(self) -> None:
        """Remove the bars from the terminal."""
        self._clear()
        self._tasks.clear()

    def _follow(self, event: Progress) -> None:
        now = self._clock()
        task = self._tasks.get(event.task)
        if task is None:
            task = self._tasks[event.task] = _Task(now, event.done, now)
        if event.finished:
            self._finish(event, self._tasks.pop(event.task), now)
        elif now - task.shown >= (REDRAW if self._animated else INTERVAL):
            task.shown = now
            if self._animated:
                self._draw(event, task, now)
            else:
                self._write_note(escape_line(f"{event.task}: {', '.join(_words(event, task, now))}"))

    def _finish(self, event: Progress, task: _Task, now: float) -> None:
        """Replace the bar with one line, unless the task was short or is part of a running task."""
        if self._bars and task.bar is not None:
            self._bars.remove_task(task.bar)
        if self._tasks:
            return
        self._clear()
        if now - task.started >= AT_ONCE:
            total = f"{event.done:,} {event.unit} in {duration(now - task.started)}"
            self._write_note(escape_line(f"{event.task}: {', '.join([total, *_facts(event)])}"))

    def _draw(self, event: Progress, task: _Task, now: float) -> None:
        if self._bars is None:
            self._bars = _new_bars()
            for other in self._tasks.values():
                other.bar = None
            self._bars.start()
        words = escape_line("  ".join(_words(event, task, now)))
        if task.bar is None:
            task.bar = self._bars.add_task(escape_line(event.task), total=event.total, words=words)
        self._bars.update(task.bar, completed=event.done, total=event.total, words=words, refresh=True)

    def _clear(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def _write_note(self, text: str, mark: Mark | None = None) -> None:
        if self._bars is not None:
            self._bars.console.print(_marked(text, mark), markup=False, highlight=False, soft_wrap=True)
        else:
            write_line(text, mark)


def write_line(text: str, mark: Mark | None = None) -> None:
    """Write a text to standard error, control characters escaped.

    Args:
        text: The text; it may hold names and content of files.
        mark: A word before it, and its style.
    """
    sys.stderr.write(f"{_marked(text, mark)}\n")
    sys.stderr.flush()


def _marked(text: str, mark: Mark | None) -> str:
    return f"{style(*mark, sys.stderr)} {escape_control(text)}" if mark else escape_control(text)


def is_animated(stream: IO[str]) -> bool:
    """Whether a stream is a terminal that can redraw lines."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def style(text: str, code: str, stream: IO[str]) -> str:
    """Color a text if the stream is a terminal and `NO_COLOR` is not set."""
    if not is_animated(stream) or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{code}m{text}\x1b[0m"


def duration(seconds: float) -> str:
    """A duration in at most two units: `0.4 s`, `45 s`, `12 min 3 s`, `2 h 5 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def _words(event: Progress, task: _Task, now: float) -> list[str]:
    """Parts of a progress line, the most important first: count, time left, rate, metrics."""
    share = f" of {event.total:,}" if event.total is not None else ""
    percent = f" ({100 * event.done // event.total}%)" if event.total else ""
    words = [f"{event.done:,}{share} {event.unit}{percent}"]
    elapsed, done = now - task.started, event.done - task.first
    if elapsed > 0 and done > 0:
        if event.total is not None:
            words.append(f"{duration(elapsed * (event.total - event.done) / done)} left")
        if not any(name.endswith("/s") for name in event.facts):
            words.append(f"{done / elapsed:,.{0 if done >= elapsed * 10 else 1}f} {event.unit}/s")
    return words + _facts(event)


def _facts(event: Progress) -> list[str]:
    """Metrics of the stage, rates first: `2,690 tokens/s`, `loss 3.2`."""
    rates = [f"{fact} {name}" for name, fact in event.facts.items() if name.endswith("/s")]
    return rates + [f"{name} {fact}" for name, fact in event.facts.items() if not name.endswith("/s")]


def _new_bars() -> Bars:
    """Bars on standard error, redrawn by events: no thread runs beside the work.

    The bar keeps its width; on a narrow terminal the text behind it is cut.
    """
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars
    from rich.table import Column

    return Bars(
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, max_width=24)),
        BarColumn(bar_width=BAR_WIDTH),
        TextColumn(
            "{task.fields[words]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)
        ),
        expand=True,
        console=RichConsole(stderr=True),
        transient=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    )
