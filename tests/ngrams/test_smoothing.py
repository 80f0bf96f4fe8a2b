"""Smoothing: the fast implementation equals the reference, probabilities sum to one, and examples by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ngrams import ngram_reference

from rnnkit.ngrams.ngram_model import BackoffModel
from rnnkit.ngrams.smoothing import Discounts, discount_counts, estimate_discounts
from rnnkit.text.special_tokens import BOS, EOS, PAD, UNK

from .samples import OUTCOMES, SIZE, Lines, lines_of, make_model, random_lines

CLOSE = 3e-6
"""Tolerance: logarithms are float32, and a log-probability is the sum of up to five."""


def histories(lines: Lines) -> set[tuple[int, ...]]:
    """Return all sentence prefixes, and some that do not occur."""
    seen = {(BOS, *line[:end]) for line in lines for end in range(len(line))}
    return {*seen, (BOS, 8, 8, 8, 8), (BOS, 4, 5, 6, 7, 8, 4), (BOS, 1, 1)}


def assert_same(
    model: BackoffModel, probability: ngram_reference.Probability, lines: Lines, outcomes: Sequence[int] = OUTCOMES
) -> None:
    for history in histories(lines):
        found = model.log_probabilities(model.state_after(history[1:], model.initial_state()))
        expected = [math.log(probability(history, word)) for word in outcomes]
        assert found[outcomes] == pytest.approx(expected, rel=CLOSE, abs=CLOSE)


def discounts_of(model: BackoffModel) -> Sequence[Discounts]:
    found: Sequence[Discounts] = model.facts["discounts"]
    return found


@given(lines_of(), st.integers(1, 5))
def test_kneser_ney_equals_reference(lines: Lines, order: int) -> None:
    model = make_model(lines, order=order)
    assert_same(model, ngram_reference.kneser_ney(lines, OUTCOMES, order, discounts_of(model)), lines)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kneser_ney_with_estimated_discounts(seed: int) -> None:
    lines = random_lines(seed, lines=300, size=40)
    model = make_model(lines, size=40, order=3, fallback=(0.1, 0.2, 0.3))
    assert (0.1, 0.2, 0.3) not in discounts_of(model)[1:]
    outcomes = [word for word in range(40) if word not in (PAD, BOS)]
    assert_same(model, ngram_reference.kneser_ney(lines, outcomes, 3, discounts_of(model)), lines[:9], outcomes)


@given(lines_of(), st.lists(st.integers(0, 2), min_size=1, max_size=3).map(sorted))
def test_pruned_kneser_ney_equals_reference(lines: Lines, thresholds: list[int]) -> None:
    prune = (0, *thresholds)
    model = make_model(lines, order=4, prune=prune)
    thresholds_by_order = [*prune, *[prune[-1]] * (4 - len(prune))]
    assert_same(model, ngram_reference.kneser_ney(lines, OUTCOMES, 4, discounts_of(model), thresholds_by_order), lines)


@pytest.mark.parametrize("prune", [(), (0, 1), (0, 0, 2), (0, 3)])
@pytest.mark.parametrize("order", [1, 2, 5])
def test_kneser_ney_probabilities_sum_to_one(order: int, prune: tuple[int, ...]) -> None:
    model = make_model(order=order, prune=prune[:order])
    for state in range(len(model.backoff_I)):
        assert np.exp(model.log_probabilities(state)).sum() == pytest.approx(1, abs=1e-6)


def test_higher_thresholds_keep_fewer_ngrams() -> None:
    sizes = [make_model(order=4, prune=prune).sizes for prune in ((), (0, 1), (0, 1, 2), (0, 3))]
    assert sizes[0] > sizes[1] > sizes[2] > sizes[3]
    assert all(np.less_equal(later, earlier).all() for earlier, later in pairwise(sizes))


def test_unseen_words_share_the_discounted_mass() -> None:
    lines = [[4, 4, 5, EOS], [4, 4, 6, EOS]]
    model = make_model(lines, order=1)
    discounted = 0.5 + 0.5 + 1 + 1.5  # 5, 6: once; </s>: twice; 4: four times
    assert model.log_probabilities(0)[[UNK, 7, 8]] == pytest.approx([math.log(discounted / 8 / 7)] * 3)


def test_unknown_words_in_the_text_are_counted() -> None:
    lines = [[4, 1, 5, EOS], [4, 1, EOS], [5, 1, EOS]]
    swapped = [[{1: 8, 8: 1}.get(word, word) for word in line] for line in lines]
    state = make_model(lines, order=2), make_model(swapped, order=2)
    found = [model.log_probabilities(model.state_after([4], model.initial_state())) for model in state]
    assert found[0][UNK] == pytest.approx(found[1][8]) and found[0][8] == pytest.approx(found[1][UNK])


def test_closed_vocabulary_has_no_unknown_words() -> None:
    model = make_model(order=3, closed=True)
    for state in range(len(model.backoff_I)):
        log_p = model.log_probabilities(state)
        assert log_p[UNK] == -np.inf
        assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-6)


def counts(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Return counts of which `numbers[0]` are 1, `numbers[1]` are 2, and so on."""
    return np.repeat(np.arange(1, len(numbers) + 1), numbers).astype(np.int32)


