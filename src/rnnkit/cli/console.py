"""Output of a command: results on standard output, everything else on standard error.

Progress is a bar on a terminal (`progress_display.py`), and a plain line every ten seconds elsewhere, so that a log
file stays readable.
`NO_COLOR` and `TERM=dumb` are respected. If the reader of standard error closes it, the work continues silently.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO, BinaryIO, TextIO

from rnnkit.cli.progress_display import WORKING, Pace, ProgressDisplay, format_rate
from rnnkit.errors import escape_control, escape_json, escape_line
from rnnkit.events import Event, Note, Progress, Status, WarningEvent
from rnnkit.json_types import JsonMapping

INTERVAL = 10.0
"""Seconds between two plain lines about the same task."""

AT_ONCE = 1.0
"""Work of fewer seconds than this leaves no line."""

PROMPT = "> "
"""Precedes each line that the user types."""

_JOINT = "\x1f"
"""Stands for a space at which a line is not broken; text to be printed has no control characters."""

RED, YELLOW = "1;31", "33"

Mark = tuple[str, str]
"""A word before a text, and its style."""


@dataclass
class _Task:
    """State of a running task, and when its last plain line was written."""

    pace: Pace
    shown: float


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
        self._display = ProgressDisplay(clock)
        self._stdin: TextIO | None = None

    def __enter__(self) -> Console:
        if self._animated and not self.quiet:
            _open_displays.append(self._display)
            self._display.start()
            if sys.stdin.isatty():
                self._stdin, sys.stdin = sys.stdin, TypedInput(sys.stdin, self._display)
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
                case Status(text):
                    self._display.set_status(text)
                case Progress():
                    self._follow(event)
        except OSError:  # a closed terminal or pipe
            self.quiet = True
            with contextlib.suppress(OSError):
                self._display.stop()

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
        if not sys.stdout.isatty():
            sys.stdout.write(f"{line}\n")
            return
        with self._display.lock:
            self._display.clear()
            self._display.set_status(WORKING)
            sys.stdout.write(f"{escape_control(line)}\n")
            sys.stdout.flush()

    def write_aside(self, line: str) -> None:
        """Print one line of the result on standard error, if standard output has lines of another kind."""
        if self._silent:
            return
        with contextlib.suppress(OSError):  # a closed terminal or pipe
            write_line(line)

    def show(self, line: str) -> None:
        """Print one line for people, escaped."""
        self.write(escape_line(line))

    def show_document(self, document: JsonMapping) -> None:
        """Print one JSON object, control characters escaped."""
        self.write(escape_json(json.dumps(document, ensure_ascii=False)))

    def report(self, text: str, document: JsonMapping) -> None:
        """Print a result as text, or with `--json` as one JSON object."""
        if self.json:
            self.show_document(document)
        else:
            self.write(escape_control(text))

    def summarize(self, lines: Iterable[str], document: JsonMapping) -> None:
        """Print notes about a result that is files, or with `--json` one JSON object."""
        if self.json:
            self.show_document(document)
        else:
            for line in lines:
                self.note(line)

    def close(self) -> None:
        """Remove the bars from the terminal, for good."""
        if self._stdin is not None:
            sys.stdin, self._stdin = self._stdin, None
        if self._display in _open_displays:
            _open_displays.remove(self._display)
        self._display.stop()
        self._tasks.clear()

    def _follow(self, event: Progress) -> None:
        now = self._clock()
        task = self._tasks.setdefault(event.task, _Task(Pace.begin(event, now), now))
        task.pace.update(event, now)
        if self._animated:
            self._display.follow(event, task.pace)
        if event.finished:
            self._finish(event, self._tasks.pop(event.task).pace, now)
        elif now - task.shown >= INTERVAL and not self._animated:
            task.shown = now
            self._write_note(escape_line(f"{event.task}: {', '.join(_words(event, task.pace, now))}"))

    def _finish(self, event: Progress, pace: Pace, now: float) -> None:
        """Write one line, unless the task was short, is part of a running task, or waited for the user."""
        if not self._tasks and self._stdin is None and now - pace.started >= AT_ONCE:
            total = f"{amount(event.done, event.unit)} in {duration(now - pace.started)}"
            self._write_note(escape_line(f"{event.task}: {', '.join([total, *_facts(event)])}"))

    def _write_note(self, text: str, mark: Mark | None = None) -> None:
        self._display.set_status(WORKING if not self._tasks else "")
        if not self._display.write(_marked(text, mark)):
            write_line(text, mark)


class TypedInput(io.TextIOWrapper):
    """Standard input from a keyboard: a prompt shows when it is the user's turn, and no bar moves meanwhile.

    Args:
        stream: Standard input.
        display: The bars.
    """

    def __init__(self, stream: TextIO, display: ProgressDisplay) -> None:
        super().__init__(io.BufferedReader(_PromptingReader(stream.buffer, display)), encoding="utf-8")
        self._stream = stream

    def isatty(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of standard input."""
        return self._stream.fileno()


