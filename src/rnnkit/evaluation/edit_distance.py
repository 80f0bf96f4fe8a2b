"""Levenshtein distance, split into substitutions, deletions and insertions.

Among several shortest edit paths, the choice decides the split. rapidfuzz computes the edits of usual lines; above
`MAX_LIBRARY_LENGTH` it divides the problem (Hirschberg 1975) and then breaks ties differently, so longer sequences take
the implementation below. Both choose the same path, and a test compares them.

Bit-parallel dynamic programming (Myers 1999; Hyyrö 2003, "A Bit-Vector Algorithm for Computing Levenshtein and Damerau
Edit Distances"): a column of the table is two bit vectors that mark where the distance increases or decreases by one
from a row to the next. Python's integers are the bit vectors, of any width.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from rnnkit.errors import DataError

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