def test_discounts_follow_the_equation() -> None:
    # Y = 10 / (10 + 2 * 4) = 5/9
    found = estimate_discounts(counts(10, 4, 3, 1, 7))
    assert found == pytest.approx((1 - 2 * 5 / 9 * 0.4, 2 - 3 * 5 / 9 * 0.75, 3 - 4 * 5 / 9 / 3))


def test_discounts_ignore_counts_of_zero_and_above_four() -> None:
    assert estimate_discounts(np.append(counts(10, 4, 3, 1), [0, 0])) == estimate_discounts(
        counts(10, 4, 3, 1, 0, 5, 9)
    )


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ((0, 4, 3, 1), "count 1"),
        ((5, 0, 3, 1), "count 2"),
        ((5, 4, 0, 1), "count 3"),
        ((1, 1, 90, 1), "count 2 would be -88"),
        ((6, 3, 4, 1), "count 2 would be 0"),
        ((9, 2, 1, 9), "count 3 would be -21.9"),
    ],
)
def test_discounts_that_cannot_be_estimated(numbers: tuple[int, ...], reason: str) -> None:
    found = estimate_discounts(counts(*numbers))
    assert isinstance(found, str) and found.endswith(reason)


def test_discount_of_each_count() -> None:
    given = np.array([0, 1, 2, 3, 4, 99], dtype=np.int32)
    assert discount_counts(given, (0.5, 1.0, 1.5)).tolist() == [0, 0.5, 1.0, 1.5, 1.5, 1.5]


@given(lines_of(), st.integers(1, 4), st.sampled_from([1.0, 0.01, 2.5]))
def test_add_k_equals_reference(lines: Lines, order: int, k: float) -> None:
    model = make_model(lines, order=order, smoothing="add-k", add=k)
    assert_same(model, ngram_reference.add_k(lines, OUTCOMES, order, k), lines)


@given(lines_of(), st.integers(1, 4))
def test_maximum_likelihood_equals_reference(lines: Lines, order: int) -> None:
    model = make_model(lines, order=order, smoothing="maximum-likelihood")
    probability = ngram_reference.maximum_likelihood(lines, order)
    for history in histories(lines):
        found = model.log_probabilities(model.state_after(history[1:], model.initial_state()))
        expected = [probability(history, word) for word in OUTCOMES]
        assert np.exp(found[OUTCOMES]) == pytest.approx(expected, rel=3e-6)


@pytest.mark.parametrize("smoothing", ["add-k", "maximum-likelihood"])
@pytest.mark.parametrize("order", [1, 2, 4])
def test_other_smoothing_sums_to_one(smoothing: str, order: int) -> None:
    model = make_model(order=order, smoothing=smoothing)
    for state in range(len(model.backoff_I)):
        assert np.exp(model.log_probabilities(state)).sum() == pytest.approx(1, abs=1e-6)


def test_add_one_by_hand() -> None:
    model = make_model([[4, 5, EOS], [4, 4, EOS]], order=2, smoothing="add-k")
    after_4 = model.log_probabilities(model.state_after([4], model.initial_state()))
    # 4 is followed by 5, 4 and </s> once each; there are seven possible words
    assert after_4[[5, 4, EOS, 6, UNK]] == pytest.approx(np.log([0.2, 0.2, 0.2, 0.1, 0.1]))
    after_6 = model.log_probabilities(model.state_after([6], model.initial_state()))
    assert after_6[OUTCOMES] == pytest.approx([-math.log(7)] * 7)


def test_relative_frequencies_by_hand() -> None:
    model = make_model([[4, 5, EOS], [4, 4, EOS]], order=2, smoothing="maximum-likelihood")
    start = model.log_probabilities(model.initial_state())
    assert start[4] == pytest.approx(0, abs=1e-6)
    assert np.isneginf(np.delete(start, 4)).all()
    # Nothing follows 6: back off to unigrams.
    unseen = model.log_probabilities(model.state_after([6], model.initial_state()))
    assert np.exp(unseen[[4, 5, EOS]]) == pytest.approx([1 / 2, 1 / 6, 1 / 3])


def test_unseen_words_are_impossible_without_smoothing() -> None:
    model = make_model([[4, 5, EOS]], order=3, smoothing="maximum-likelihood")
    ids = np.array([4, 5, EOS, 5, EOS])
    log_p = model.score(ids, np.array([0, 3, 5]))
    assert log_p[:3] == pytest.approx(0, abs=1e-6)
    assert log_p[3] == -np.inf
    assert not np.isnan(log_p).any()


def test_add_k_with_open_and_closed_vocabulary() -> None:
    text = [[4, 5, EOS]]
    opened, closed = (make_model(text, order=2, smoothing="add-k", closed=closed) for closed in (False, True))
    state = opened.state_after([4])
    assert np.exp(opened.log_probabilities(state)[UNK]) == pytest.approx(1 / (1 + SIZE - 2))
    assert closed.log_probabilities(state)[UNK] == -np.inf
    assert np.exp(closed.log_probabilities(state)[6]) == pytest.approx(1 / (1 + SIZE - 3))
