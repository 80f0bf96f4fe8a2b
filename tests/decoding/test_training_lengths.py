"""Maximum lengths of sources and outputs."""

from __future__ import annotations

import pytest

from rnnkit.decoding.stepper import SearchOptions, TrainingLengths, max_training_lengths


def test_limits_follow_from_training_lengths() -> None:
    found = max_training_lengths([(48, 40), None, (30, 45)])
    assert found == TrainingLengths(48, 45, is_known=True)
    assert (found.max_source_length, found.max_output_length) == (292, 280)
    assert max_training_lengths([None]) == TrainingLengths()
    assert not TrainingLengths().is_known


@pytest.mark.parametrize(
    ("options", "source", "limit"),
    [
        (SearchOptions(), 500, 1010),
        (SearchOptions(max_output_length=280), 100, 210),
        (SearchOptions(max_output_length=280), 500, 280),
        (SearchOptions(max_output_length=280, max_length=900), 500, 900),
    ],
)
def test_output_limit_from_source_and_training(options: SearchOptions, source: int, limit: int) -> None:
    assert options.output_limit(source) == limit


def test_source_is_truncated_with_room_for_eos() -> None:
    ids = list(range(10))
    assert SearchOptions().truncate(ids) == ids
    assert SearchOptions(max_source_length=11).truncate(ids) == ids
    assert SearchOptions(max_source_length=10).truncate(ids) == ids[:9]
    assert SearchOptions(max_source_length=1).truncate(ids) == []
