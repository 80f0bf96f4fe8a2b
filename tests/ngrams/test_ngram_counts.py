"""Counting by sorting equals counting with dictionaries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ngrams import ngram_reference

from rnnkit.kernels.ngram_trie import counting_sort, group_ngrams
from rnnkit.ngrams.ngram_counts import NgramLevel, adjust_counts, count_ngrams, prune
from rnnkit.ngrams.ngram_estimation import prepare_text
from rnnkit.text.special_tokens import BOS, EOS

from .samples import SIZE, Lines, flatten, lines_of, random_lines

Ngram = tuple[int, ...]


def levels_of(lines: Lines, order: int, size: int = SIZE) -> list[NgramLevel]:
    return list(count_ngrams(prepare_text(*flatten(lines), size), size, order))


def spell_levels(levels: list[NgramLevel]) -> list[list[Ngram]]:
    """Return the n-grams of each level as words."""
    spelled: list[list[Ngram]] = [[()]]
    for level in levels:
        shorter = spelled[-1]
        pairs = zip(level.contexts().tolist(), level.word_N.tolist(), strict=True)
        spelled.append([(*shorter[context], word) for context, word in pairs])
    return spelled[1:]


@given(lines_of(), st.integers(1, 5))
def test_counts_equal_reference(lines: Lines, order: int) -> None:
    levels = levels_of(lines, order)
    expected = ngram_reference.count(lines, order)
    found = {
        ngram: number
        for level, ngrams in zip(levels, spell_levels(levels), strict=True)
        for ngram, number in zip(ngrams, level.count_N.tolist(), strict=True)
    }
    assert {ngram: number for ngram, number in found.items() if number} == expected
    assert found.keys() - expected.keys() <= {(word,) for word in range(SIZE)}  # words that never occur


@given(lines_of(), st.integers(1, 5))
def test_adjusted_counts_equal_reference(lines: Lines, order: int) -> None:
    levels = levels_of(lines, order)
    expected = ngram_reference.adjust(ngram_reference.count(lines, order), order)
    for ngrams, count_N in zip(spell_levels(levels), adjust_counts(levels), strict=True):
        assert count_N.tolist() == [expected.get(ngram, 0) for ngram in ngrams]


@given(lines_of(), st.integers(2, 5))
def test_ngrams_are_sorted_and_suffixes_are_correct(lines: Lines, order: int) -> None:
    levels = levels_of(lines, order)
    spelled = spell_levels(levels)
    assert all(ngrams == sorted(ngrams) for ngrams in spelled)
    for level, ngrams, shorter in zip(levels[1:], spelled[1:], spelled, strict=False):
        assert [shorter[suffix] for suffix in level.suffix_N.tolist()] == [ngram[1:] for ngram in ngrams]
    for level, ngrams in zip(levels, spelled, strict=True):
        assert ngrams[level.bos_range] == [ngram for ngram in ngrams if ngram[0] == BOS]


def test_bos_is_counted_as_context_only() -> None:
    (words, pairs) = levels_of([[4, EOS], [4, 4, EOS], [EOS]], 2)
    assert words.count_N.tolist() == [0, 0, 0, 3, 3, 0, 0, 0, 0]
    assert pairs.count_N[pairs.bos_range].tolist() == [1, 2]  # <s> </s>, <s> 4


def test_order_above_sentence_length_has_no_ngrams() -> None:
    levels = levels_of([[4, EOS], [5, EOS]], 5)
    assert [len(level) for level in levels] == [SIZE, 4, 2, 0, 0]


def test_pruning_keeps_counts_above_threshold_and_unigrams() -> None:
    levels = levels_of(random_lines(), 4)
    kept = prune(levels, (0, 1, 1, 3))
    assert kept[0].all()
    for level, kept_N, threshold in zip(levels[1:], kept[1:], (1, 1, 3), strict=True):
        assert kept_N.tolist() == [number > threshold for number in level.count_N.tolist()]


@given(lines_of(), st.lists(st.integers(0, 3), min_size=4, max_size=4).map(sorted))
def test_ngrams_within_a_kept_ngram_are_kept(lines: Lines, thresholds: list[int]) -> None:
    levels = levels_of(lines, 5)
    kept = prune(levels, (0, *thresholds))
    for level, kept_N, shorter_C in zip(levels[1:], kept[1:], kept, strict=False):
        assert shorter_C[level.suffix_N[kept_N]].all()
        assert shorter_C[level.contexts()[kept_N]].all()


def test_large_ids() -> None:
    size = 70_001
    lines = [[70_000, 4, 70_000, EOS], [69_999, 70_000, 4, EOS], [70_000, 4, 70_000, EOS]]
    levels = levels_of(lines, 3, size)
    found = dict(zip(spell_levels(levels)[2], levels[2].count_N.tolist(), strict=True))
    assert found == {ngram: number for ngram, number in ngram_reference.count(lines, 3).items() if len(ngram) == 3}


@given(st.lists(st.integers(-1, 4), max_size=20))
def test_counting_sort_compiled_equals_python(keys: list[int]) -> None:
    order, key = np.arange(len(keys), dtype=np.int32)[::-1].copy(), np.array(keys, dtype=np.int32)
    plain, compiled = counting_sort.py_func(order, key, 5), counting_sort(order, key, 5)  # type: ignore[attr-defined]
    assert all(np.array_equal(one, other) for one, other in zip(plain, compiled, strict=True))
    assert plain[0].tolist() == sorted(
        (position for position in order.tolist() if keys[position] >= 0), key=lambda p: keys[p]
    )


@pytest.mark.parametrize("order", [2, 3])
def test_group_ngrams_compiled_equals_python(order: int) -> None:
    text_P = prepare_text(*flatten(random_lines(lines=9)), SIZE)
    context_P = np.concatenate([[-1], text_P[:-1]]).astype(np.int32)
    context_P[text_P == BOS] = -1
    by_word_P, _ = counting_sort(np.arange(len(text_P), dtype=np.int32), text_P, SIZE)
    sorted_M, begins = counting_sort(by_word_P, context_P, SIZE)
    filled = [np.full(len(text_P), -1, dtype=np.int32) for _ in range(2)]
    plain = group_ngrams.py_func(sorted_M, text_P, context_P, text_P, begins, filled[0])  # type: ignore[attr-defined]
    compiled = group_ngrams(sorted_M, text_P, context_P, text_P, begins, filled[1])
    assert all(
        np.array_equal(one, other) for one, other in zip([*plain, filled[0]], [*compiled, filled[1]], strict=True)
    )
