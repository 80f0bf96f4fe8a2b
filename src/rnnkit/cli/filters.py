"""Commands that write a line of output for each line of input, as they go."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from rnnkit.cli import failures
from rnnkit.cli.console import Console, amount
from rnnkit.io.atomic import atomic_file
from rnnkit.json_types import JsonObject
from rnnkit.options.declare import STDIN
from rnnkit.text.lines import open_text


class Answer(Protocol):
    """An answer to a question; one without an answer has the attribute `error`."""

    @property
    def lines(self) -> Sequence[str]:
        """The answer for people."""

    def as_dict(self) -> JsonObject:
        """The answer as JSON."""


def note_terminal_input(files: Sequence[Path], console: Console) -> None:
    """Note that lines are read from the terminal, where a user has to type them."""
    if STDIN in files and sys.stdin.isatty():
        console.note("reading lines from the terminal; Ctrl-D ends")


def write_lines(lines: Iterable[str], output: Path, console: Console) -> None:
    """Write lines as they come to standard output, or to a file that appears when it is complete."""
    if output == STDIN:
        for line in lines:
            console.write(line)
        return
    with atomic_file(output) as file:
        for line in lines:
            file.write(f"{line}\n")
    note_output(output, console)


def note_output(output: Path, console: Console) -> None:
    """Note the name and the lines of a file that was written; nothing for a stream or a device."""
    if output.is_file():
        with open_text(output) as (file, _):
            console.note(f"{output}: {amount(sum(1 for _ in file), 'lines')}")


def write_answers(answers: Iterable[Answer], as_json: bool, apart: bool, console: Console) -> int:
    """Write answers as they come, and the error of a question that has none to standard error.

    Args:
        answers: Each with `lines` and `as_dict()`; or with an `error`.
        as_json: One object a line instead of the lines.
        apart: Whether a blank line separates two answers.
        console: Where they go.

    Returns:
        The exit code: 1 if a question has no answer.
    """
    code, first = failures.DONE, True
    for each in answers:
        lines = each.lines
        if as_json:
            console.show_document(each.as_dict())
        elif apart and lines and not first:
            console.write("")
        for line in () if as_json else lines:
            console.show(line)
        first = first and not lines
        if (error := getattr(each, "error", None)) is not None:
            failures.print_error(error)
            code = failures.FAILED
    return code
