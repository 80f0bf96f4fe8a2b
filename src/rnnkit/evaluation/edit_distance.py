"""Edit distance with its substitutions, deletions and insertions.

Levenshtein's distance by bit-parallel dynamic programming (Myers 1999; Hyyrö 2003, "A Bit-Vector Algorithm for
Computing Levenshtein and Damerau Edit Distances"): one column of the table is two integers whose bits say where the
distance rises or falls from one row to the next, and Python's integers are as wide as needed.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from rnnkit.errors import DataError

MAX_CELLS = 1 << 31
"""Largest table, in bits: two sequences of 46,000 symbols, half a gigabyte."""


@dataclass(frozen=True)
class EditCounts:
    """What turns a right sequence into the one that was written, in the fewest steps.

    Attributes:
        substitutions: Symbols written in another's place.
        deletions: Right symbols that were not written.
        insertions: Symbols written that are not right.
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


def count_edits(right: Sequence[Hashable], written: Sequence[Hashable]) -> EditCounts:
    """Count the edits between two sequences. Where several ways are shortest, one is chosen, always the same.

    Raises:
        DataError: The sequences are too long to be compared.
    """
    right, written = _without_common_ends(right, written)
    if not right or not written:
        return EditCounts(deletions=len(right), insertions=len(written))
    if len(right) * len(written) > MAX_CELLS:
        raise DataError(
            f"lines of {len(right):,} and {len(written):,} symbols are too long to be compared",
            hint="one sentence or word a line is expected",
        )
    return _trace(right, written, _columns(right, written))


def _without_common_ends(
    right: Sequence[Hashable], written: Sequence[Hashable]
) -> tuple[Sequence[Hashable], Sequence[Hashable]]:
    """Cut what both begin and end with; it costs nothing in any shortest way."""
    shorter = min(len(right), len(written))
    start = 0
    while start < shorter and right[start] == written[start]:
        start += 1
    end = 0
    while end < shorter - start and right[-1 - end] == written[-1 - end]:
        end += 1
    return right[start : len(right) - end], written[start : len(written) - end]


def _columns(right: Sequence[Hashable], written: Sequence[Hashable]) -> list[tuple[int, int]]:
    """For each prefix of `written`, as bits over `right`: where the distance rises, and where it falls, by one."""
    places: dict[Hashable, int] = {}
    for row, symbol in enumerate(right):
        places[symbol] = places.get(symbol, 0) | 1 << row
    full = (1 << len(right)) - 1
    rises, falls = full, 0
    columns = [(rises, falls)]
    for symbol in written:
        match = places.get(symbol, 0) | falls
        level = ((((match & rises) + rises) ^ rises) | match) & full
        right_rises = falls | ~(rises | level) & full
        right_falls = rises & level
        shifted = (right_rises << 1 | 1) & full
        rises = (right_falls << 1 | ~(level | shifted)) & full
        falls = shifted & level
        columns.append((rises, falls))
    return columns


def _trace(right: Sequence[Hashable], written: Sequence[Hashable], columns: list[tuple[int, int]]) -> EditCounts:
    """Walk back from the table's last cell to its first along a shortest way."""
    row, column = len(right), len(written)
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
            substitutions += right[row] != written[column]
    return EditCounts(substitutions, deletions + row, insertions + column)
