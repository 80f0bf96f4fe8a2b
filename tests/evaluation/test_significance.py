"""Intervals and tests against their definitions; `test_label_bootstrap.py` has the resamples."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.evaluation.significance import (
    Z_95,
    bootstrap_p_value,
    mcnemar_p_value,
    percentile_interval,
    wilson_interval,
)


@given(st.integers(1, 500).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilson_bounds_are_z_standard_errors_away(counts: tuple[int, int]) -> None:
    """A bound q solves |p - q| = z sqrt(q (1 - q) / n)."""
    correct, total = counts
    share = correct / total
    for bound in wilson_interval(correct, total):
        assert 0 <= bound <= 1
        if 0 < bound < 1:
            assert abs(share - bound) == pytest.approx(Z_95 * math.sqrt(bound * (1 - bound) / total), abs=1e-9)
    low, high = wilson_interval(correct, total)
    assert low <= share <= high


def test_wilson_of_a_published_example() -> None:
    """Newcombe 1998, table I: 81 of 263."""
    assert [round(bound, 4) for bound in wilson_interval(81, 263)] == [0.2553, 0.3662]


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_binomial_tail(first: int, second: int) -> None:
    total = first + second
    tail = sum(math.comb(total, k) for k in range(min(first, second) + 1))
    expected = min(Fraction(1), Fraction(2 * tail, 2**total))
    assert mcnemar_p_value(first, second) == pytest.approx(float(expected), rel=1e-9)


def test_mcnemar_of_many_items() -> None:
    assert mcnemar_p_value(500_000, 500_000) == 1
    assert mcnemar_p_value(499_000, 501_000) == pytest.approx(math.erfc(1999 / 1000 / math.sqrt(2)), rel=1e-3)
    assert mcnemar_p_value(0, 10_000) == 0


def test_equal_systems_do_not_differ() -> None:
    assert bootstrap_p_value(np.zeros(99), 0.0) == 1


def test_a_difference_in_every_resample() -> None:
    assert bootstrap_p_value(np.full(99, 0.3), 0.3) == 0.01
    assert bootstrap_p_value(np.linspace(-1, 1, 99), 0.0) == 1


def test_percentiles() -> None:
    assert percentile_interval(np.arange(1001.0)) == pytest.approx((25, 975))
