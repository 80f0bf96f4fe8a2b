"""Edits against the definition and rapidfuzz; rates by hand-counted examples, and what holds for any text."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cache
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.errors import DataError
from rnnkit.evaluation import error_rates
from rnnkit.evaluation.error_rates import (
    MAX_LIBRARY_LENGTH,
    UNITS,
    EditCounts,
    closest_reference,
    count_edits,
    count_edits_bit_parallel,
    error_rate,
)

WORDS = st.text("abc", max_size=7)


def shortest(reference: str, hypothesis: str) -> set[tuple[int, int, int]]:
    """Reference: substitutions, deletions and insertions of every shortest path, straight from the definition."""

    @cache
    def ways(i: int, j: int) -> frozenset[tuple[int, int, int]]:
        if i == j == 0:
            return frozenset({(0, 0, 0)})
        found = set()
        if i and j:
            cost = reference[i - 1] != hypothesis[j - 1]
            found |= {(s + cost, d, n) for s, d, n in ways(i - 1, j - 1)}
        if i:
            found |= {(s, d + 1, n) for s, d, n in ways(i - 1, j)}
        if j:
            found |= {(s, d, n + 1) for s, d, n in ways(i, j - 1)}
        least = min(map(sum, found))
        return frozenset(way for way in found if sum(way) == least)

    return set(ways(len(reference), len(hypothesis)))


def distance(reference: str, hypothesis: str) -> int:
    return count_edits(reference, hypothesis).total


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("", "", EditCounts()),
        ("abc", "", EditCounts(deletions=3)),
        ("", "ab", EditCounts(insertions=2)),
        ("kitten", "sitting", EditCounts(substitutions=2, insertions=1)),
        ("sitting", "kitten", EditCounts(substitutions=2, deletions=1)),
        ("flaw", "lawn", EditCounts(deletions=1, insertions=1)),
    ],
)
def test_known_distances(reference: str, hypothesis: str, expected: EditCounts) -> None:
    assert count_edits(reference, hypothesis) == expected


@given(WORDS, WORDS)
def test_equals_the_definition(reference: str, hypothesis: str) -> None:
    found = count_edits(reference, hypothesis)
    assert (found.substitutions, found.deletions, found.insertions) in shortest(reference, hypothesis)
    assert found.insertions - found.deletions == len(hypothesis) - len(reference)


@given(WORDS, WORDS, WORDS)
def test_is_a_metric(a: str, b: str, c: str) -> None:
    assert (distance(a, b) == 0) == (a == b)
    assert distance(a, b) == distance(b, a)
    assert distance(a, c) <= distance(a, b) + distance(b, c)


@given(st.text("ab", min_size=60, max_size=140), st.text("ab", min_size=60, max_size=140))
def test_sequences_wider_than_a_machine_word(reference: str, hypothesis: str) -> None:
    row = list(range(len(hypothesis) + 1))
    for i, symbol in enumerate(reference, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(hypothesis, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (symbol != other))
    assert distance(reference, hypothesis) == row[-1]


def without_library(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> EditCounts:
    """Count the edits as sequences longer than `MAX_LIBRARY_LENGTH` are counted."""
    left, right = error_rates._strip_common_affixes(reference, hypothesis)
    if not left or not right:
        return EditCounts(deletions=len(left), insertions=len(right))
    return count_edits_bit_parallel(left, right)


@given(st.text("ab", max_size=90), st.text("ab", max_size=90))
def test_both_implementations_break_ties_alike(reference: str, hypothesis: str) -> None:
    assert count_edits(reference, hypothesis) == without_library(reference, hypothesis)


@pytest.mark.parametrize("symbols", ["ab", "abcdefgh"])
def test_ties_agree_up_to_the_limit_of_the_library(symbols: str) -> None:
    random = Random(1)
    for length in (600, 1000, MAX_LIBRARY_LENGTH):
        reference, hypothesis = random.choices(symbols, k=length), random.choices(symbols, k=length)
        assert count_edits(reference, hypothesis) == without_library(reference, hypothesis)


def test_symbols_with_equal_hashes_differ() -> None:
    assert hash(-1) == hash(-2)
    assert count_edits([-1, 5], [-2, 6]) == EditCounts(substitutions=2)


def test_symbols_may_be_anything_hashable() -> None:
    assert count_edits(["HH", "AH", "L"], ["HH", "OW", "L", "D"]) == EditCounts(substitutions=1, insertions=1)


def test_a_table_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_rates, "MAX_LIBRARY_LENGTH", 3)
    monkeypatch.setattr(error_rates, "MAX_CELLS", 11)
    with raises(DataError, 4, 3):
        count_edits("abcd", "xyz")


def test_edits_add_up() -> None:
    assert EditCounts(1, 2, 3) + EditCounts(4, 5, 6) == EditCounts(5, 7, 9)
    assert EditCounts(1, 2, 3).total == 6


LINES = st.lists(st.text("ab ", min_size=1, max_size=8).filter(str.strip), min_size=1, max_size=5)


def test_lines() -> None:
    rate = error_rate(["a b", "a  b ", "a c", ""], [["a b"], ["a b"], ["a b", "c"], ["x"]], "lines")
    assert (rate.errors, rate.total, rate.percent) == (2, 4, 50.0)
    assert rate.line(1) == "line error rate = 50.0 % (2 of 4 lines)"


def test_tokens() -> None:
    rate = error_rate(["HH AH L OW", "W ER D D"], [["HH EH L OW"], ["W ER L D"]], "tokens")
    assert rate.line(2) == "token error rate = 25.00 % (2 of 8 tokens: 2 substituted, 0 deleted, 0 inserted)"
    assert rate.as_dict(1) == {
        "name": "token error rate",
        "percent": 25.0,
        "errors": 2,
        "total": 8,
        "substitutions": 2,
        "deletions": 0,
        "insertions": 0,
    }


def test_characters_count_spaces_but_not_runs_of_them() -> None:
    assert error_rate(["ab"], [["a  b "]], "chars").number(1) == "33.3"
    assert error_rate(["a b"], [["a  b "]], "chars").errors == 0


def test_the_nearest_answer_counts_and_lends_its_length() -> None:
    rate = error_rate(["a b c d"], [["x y", "a b c", "a b"]], "tokens")
    assert (rate.errors, rate.total, rate.edits) == (1, 3, EditCounts(insertions=1))


def test_of_two_equally_near_answers_the_longer_counts() -> None:
    assert closest_reference("ab", ["a", "abc"]) == (EditCounts(deletions=1), 3)


def test_more_than_everything_can_be_wrong() -> None:
    assert error_rate(["x y z"], [["a"]], "tokens").percent == 300


@pytest.mark.parametrize("unit", UNITS)
def test_nothing_right_to_compare_with(unit: str) -> None:
    with raises(DataError, "all references"):
        error_rate(["a"], [["", " "]], unit)


def test_only_blank_answers_are_near() -> None:
    with raises(DataError, "all closest references"):
        error_rate([""], [["", "a"]], "tokens")


@given(LINES, st.sampled_from(UNITS))
def test_identical_text_has_no_errors(lines: list[str], unit: str) -> None:
    assert error_rate(lines, [["something else", line] for line in lines], unit).percent == 0


@given(LINES, st.data(), st.sampled_from(UNITS))
def test_another_right_answer_never_adds_errors(lines: list[str], data: st.DataObject, unit: str) -> None:
    answers = data.draw(
        st.lists(st.text("ab ", min_size=1).filter(str.strip), min_size=len(lines), max_size=len(lines))
    )
    one = error_rate(lines, [[answer] for answer in answers], unit)
    two = error_rate(lines, [[answer, "b a"] for answer in answers], unit)
    assert two.errors <= one.errors
