"""The bit-parallel distance against the definition it computes."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.errors import DataError
from rnnkit.evaluation import edit_distance
from rnnkit.evaluation.edit_distance import EditCounts, count_edits

WORDS = st.text("abc", max_size=7)


def shortest(right: str, written: str) -> set[tuple[int, int, int]]:
    """Reference: substitutions, deletions and insertions of every shortest way, straight from the definition."""

    @cache
    def ways(i: int, j: int) -> frozenset[tuple[int, int, int]]:
        if i == j == 0:
            return frozenset({(0, 0, 0)})
        found = set()
        if i and j:
            cost = right[i - 1] != written[j - 1]
            found |= {(s + cost, d, n) for s, d, n in ways(i - 1, j - 1)}
        if i:
            found |= {(s, d + 1, n) for s, d, n in ways(i - 1, j)}
        if j:
            found |= {(s, d, n + 1) for s, d, n in ways(i, j - 1)}
        least = min(map(sum, found))
        return frozenset(way for way in found if sum(way) == least)

    return set(ways(len(right), len(written)))


def distance(right: str, written: str) -> int:
    return count_edits(right, written).total


@pytest.mark.parametrize(
    ("right", "written", "expected"),
    [
        ("", "", EditCounts()),
        ("abc", "", EditCounts(deletions=3)),
        ("", "ab", EditCounts(insertions=2)),
        ("kitten", "sitting", EditCounts(substitutions=2, insertions=1)),
        ("sitting", "kitten", EditCounts(substitutions=2, deletions=1)),
        ("flaw", "lawn", EditCounts(deletions=1, insertions=1)),
    ],
)
def test_known_distances(right: str, written: str, expected: EditCounts) -> None:
    assert count_edits(right, written) == expected


@given(WORDS, WORDS)
def test_equals_the_definition(right: str, written: str) -> None:
    found = count_edits(right, written)
    assert (found.substitutions, found.deletions, found.insertions) in shortest(right, written)
    assert found.insertions - found.deletions == len(written) - len(right)


@given(WORDS, WORDS, WORDS)
def test_is_a_metric(a: str, b: str, c: str) -> None:
    assert (distance(a, b) == 0) == (a == b)
    assert distance(a, b) == distance(b, a)
    assert distance(a, c) <= distance(a, b) + distance(b, c)


@given(st.text("ab", min_size=60, max_size=140), st.text("ab", min_size=60, max_size=140))
def test_sequences_wider_than_a_machine_word(right: str, written: str) -> None:
    row = list(range(len(written) + 1))
    for i, symbol in enumerate(right, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(written, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (symbol != other))
    assert distance(right, written) == row[-1]


def test_symbols_may_be_anything_hashable() -> None:
    assert count_edits(["HH", "AH", "L"], ["HH", "OW", "L", "D"]) == EditCounts(substitutions=1, insertions=1)


def test_a_table_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edit_distance, "MAX_CELLS", 11)
    with pytest.raises(DataError) as caught:
        count_edits("abcd", "xyz")
    assert str(caught.value).startswith("lines of 4 and 3 symbols are too long to be compared")


def test_edits_add_up() -> None:
    assert EditCounts(1, 2, 3) + EditCounts(4, 5, 6) == EditCounts(5, 7, 9)
    assert EditCounts(1, 2, 3).total == 6
