"""Random samples of lines."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from rnnkit.text.subword_training import sample_lines


@given(st.lists(st.text(max_size=9)), st.integers(0, 60), st.integers(0, 3))
def test_a_sample_is_part_of_the_text_in_order(lines: list[str], limit: int, seed: int) -> None:
    sample = sample_lines(lines, limit, seed)
    rest = iter(lines)
    assert all(line in rest for line in sample.lines)
    assert sample.seen == len(lines)
    assert len(sample.lines) <= 1 or sum(len(line.encode()) + 1 for line in sample.lines) <= limit
    assert bool(sample.lines) == bool(lines)
    assert sample_lines(lines, limit, seed) == sample


def test_what_fits_is_kept_whole() -> None:
    lines = [f"line {number}" for number in range(100)]
    assert sample_lines(lines, 10_000, seed=1).lines == lines


def test_samples_are_independent_of_position() -> None:
    lines = [str(number) for number in range(10, 50)]
    drawn = Counter(line for seed in range(600) for line in sample_lines(lines, 30, seed).lines)
    expected = 600 * 10 / 40
    assert all(0.7 * expected < drawn[line] < 1.3 * expected for line in lines)
