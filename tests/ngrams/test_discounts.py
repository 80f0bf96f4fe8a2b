"""Discounts are the equation, and a thin text has none."""

from __future__ import annotations

import numpy as np
import pytest

from rnnkit.ngrams.discounts import discount, discounts


def counts(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Counts of which `numbers[0]` are 1, `numbers[1]` are 2, and so on."""
    return np.repeat(np.arange(1, len(numbers) + 1), numbers).astype(np.int32)


def test_discounts_follow_the_equation() -> None:
    # Y = 10 / (10 + 2 * 4) = 5/9
    found = discounts(counts(10, 4, 3, 1, 7))
    assert found == pytest.approx((1 - 2 * 5 / 9 * 0.4, 2 - 3 * 5 / 9 * 0.75, 3 - 4 * 5 / 9 / 3))


def test_counts_of_zero_and_above_four_do_not_matter() -> None:
    assert discounts(np.append(counts(10, 4, 3, 1), [0, 0])) == discounts(counts(10, 4, 3, 1, 0, 5, 9))


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ((0, 4, 3, 1), "none has the count 1"),
        ((5, 0, 3, 1), "none has the count 2"),
        ((5, 4, 0, 1), "none has the count 3"),
        ((1, 1, 90, 1), "the discount for the count 2 would be -88"),
        ((6, 3, 4, 1), "the discount for the count 2 would be 0"),
        ((9, 2, 1, 9), "the discount for the count 3 would be -21.9"),
    ],
)
def test_a_thin_text_has_none(numbers: tuple[int, ...], reason: str) -> None:
    assert discounts(counts(*numbers)) == reason


def test_each_count_has_its_discount() -> None:
    given = np.array([0, 1, 2, 3, 4, 99], dtype=np.int32)
    assert discount(given, (0.5, 1.0, 1.5)).tolist() == [0, 0.5, 1.0, 1.5, 1.5, 1.5]
