"""What a person sees: results on standard output, everything else on standard error.

Progress is drawn as bars where standard error is a terminal that can, and is one plain line every some seconds
elsewhere, so that a log file stays readable. `NO_COLOR` and `TERM=dumb` are honoured. Whoever reads standard error
may go away at any time: then the talking stops and the work goes on.
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
"""Work of fewer seconds than this ends without a word."""

BOLD, RED, YELLOW, CYAN = "1", "1;31", "33", "36"

Mark = tuple[str, str]
"""A word that stands before a text, and the style that it is painted in."""


@dataclass
class _Task:
    """What is remembered about a piece of work: when and where it began, and when it was last shown."""

    started: float
    first: int
    shown: float
    bar: TaskID | None = None


class Console:
    """Draws the events of a stage and prints its results.

    Args:
        quiet: Say nothing but results and errors.
        json: Print a report as one JSON object instead of text.
        clock: Seconds that never go back; tests give their own.
        debug: Whether failures show a traceback; only told on to processes that are started from here.
        silent: Say and print nothing at all, for another process does.
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
        """Show one event; this is the listener that stages are given."""
        if self.quiet:
            return
        try:
            match event:
                case Note(text):
                    self._say(escape_line(text))
                case WarningEvent(text):
                    self._say(escape_line(text), ("warning:", YELLOW))
                case Progress():
                    self._follow(event)
        except OSError:  # a closed terminal or pipe; what the stage does goes on unseen
            self.quiet = True
            self._bars = None

    def words(self) -> list[str]:
        """Flags of a command whose console is like this one."""
        asked = {"--quiet": self.quiet, "--json": self.json, "--debug": self._debug}
        return [flag for flag, given in asked.items() if given]

    def note(self, text: str) -> None:
        """Say one line on standard error."""
        self.listen(Note(text))

    def write(self, line: str) -> None:
        """Print one line of data, at once where a person or a program waits for it on a terminal.

        Data is passed on as it is; a terminal gets it escaped.
        """
        if self._silent:
            return
        live = sys.stdout.isatty()
        if live:
            self._clear()
        sys.stdout.write(f"{escape_control(line) if live else line}\n")
        if live:
            sys.stdout.flush()

    def write_aside(self, line: str) -> None:
        """Print one line of the result on standard error, where standard output has lines of another kind."""
        if self._silent:
            return
        self._clear()
        with contextlib.suppress(OSError):  # a closed terminal or pipe
            say(line)

    def show(self, line: str) -> None:
        """Print one line for people, escaped."""
        self.write(escape_line(line))

    def show_document(self, document: Mapping[str, Any]) -> None:
        """Print one JSON object, with escapes for all that might steer a terminal."""
        self.write(escape_json(json.dumps(document, ensure_ascii=False)))

    def report(self, text: str, document: Mapping[str, Any]) -> None:
        """Print a result for people, or the same facts as one JSON object where `--json` asked for it."""
        if self.json:
            self.show_document(document)
        else:
            self.write(escape_control(text))

    def summarise(self, lines: Iterable[str], document: Mapping[str, Any]) -> None:
        """Say what became of files, where the files themselves are the result; or print it as one JSON object."""
        if self.json:
            self.show_document(document)
        else:
            for line in lines:
                self.note(line)

    def close(self) -> None:
        """Leave the terminal as it was found."""
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
                self._say(escape_line(f"{event.task}: {', '.join(_words(event, task, now))}"))

    def _finish(self, event: Progress, task: _Task, now: float) -> None:
        """Take the bar away and leave one line, unless nobody waited or another task, of which it is a part, runs."""
        if self._bars and task.bar is not None:
            self._bars.remove_task(task.bar)
        if self._tasks:
            return
        self._clear()
        if now - task.started >= AT_ONCE:
            total = f"{event.done:,} {event.unit} in {duration(now - task.started)}"
            self._say(escape_line(f"{event.task}: {', '.join([total, *_facts(event)])}"))

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

    def _say(self, text: str, mark: Mark | None = None) -> None:
        if self._bars is not None:
            self._bars.console.print(_marked(text, mark), markup=False, highlight=False, soft_wrap=True)
        else:
            say(text, mark)


def say(text: str, mark: Mark | None = None) -> None:
    """Write a text to standard error, escaped: it may hold what comes from files and names.

    Args:
        text: What is to be read.
        mark: A word that stands before it, and its style.
    """
    sys.stderr.write(f"{_marked(text, mark)}\n")
    sys.stderr.flush()


def _marked(text: str, mark: Mark | None) -> str:
    return f"{paint(*mark, sys.stderr)} {escape_control(text)}" if mark else escape_control(text)


def is_animated(stream: IO[str]) -> bool:
    """Whether a stream is a terminal on which lines can be redrawn."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str, stream: IO[str]) -> str:
    """Colour a text for a stream, where the stream is a terminal and nobody asked for plain text."""
    if not is_animated(stream) or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{style}m{text}\x1b[0m"


def duration(seconds: float) -> str:
    """A length of time in the two units that matter: `0.4 s`, `45 s`, `12 min 3 s`, `2 h 5 min`."""
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
    """How far, how long, how fast: the parts of a progress line, those first that must not be cut off."""
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
    """The stage's own facts, rates first: `2,690 tokens/s`, `loss 3.2`."""
    rates = [f"{fact} {name}" for name, fact in event.facts.items() if name.endswith("/s")]
    return rates + [f"{name} {fact}" for name, fact in event.facts.items() if not name.endswith("/s")]


def _new_bars() -> Bars:
    """An empty set of bars on standard error. They are redrawn by events alone: no thread runs beside the work."""
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars
    from rich.table import Column

    return Bars(
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
        BarColumn(bar_width=16, table_column=Column(min_width=8)),
        TextColumn("{task.fields[words]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
        console=RichConsole(stderr=True),
        transient=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    )
