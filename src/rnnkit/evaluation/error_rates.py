"""Error rates of lines, tokens and characters, against the closest of several references.

Names depend on the task. In grapheme-to-phoneme conversion, with one word per line, the line error rate is the word
error rate (WER) and the token error rate the phoneme error rate (PER). In speech recognition, with one sentence per
line, they are the sentence error rate (SER) and the word error rate (WER).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rnnkit.errors import DataError
from rnnkit.evaluation.edit_distance import EditCounts, count_edits

UNITS = ("lines", "tokens", "chars")
UNIT_NAMES = {"lines": "line", "tokens": "token", "chars": "character"}
"""Singular of each unit, for the names of rates."""


@dataclass(frozen=True)
class ErrorRate:
    """An error rate with its counts.

    Attributes:
        unit: One of `UNITS`.
        errors: Lines that equal no reference, or edits to the closest references.
        total: Lines, or units in the closest references.
        edits: Substitutions, deletions and insertions; zero for lines.
    """

    unit: str
    errors: int
    total: int
    edits: EditCounts = field(default_factory=EditCounts)

    @property
    def name(self) -> str:
        """Name of the rate, such as `token error rate`."""
        return f"{UNIT_NAMES[self.unit]} error rate"

    @property
    def percent(self) -> float:
        """Errors per 100 units; above 100 if the hypotheses have many insertions."""
        return 100 * self.errors / self.total

    def number(self, width: int) -> str:
        """Format the rate in percent, with `width` decimal places."""
        return f"{self.percent:.{width}f}"

    def line(self, width: int) -> str:
        """Format the rate with its counts."""
        what = f"{self.name} = {self.number(width)} %"
        if self.unit == "lines":
            return f"{what} ({self.errors} of {self.total} lines)"
        parts = self.edits
        return (
            f"{what} ({self.errors} of {self.total} {UNIT_NAMES[self.unit]}s: {parts.substitutions} substituted, "
            f"{parts.deletions} deleted, {parts.insertions} inserted)"
        )

    def as_dict(self, width: int) -> dict[str, Any]:
        """JSON form, rounded to `width` decimal places."""
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


def error_rate(hypotheses: Sequence[str], references: Sequence[Sequence[str]], unit: str) -> ErrorRate:
    """Compute the error rate of a corpus.

    Runs of white space count as one space, those at the ends of a line are ignored.

    Args:
        hypotheses: Output of the system, one line each.
        references: For each hypothesis, at least one reference.
        unit: One of `UNITS`. Tokens are separated by white space; a character is a code point, spaces included.

    Raises:
        DataError: All references are blank, or all closest ones.
    """
    token_lines = [line.split() for line in hypotheses]
    token_references = [[reference.split() for reference in variants] for variants in references]
    if not any(reference for variants in token_references for reference in variants):
        raise DataError("there is no reference to compare with", "all references are blank")
    if unit == "lines":
        wrong = sum(line not in variants for line, variants in zip(token_lines, token_references, strict=True))
        return ErrorRate(unit, wrong, len(token_lines))
    pairs: Iterable[tuple[Sequence[str], Sequence[Sequence[str]]]] = zip(token_lines, token_references, strict=True)
    if unit == "chars":
        pairs = ((" ".join(line), [" ".join(reference) for reference in variants]) for line, variants in pairs)
    edits, total = EditCounts(), 0
    for hypothesis, variants in pairs:
        found, length = closest_reference(hypothesis, variants)
        edits += found
        total += length
    if not total:
        raise DataError("there is no reference to compare with", "all closest references are blank")
    return ErrorRate(unit, edits.total, total, edits)


def closest_reference(hypothesis: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[EditCounts, int]:
    """Return the edits to the closest reference and its length; of two equally close, the longer one."""
    if hypothesis in references:
        return EditCounts(), len(hypothesis)
    found = ((count_edits(reference, hypothesis), len(reference)) for reference in references)
    return min(found, key=lambda pair: (pair[0].total, -pair[1]))
