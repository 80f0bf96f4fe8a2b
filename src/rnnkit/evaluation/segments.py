"""Hypotheses beside their references: read, counted, and refused where they do not belong together.

sacreBLEU's own classes pair the two with `zip`, which drops what is left over, so the counts are checked here,
before any score is computed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnkit.config import STDIN
from rnnkit.errors import DataError, UsageError
from rnnkit.events import Listener, Note, WarningEvent
from rnnkit.text.lines import read_lines

MIN_LENGTH_RATIO = 2 / 3
"""Output that has less than this share of the references' characters, or exceeds them as much, gets a warning."""


@dataclass(frozen=True)
class Segments:
    """Lines to be scored, all of one count.

    Attributes:
        hypotheses: What a system wrote, one line a segment.
        references: What is right, one list a reference file.
    """

    hypotheses: list[str]
    references: list[list[str]]

    @property
    def answers(self) -> list[list[str]]:
        """The references of each hypothesis."""
        return [list(lines) for lines in zip(*self.references, strict=True)]


def read_segments(references: Sequence[Path], hypotheses: Path) -> Segments:
    """Read one hypothesis file and its reference files.

    Args:
        references: At least one file.
        hypotheses: The system's output; `-` is standard input.

    Raises:
        DataError: A file is missing, empty or not text, the references hold only blank lines, or the counts differ.
        UsageError: Standard input is asked for twice.
    """
    check_stdin_used_once([*references, hypotheses])
    right = [read_nonempty_lines(path) for path in references]
    if not any(line for side in right for line in side):
        raise DataError(f"{source_name(references[0])} holds only blank lines", "there is nothing to compare with")
    written = read_hypotheses(hypotheses, references)
    for path, side in zip(references, right, strict=True):
        check_line_counts(hypotheses, len(written), path, len(side))
    return Segments(written, right)


def read_nonempty_lines(path: Path, why: str = "one sentence a line is expected", hint: str | None = None) -> list[str]:
    """The lines of a file without the white space at their ends, as the `sacrebleu` command reads them.

    Args:
        path: The file; `-` is standard input.
        why: What is expected of it, for the message where it is empty.
        hint: What to do then.

    Raises:
        DataError: As `read_lines`, or the file is empty.
    """
    lines = [line.rstrip() for line in read_lines(path)]
    if not lines:
        raise DataError(f"{source_name(path)} is empty", why, hint=hint)
    return lines


def read_hypotheses(path: Path, references: Sequence[Path]) -> list[str]:
    """The lines of a system's output, as `read_side` reads them.

    Args:
        path: The file; `-` is standard input.
        references: The files beside it. Where standard input is empty, the last of several probably is the output.

    Raises:
        DataError: As `read_side`.
    """
    if path != STDIN:
        return read_nonempty_lines(path)
    if len(references) == 1:
        return read_nonempty_lines(path, "hypotheses are read from it", hint="--hypotheses FILE reads them from a file")
    named = " and ".join(map(source_name, references))
    last = source_name(references[-1])
    return read_nonempty_lines(
        path,
        f"hypotheses are read from it; the references are {named}",
        hint=f"if {last} holds the hypotheses, write --hypotheses {last}",
    )


def warn_about_lengths(hypotheses: Sequence[str], answers: Sequence[Sequence[str]], listen: Listener) -> None:
    """Warn of what makes any figure small, whatever is counted: blank lines, and output of quite another length.

    Args:
        hypotheses: What a system wrote, one line each.
        answers: For each of them, its right answers.
        listen: Told what was found.
    """
    lines = len(hypotheses)
    blank = sum(not line.strip() for line in hypotheses)
    if blank:
        listen(WarningEvent(f"{blank} of {lines} hypotheses are blank"))
    unanswered = sum(not any(answer.strip() for answer in variants) for variants in answers)
    if unanswered:
        listen(
            WarningEvent(f"{unanswered} of {lines} lines have a blank reference: whatever is written there is wrong")
        )
    written = right = 0
    for line, variants in zip(hypotheses, answers, strict=True):
        length = _letters(line)
        lengths = [_letters(answer) for answer in variants if answer.strip()]
        if length and lengths:
            written, right = written + length, right + _nearest(lengths, length)
    if written < MIN_LENGTH_RATIO * right or written > right / MIN_LENGTH_RATIO:
        than = "short" if written < right else "long"
        listen(
            WarningEvent(
                f"the hypotheses are too {than}: {written:,} characters where the references have {right:,} "
                f"({100 * written / right:.0f} %), blank lines and spaces not counted"
            )
        )


def _nearest(lengths: Sequence[int], length: int) -> int:
    return min(lengths, key=lambda each: abs(each - length))


def _letters(line: str) -> int:
    """Characters of a line that are not white space."""
    return sum(map(len, line.split()))


def check_line_counts(hypotheses: Path, written: int, reference: Path, right: int, what: str = "lines") -> None:
    """Refuse two files whose lines cannot be paired.

    Args:
        hypotheses: The system's output.
        written: Number of its lines.
        reference: What it is held against.
        right: Number of hypotheses that this wants.
        what: What was counted there.

    Raises:
        DataError: The counts differ; the message names both files and both counts.
    """
    if written != right:
        raise DataError(
            "hypotheses and references differ in length",
            f"{source_name(hypotheses)} has {written} lines, {source_name(reference)} has {right} {what}",
            hint="every reference line needs one hypothesis, if an empty one; `rnnkit inspect FILE` counts lines",
        )


def check_stdin_used_once(paths: Sequence[Path]) -> None:
    """Standard input can be read only once.

    Raises:
        UsageError: More than one path is `-`.
    """
    if list(paths).count(STDIN) > 1:
        raise UsageError(
            "standard input is asked for twice",
            "it can be read only once",
            hint="give the hypotheses with --hypotheses FILE",
        )


def prompt_on_terminal(paths: Sequence[Path], listen: Listener) -> None:
    """On a keyboard, say what is waited for."""
    if STDIN in paths and sys.stdin.isatty():
        listen(Note("reading hypotheses from the keyboard, one a line; Ctrl-D ends them; --hypotheses names a file"))


def source_name(path: Path) -> str:
    """A path as messages name it."""
    return "standard input" if path == STDIN else str(path)
