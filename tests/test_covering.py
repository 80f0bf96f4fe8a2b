"""Covering subsets of products, and the cases of a test that only `--all` runs."""

from __future__ import annotations

from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.covering import covering_subset, parametrize

SIZES = st.lists(st.integers(1, 6), min_size=1, max_size=4)


@given(SIZES, st.integers(1, 3))
def test_every_combination_occurs(sizes: list[int], strength: int) -> None:
    subset = covering_subset(sizes, strength)
    for columns in combinations(range(len(sizes)), min(strength, len(sizes))):
        found = {tuple(case[column] for column in columns) for case in subset}
        assert found == set(product(*(range(sizes[column]) for column in columns)))


@given(SIZES, st.integers(1, 3))
def test_cases_are_distinct_and_of_the_product(sizes: list[int], strength: int) -> None:
    subset = covering_subset(sizes, strength)
    assert subset == sorted(set(subset))
    assert set(subset) <= set(product(*map(range, sizes)))


@given(SIZES)
def test_a_subset_is_no_larger_than_it_must_be(sizes: list[int]) -> None:
    """One case for each value of the largest parameter; with all pairs, at most twice the least possible number."""
    assert len(covering_subset(sizes, 1)) == max(sizes)
    assert covering_subset(sizes, len(sizes)) == sorted(product(*map(range, sizes)))
    if len(sizes) > 1:
        first, second = sorted(sizes)[-2:]
        assert first * second <= len(covering_subset(sizes, 2)) <= 2 * first * second


def test_values_are_used_equally_often() -> None:
    uses = [0] * 3
    for case in covering_subset([12, 3], 1):
        uses[case[1]] += 1
    assert uses == [4, 4, 4]


def test_cases_outside_the_subset_are_marked() -> None:
    mark = parametrize(1, name=["a", "b"], on={"yes": True, "no": False}).mark
    names, cases = mark.args
    assert names == ("name", "on")
    assert [(case.id, case.values, [one.name for one in case.marks]) for case in cases] == [
        ("a-yes", ("a", True), []),
        ("a-no", ("a", False), ["exhaustive"]),
        ("b-yes", ("b", True), ["exhaustive"]),
        ("b-no", ("b", False), []),
    ]


def test_values_without_a_name_are_refused() -> None:
    with pytest.raises(AssertionError, match="needs a name"):
        parametrize(1, name=[object()])
