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
from rnnkit.events import Listener, Note
from rnnkit.text.lines import read_lines


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
    def blank(self) -> int:
        """Number of hypotheses that hold nothing but white space."""
        return sum(not line.strip() for line in self.hypotheses)


def read_segments(references: Sequence[Path], hypotheses: Path) -> Segments:
    """Read one hypothesis file and its reference files.

    Args:
        references: At least one file.
        hypotheses: The system's output; `-` is standard input.

    Raises:
        DataError: A file is missing, empty or not text, the references hold only blank lines, or the counts differ.
        UsageError: Standard input is asked for twice.
    """
    refuse_stdin_twice([*references, hypotheses])
    right = [read_side(path) for path in references]
    if not any(line for side in right for line in side):
        raise DataError(f"{describe(references[0])} holds only blank lines", "there is nothing to compare with")
    written = read_side(hypotheses)
    for path, side in zip(references, right, strict=True):
        check_counts(hypotheses, len(written), path, len(side))
    return Segments(written, right)


def read_side(path: Path) -> list[str]:
    """The lines of a file without the white space at their ends, as the `sacrebleu` command reads them.

    Raises:
        DataError: As `read_lines`, or the file is empty.
    """
    lines = [line.rstrip() for line in read_lines(path)]
    if not lines:
        raise DataError(f"{describe(path)} is empty", "one sentence a line is expected")
    return lines


def check_counts(hypotheses: Path, written: int, reference: Path, right: int, what: str = "lines") -> None:
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
            f"{describe(hypotheses)} has {written} lines, {describe(reference)} has {right} {what}",
            hint="every reference line needs one hypothesis, if an empty one; `rnnkit inspect FILE` counts lines",
        )


def refuse_stdin_twice(paths: Sequence[Path]) -> None:
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


def announce_stdin(paths: Sequence[Path], listen: Listener) -> None:
    """On a keyboard, say what is waited for."""
    if STDIN in paths and sys.stdin.isatty():
        listen(Note("reading hypotheses from the keyboard, one a line; Ctrl-D ends them"))


def describe(path: Path) -> str:
    """A path as messages name it."""
    return "standard input" if path == STDIN else str(path)
