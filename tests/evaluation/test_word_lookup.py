"""Words of a test and rows of the vectors."""

from __future__ import annotations

from rnnkit.evaluation.word_lookup import first_rows, fold


def test_the_first_of_several_cases_counts() -> None:
    words = ["apple", "Paris", "Apple", "paris", "APPLE"]
    assert first_rows(words, ignore_case=True) == {"APPLE": 0, "PARIS": 1}
    assert first_rows(words, ignore_case=False) == {word: row for row, word in enumerate(words)}


def test_folding_follows_upper_case() -> None:
    assert fold("straße") == fold("STRASSE")
