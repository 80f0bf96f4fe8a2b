"""Rates by hand-counted examples, and what must hold for any text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.errors import DataError
from rnnkit.evaluation.edit_distance import EditCounts
from rnnkit.evaluation.error_rates import UNITS, closest_reference, error_rate

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