class _PromptingReader(io.RawIOBase):
    """Reads what the user types, one line at a time."""

    def __init__(self, stream: BinaryIO, display: ProgressDisplay) -> None:
        self._stream = stream
        self._display = display

    def readable(self) -> bool:
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        """Read a line, or a part of a long one; 0 bytes are the end."""
        self._display.pause()
        write_raw(PROMPT)
        data = b""
        try:
            data = self._stream.readline(len(target))
        finally:
            if not data.endswith(b"\n"):
                write_raw("\n")
            self._display.resume()
        target[: len(data)] = data
        return len(data)


_open_displays: list[ProgressDisplay] = []
"""Displays whose bars may be on the terminal."""


def write_line(text: str, mark: Mark | None = None) -> None:
    """Write a text to standard error, control characters escaped.

    Args:
        text: The text; it may hold names and content of files.
        mark: A word before it, and its style.
    """
    with contextlib.ExitStack() as stack:
        for display in _open_displays:
            stack.enter_context(display.lock)
            display.clear()
        sys.stderr.write(f"{_marked(text, mark)}\n")
        sys.stderr.flush()


def write_raw(text: str) -> None:
    """Write a part of a line to a terminal; a closed one is ignored."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


def _marked(text: str, mark: Mark | None) -> str:
    text = wrap(f"{mark[0]} {escape_control(text)}" if mark else escape_control(text))
    return style(*mark, sys.stderr) + text[len(mark[0]) :] if mark else text


def wrap(text: str) -> str:
    """Break lines between words where they are wider than the terminal; unchanged if the output is no terminal."""
    if not is_animated(sys.stderr):
        return text
    columns = shutil.get_terminal_size().columns
    return "\n".join(part for line in text.split("\n") for part in _wrap_line(line, columns))


def _wrap_line(line: str, columns: int) -> list[str]:
    """Break a line between words, but not within a command in backticks; what follows is indented further."""
    if len(line) <= columns:
        return [line]
    text = line.lstrip(" ")
    margin = line[: len(line) - len(text)]
    joined = re.sub(r"`[^`]*`", lambda found: found[0].replace(" ", _JOINT), text)
    parts = textwrap.wrap(
        joined, columns, initial_indent=margin, subsequent_indent=f"{margin}  ", break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
    return [part.replace(_JOINT, " ") for part in parts]


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


def amount(number: int, unit: str) -> str:
    """A number and its unit, which is given as a plural: `1 step`, `2,000 steps`."""
    if number == 1:
        unit = f"{unit[:-3]}y" if unit.endswith("ies") else unit.removesuffix("s")
    return f"{number:,} {unit}"


def _words(event: Progress, pace: Pace, now: float) -> list[str]:
    """Parts of a plain line, the most important first: count, time left, rate, metrics."""
    share = f" of {event.total:,}" if event.total is not None else ""
    percent = f" ({100 * event.done // event.total}%)" if event.total else ""
    words = [f"{event.done:,}{share} {event.unit}{percent}"]
    left = pace.seconds_left(event, now)
    if left is not None:
        words.append(f"{duration(left)} left")
    if not any(name.endswith("/s") for name in event.facts) and (rate := pace.per_second(event, now)) > 0:
        words.append(f"{format_rate(rate)} {event.unit}/s")
    return words + _facts(event)


def _facts(event: Progress) -> list[str]:
    """Metrics of the stage, rates first: `2,690 tokens/s`, `loss 3.2`."""
    rates = [f"{fact} {name}" for name, fact in event.facts.items() if name.endswith("/s")]
    return rates + [f"{name} {fact}" for name, fact in event.facts.items() if not name.endswith("/s")]
