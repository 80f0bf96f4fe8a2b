"""Error rates of lines, tokens and characters, against the closest of several references, by Levenshtein distance.

Names depend on the task. In grapheme-to-phoneme conversion, with one word per line, the line error rate is the word
error rate (WER) and the token error rate the phoneme error rate (PER). In speech recognition, with one sentence per
line, they are the sentence error rate (SER) and the word error rate (WER).

The distance is split into substitutions, deletions and insertions. Among several shortest edit paths, the choice
decides the split. rapidfuzz computes the edits of usual lines; above `MAX_LIBRARY_LENGTH` it divides the problem
(Hirschberg 1975) and then breaks ties differently, so longer sequences take the implementation below. Both choose the
same path, and a test compares them.

Bit-parallel dynamic programming (Myers 1999; Hyyrö 2003, "A Bit-Vector Algorithm for Computing Levenshtein and Damerau
Edit Distances"): a column of the table is two bit vectors that mark where the distance increases or decreases by one
from a row to the next. Python's integers are the bit vectors, of any width.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from rapidfuzz.distance import Levenshtein

from rnnkit.errors import DataError
from rnnkit.json_types import JsonObject

UNITS = ("lines", "tokens", "chars")
UNIT_NAMES = {"lines": "line", "tokens": "token", "chars": "character"}
"""Singular of each unit, for the names of rates."""

MAX_LIBRARY_LENGTH = 1024
"""Maximum length for rapidfuzz, which traces a single table of up to 1 MiB (2 bits per cell): 2048 x 2048 symbols."""

MAX_CELLS = 1 << 31
"""Maximum size of the table in bits: two sequences of 46,000 symbols, 512 MiB."""


@dataclass(frozen=True)
class EditCounts:
    """Edits of a shortest path from a reference to a hypothesis.

    Attributes:
        substitutions: Symbols of the reference that the hypothesis replaces.
        deletions: Symbols of the reference that the hypothesis lacks.
        insertions: Symbols of the hypothesis that the reference lacks.
    """

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def total(self) -> int:
        """The edit distance."""
        return self.substitutions + self.deletions + self.insertions

    def __add__(self, other: EditCounts) -> EditCounts:
        return EditCounts(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )


def count_edits(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> EditCounts:
    """Count the edits of a shortest path; among several, always the same one.

    Args:
        reference: The correct sequence.
        hypothesis: The sequence to compare with it.

    Raises:
        DataError: The sequences are too long to compare.
    """
    reference, hypothesis = _strip_common_affixes(reference, hypothesis)
    if not reference or not hypothesis:
        return EditCounts(deletions=len(reference), insertions=len(hypothesis))
    if max(len(reference), len(hypothesis)) <= MAX_LIBRARY_LENGTH:
        return _count_with_library(reference, hypothesis)
    if len(reference) * len(hypothesis) > MAX_CELLS:
        raise DataError(
            f"lines of {len(reference):,} and {len(hypothesis):,} symbols are too long to compare",
            hint="one sentence or word per line is expected",
        )
    return count_edits_bit_parallel(reference, hypothesis)


def _strip_common_affixes(
    reference: Sequence[Hashable], hypothesis: Sequence[Hashable]
) -> tuple[Sequence[Hashable], Sequence[Hashable]]:
    """Remove the common prefix and suffix, which no shortest path needs to edit."""
    shorter = min(len(reference), len(hypothesis))
    start = 0
    while start < shorter and reference[start] == hypothesis[start]:
        start += 1
    end = 0
    while end < shorter - start and reference[-1 - end] == hypothesis[-1 - end]:
        end += 1
    return reference[start : len(reference) - end], hypothesis[start : len(hypothesis) - end]


def _count_with_library(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> EditCounts:
    ids: dict[Hashable, int] = {}  # rapidfuzz compares hashes of symbols; those of small integers never collide
    left, right = ([ids.setdefault(symbol, len(ids)) for symbol in side] for side in (reference, hypothesis))
    tags = [operation.tag for operation in Levenshtein.editops(left, right)]
    return EditCounts(tags.count("replace"), tags.count("delete"), tags.count("insert"))


def count_edits_bit_parallel(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> EditCounts:
    """Count the edits by bit-parallel dynamic programming. Neither sequence is empty."""
    return _trace_back(reference, hypothesis, _columns(reference, hypothesis))


def _columns(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Compute, for each prefix of the hypothesis, the rows where the distance increases and decreases by one."""
    positions: dict[Hashable, int] = {}
    for row, symbol in enumerate(reference):
        positions[symbol] = positions.get(symbol, 0) | 1 << row
    full = (1 << len(reference)) - 1
    increases, decreases = full, 0
    columns = [(increases, decreases)]
    for symbol in hypothesis:
        match = positions.get(symbol, 0) | decreases
        diagonal_zero = ((((match & increases) + increases) ^ increases) | match) & full
        horizontal_increases = decreases | ~(increases | diagonal_zero) & full
        horizontal_decreases = increases & diagonal_zero
        shifted = (horizontal_increases << 1 | 1) & full
        increases = (horizontal_decreases << 1 | ~(diagonal_zero | shifted)) & full
        decreases = shifted & diagonal_zero
        columns.append((increases, decreases))
    return columns


def _trace_back(
    reference: Sequence[Hashable], hypothesis: Sequence[Hashable], columns: list[tuple[int, int]]
) -> EditCounts:
    """Follow a shortest path from the last cell of the table to the first, preferring deletions, then insertions."""
    row, column = len(reference), len(hypothesis)
    substitutions = deletions = insertions = 0
    while row and column:
        bit = 1 << row - 1
        if columns[column][0] & bit:
            deletions += 1
            row -= 1
        elif columns[column - 1][1] & bit:
            insertions += 1
            column -= 1
        else:
            row, column = row - 1, column - 1
            substitutions += reference[row] != hypothesis[column]
    return EditCounts(substitutions, deletions + row, insertions + column)


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

    def as_dict(self, width: int) -> JsonObject:
        """JSON form, rounded to `width` decimal places."""
        result: JsonObject = {
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
