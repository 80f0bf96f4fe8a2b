"""Hypotheses and their references: reading, and checks that they match line by line.

sacreBLEU's classes pair the two with `zip`, which silently drops surplus lines, so the numbers of lines are checked
here before any score is computed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnkit.errors import DataError, UsageError
from rnnkit.events import Listener, Note, WarningEvent
from rnnkit.options.declare import STDIN
from rnnkit.text.lines import read_lines

MIN_LENGTH_RATIO = 2 / 3
"""Minimum ratio of characters, hypotheses to references or the inverse, below which a warning is given."""


@dataclass(frozen=True)
class Segments:
    """Hypotheses with their references, all of the same number of lines.

    Attributes:
        hypotheses: Output of a system, one segment per line.
        references: References, one list per file.
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
        UsageError: More than one file is standard input.
    """
    check_stdin_used_once([*references, hypotheses])
    reference_lines = [read_nonempty_lines(path) for path in references]
    if not any(line for lines in reference_lines for line in lines):
        raise DataError(
            f"{source_name(references[0])} holds only blank lines",
            "there is no reference to compare with",
            path=references[0],
        )
    hypothesis_lines = read_hypotheses(hypotheses, references)
    for path, lines in zip(references, reference_lines, strict=True):
        check_line_counts(hypotheses, len(hypothesis_lines), path, len(lines))
    return Segments(hypothesis_lines, reference_lines)


def read_nonempty_lines(path: Path, why: str = "expected one sentence per line", hint: str | None = None) -> list[str]:
    """Read the lines of a file without trailing white space, as the `sacrebleu` command does.

    Args:
        path: The file; `-` is standard input.
        why: Detail of the error if the file is empty.
        hint: Hint of that error.

    Raises:
        DataError: As `read_lines`, or the file is empty.
    """
    lines = [line.rstrip() for line in read_lines(path)]
    if not lines:
        raise DataError(f"{source_name(path)} is empty", why, hint=hint, path=path)
    return lines


def read_hypotheses(path: Path, references: Sequence[Path]) -> list[str]:
    """Read the output of a system, as `read_nonempty_lines` does.

    Args:
        path: The file; `-` is standard input.
        references: The reference files. If standard input is empty, the hint suggests that the last of several
            references is meant as the hypotheses.

    Raises:
        DataError: As `read_nonempty_lines`.
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
    """Warn of problems that degrade every metric: blank lines, and hypotheses much shorter or longer than references.

    Args:
        hypotheses: Output of a system, one line each.
        answers: The references of each hypothesis.
        listen: Receives the warnings.
    """
    lines = len(hypotheses)
    blank = sum(not line.strip() for line in hypotheses)
    if blank:
        listen(WarningEvent(f"{blank} of {lines} hypotheses are blank"))
    unanswered = sum(not any(answer.strip() for answer in variants) for variants in answers)
    if unanswered:
        listen(WarningEvent(f"{unanswered} of {lines} lines have a blank reference: any output there counts as wrong"))
    hypothesis_length = reference_length = 0
    for line, variants in zip(hypotheses, answers, strict=True):
        length = _visible_length(line)
        lengths = [_visible_length(answer) for answer in variants if answer.strip()]
        if length and lengths:
            hypothesis_length += length
            reference_length += _closest_length(lengths, length)
    too_short = hypothesis_length < MIN_LENGTH_RATIO * reference_length
    if too_short or hypothesis_length > reference_length / MIN_LENGTH_RATIO:
        than = "short" if too_short else "long"
        listen(
            WarningEvent(
                f"the hypotheses are too {than}: {hypothesis_length:,} characters where the references have "
                f"{reference_length:,} ({100 * hypothesis_length / reference_length:.0f} %), "
                "blank lines and spaces not counted"
            )
        )


def _closest_length(lengths: Sequence[int], length: int) -> int:
    return min(lengths, key=lambda each: abs(each - length))


def _visible_length(line: str) -> int:
    """Count the characters of a line that are not white space."""
    return sum(map(len, line.split()))


def check_line_counts(hypotheses: Path, written: int, reference: Path, right: int, what: str = "lines") -> None:
    """Check that two files have the same number of lines.

    Args:
        hypotheses: Output of the system.
        written: Number of its lines.
        reference: The reference file.
        right: Number of hypotheses that the reference requires.
        what: What `right` counts.

    Raises:
        DataError: The numbers differ; the message names both files and both numbers.
    """
    if written != right:
        raise DataError(
            "hypotheses and references differ in length",
            f"{source_name(hypotheses)} has {written} lines, {source_name(reference)} has {right} {what}",
            hint="each reference needs one hypothesis, possibly an empty line; `rnnkit inspect FILE` counts lines",
            path=hypotheses,
        )


def check_stdin_used_once(paths: Sequence[Path]) -> None:
    """Check that at most one file is standard input, which can be read only once.

    Raises:
        UsageError: More than one path is `-`.
    """
    if list(paths).count(STDIN) > 1:
        raise UsageError(
            "standard input is given twice",
            "it can be read only once",
            hint="give the hypotheses with --hypotheses FILE",
            option="--hypotheses",
        )


def prompt_on_terminal(paths: Sequence[Path], listen: Listener) -> None:
    """Explain on a terminal what input is expected."""
    if STDIN in paths and sys.stdin.isatty():
        listen(Note("enter hypotheses, one per line, and end with Ctrl-D; --hypotheses FILE reads them from a file"))


def source_name(path: Path) -> str:
    """Return the name of a path in messages."""
    return "standard input" if path == STDIN else str(path)
