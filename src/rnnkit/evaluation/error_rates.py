"""How much of a system's output is wrong: lines, tokens, characters, against the nearest of several right answers.

Other fields use other names. Grapheme-to-phoneme work has one word a line and calls the share of wrong lines word
error rate, that of wrong tokens phoneme error rate. Speech recognition has one sentence a line and calls the share
of wrong lines sentence error rate, that of wrong tokens word error rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rnnkit.errors import DataError
from rnnkit.evaluation.edit_distance import EditCounts, count_edits

UNITS = ("lines", "tokens", "chars")
UNIT_NAMES = {"lines": "line", "tokens": "token", "chars": "character"}
"""What one unit is called in a rate's name."""


@dataclass(frozen=True)
class ErrorRate:
    """Errors of one unit, and how many of it there were.

    Attributes:
        unit: One of `UNITS`.
        errors: Lines that no answer equals, or edits to the nearest answers.
        total: Lines, or units in the nearest answers.
        edits: How the errors divide; empty for lines.
    """

    unit: str
    errors: int
    total: int
    edits: EditCounts = field(default_factory=EditCounts)

    @property
    def name(self) -> str:
        """The rate's name, such as `token error rate`."""
        return f"{UNIT_NAMES[self.unit]} error rate"

    @property
    def percent(self) -> float:
        """Errors for each hundred units; above 100 where more was written than is right."""
        return 100 * self.errors / self.total

    def number(self, width: int) -> str:
        """The rate in percent, with so many decimals."""
        return f"{self.percent:.{width}f}"

    def line(self, width: int) -> str:
        """The rate for people, with the counts it was made from."""
        what = f"{self.name} = {self.number(width)} %"
        if self.unit == "lines":
            return f"{what} ({self.errors} of {self.total} lines)"
        parts = self.edits
        return (
            f"{what} ({self.errors} of {self.total} {UNIT_NAMES[self.unit]}s: {parts.substitutions} substituted, "
            f"{parts.deletions} deleted, {parts.insertions} inserted)"
        )

    def as_dict(self, width: int) -> dict[str, Any]:
        """The rate for JSON, rounded as it is printed."""
        result: dict[str, Any] = {
            "name": self.name,
            "percent": float(self.number(width)),
            "errors": self.errors,
            "total": self.total,
        }
        if self.unit != "lines":
            result["substitutions"] = self.edits.substitutions
            result["deletions"] = self.edits.deletions
            result["insertions"] = self.edits.insertions
        return result


def error_rate(hypotheses: Sequence[str], answers: Sequence[Sequence[str]], unit: str) -> ErrorRate:
    """One error rate of a whole corpus.

    White space runs count as one space, those at the ends as none.

    Args:
        hypotheses: What the system wrote, one line each.
        answers: For each of them, at least one right answer.
        unit: One of `UNITS`. Tokens are separated by white space; a character is a code point, spaces included.

    Raises:
        DataError: There is nothing to compare with.
    """
    tokens = [line.split() for line in hypotheses]
    right = [[answer.split() for answer in variants] for variants in answers]
    if not any(answer for variants in right for answer in variants):
        raise DataError("there is nothing to compare with", "every right answer is blank")
    if unit == "lines":
        wrong = sum(line not in variants for line, variants in zip(tokens, right, strict=True))
        return ErrorRate(unit, wrong, len(tokens))
    sequences: Iterable[tuple[Sequence[str], Sequence[Sequence[str]]]] = zip(tokens, right, strict=True)
    if unit == "chars":
        sequences = ((" ".join(line), [" ".join(answer) for answer in variants]) for line, variants in sequences)
    counted, total = EditCounts(), 0
    for written, variants in sequences:
        found, length = closest_reference(written, variants)
        counted += found
        total += length
    if not total:
        raise DataError("there is nothing to compare with", "every nearest right answer is blank")
    return ErrorRate(unit, counted.total, total, counted)


def closest_reference(written: Sequence[str], variants: Sequence[Sequence[str]]) -> tuple[EditCounts, int]:
    """Edits to the nearest right answer and that answer's length; of two equally near, the longer."""
    if written in variants:
        return EditCounts(), len(written)
    found = ((count_edits(answer, written), len(answer)) for answer in variants)
    return min(found, key=lambda pair: (pair[0].total, -pair[1]))
