"""Bounds of what is read and said of a line."""

from __future__ import annotations

import pytest

from rnnkit.decoding.stepper import SearchOptions, TrainingLengths, max_training_lengths


def test_bounds_follow_from_the_longest_lines() -> None:
    found = max_training_lengths([(48, 40), None, (30, 45)])
    assert found == TrainingLengths(48, 45, is_known=True)
    assert (found.most_source, found.most_output) == (292, 280)
    assert max_training_lengths([None]) == TrainingLengths()
    assert not TrainingLengths().is_known


@pytest.mark.parametrize(
    ("options", "source", "limit"),
    [
        (SearchOptions(), 500, 1010),
        (SearchOptions(most_output=280), 100, 210),
        (SearchOptions(most_output=280), 500, 280),
        (SearchOptions(most_output=280, max_length=900), 500, 900),
    ],
)
def test_an_output_is_bounded_by_its_source_and_by_training(options: SearchOptions, source: int, limit: int) -> None:
    assert options.limit(source) == limit


def test_of_a_source_as_much_is_read_as_fits_before_the_end_symbol() -> None:
    ids = list(range(10))
    assert SearchOptions().cut(ids) == ids
    assert SearchOptions(most_source=11).cut(ids) == ids
    assert SearchOptions(most_source=10).cut(ids) == ids[:9]
    assert SearchOptions(most_source=1).cut(ids) == []
