"""Word pair tables: every pair that co-occurs has one slot, and probabilities are normalized counts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.alignment.samples import SIZE, Pairs, bitext_of, pairs_of, random_pairs

from rnnkit.alignment import alignment_reference, translation_table
from rnnkit.alignment.translation_table import count_scale, make_word_pair_table
from rnnkit.kernels import word_alignment
from rnnkit.kernels.word_alignment import EMPTY_SLOT, digamma, find_slot, kernel, normalize_counts


@kernel
def slot_of(table: word_alignment.WordPairTable, row: int, target: int) -> Any:
    return find_slot(table, row, target)


@kernel
def digamma_of(x: float) -> Any:
    return digamma(x)


def assert_every_pair_has_a_slot(pairs: Pairs, size: int) -> None:
    table = make_word_pair_table(bitext_of(pairs, size=size))
    expected = {(s, t) for source, target in pairs if source for s in [*source, size] for t in target}
    slots = {(s, t): slot_of(table, s, t) for s, t in expected}
    assert len(set(slots.values())) == len(expected) == (table.target_A != EMPTY_SLOT).sum()
    for (source, target), slot in slots.items():
        assert table.begin_R1[source] <= slot < table.begin_R1[source + 1]
        assert table.target_A[slot] == target


@given(pairs=pairs_of(longest=7, most=9))
def test_every_pair_has_a_slot(pairs: Pairs) -> None:
    assert_every_pair_has_a_slot(pairs, SIZE)


def test_table_growth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translation_table, "_INITIAL_CAPACITY", 2)
    assert_every_pair_has_a_slot(random_pairs(count=150, size=60), 60)


def test_memory_is_proportional_to_distinct_pairs() -> None:
    words = list(range(4, 1004))
    table = make_word_pair_table(bitext_of([([word], [word]) for word in words] * 3, size=1004))
    assert len(table.target_A) <= 2 * 1000 + 4 * 1000


@given(st.lists(st.integers(0, 50), min_size=5, max_size=5))
def test_probabilities_from_counts(counts: list[int]) -> None:
    table = make_word_pair_table(bitext_of([([4], [4, 5, 6, 7, 8])]))
    scale = count_scale(1000)
    row = slice(table.begin_R1[4], table.begin_R1[5])
    count_A = np.zeros(len(table.p_A), dtype=np.int64)
    for target, count in zip(range(4, 9), counts, strict=True):
        count_A[slot_of(table, 4, target)] = count * scale
    before = table.p_A.copy()
    normalize_counts(table, count_A, scale, 0.0, 0, SIZE + 1)
    if sum(counts):
        assert table.p_A[row][table.target_A[row] != EMPTY_SLOT].sum() == pytest.approx(1)
        assert [table.p_A[slot_of(table, 4, target)] for target in range(4, 9)] == pytest.approx(
            [count / sum(counts) for count in counts]
        )
        normalize_counts(table, count_A, scale, 0.01, 0, SIZE + 1)
        assert table.p_A[row][table.target_A[row] != EMPTY_SLOT].sum() < 1
        expected = [
            alignment_reference.digamma(count + 0.01) - alignment_reference.digamma(sum(counts) + 0.05)
            for count in counts
        ]
        found = [math.log(table.p_A[slot_of(table, 4, target)]) for target in range(4, 9)]
        assert found == pytest.approx(expected, rel=1e-5)
    else:
        assert np.array_equal(table.p_A, before)


@given(st.floats(1e-3, 1e6))
def test_digamma(x: float) -> None:
    assert digamma_of(x) == pytest.approx(alignment_reference.digamma(x), rel=1e-5, abs=1e-6)
    assert digamma_of(x + 1) == pytest.approx(digamma_of(x) + 1 / x, rel=1e-9, abs=1e-9)


def test_digamma_of_one() -> None:
    assert digamma_of(1.0) == pytest.approx(-0.5772156649015329, abs=1e-10)


@given(st.integers(0, 1 << 50))
def test_sums_of_counts_fit_int64(words: int) -> None:
    assert words * count_scale(words) < 1 << 62
    assert math.log2(count_scale(words)).is_integer()
