"""Kneser-Ney: the fast way equals the equations, and all probabilities sum to one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.ngrams import reference
from rnnkit.ngrams.discounts import Discounts
from rnnkit.ngrams.model import NgramModel
from rnnkit.text.special_tokens import BOS, EOS, PAD, UNK

from .samples import OUTCOMES, Lines, lines_of, make_model, random_lines

CLOSE = 3e-6
"""Logarithms are kept as float32, and a probability is the sum of up to five."""


def histories(lines: Lines) -> set[tuple[int, ...]]:
    """All beginnings of lines, and what no line begins with."""
    seen = {(BOS, *line[:end]) for line in lines for end in range(len(line))}
    return {*seen, (BOS, 8, 8, 8, 8), (BOS, 4, 5, 6, 7, 8, 4), (BOS, 1, 1)}


def assert_same(
    model: NgramModel, probability: reference.Probability, lines: Lines, outcomes: Sequence[int] = OUTCOMES
) -> None:
    for history in histories(lines):
        found = model.log_probabilities(model.read(history[1:], model.start()))
        wanted = [math.log(probability(history, word)) for word in outcomes]
        assert found[outcomes] == pytest.approx(wanted, rel=CLOSE, abs=CLOSE)


def discounts_of(model: NgramModel) -> Sequence[Discounts]:
    found: Sequence[Discounts] = model.facts["discounts"]
    return found


@given(lines_of(), st.integers(1, 5))
def test_probabilities_are_those_of_the_equations(lines: Lines, order: int) -> None:
    model = make_model(lines, order=order)
    assert_same(model, reference.kneser_ney(lines, OUTCOMES, order, discounts_of(model)), lines)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_probabilities_with_estimated_discounts_too(seed: int) -> None:
    lines = random_lines(seed, lines=300, size=40)
    model = make_model(lines, size=40, order=3, fallback=(0.1, 0.2, 0.3))
    assert (0.1, 0.2, 0.3) not in discounts_of(model)[1:]
    outcomes = [word for word in range(40) if word not in (PAD, BOS)]
    assert_same(model, reference.kneser_ney(lines, outcomes, 3, discounts_of(model)), lines[:9], outcomes)


@given(lines_of(), st.lists(st.integers(0, 2), min_size=1, max_size=3).map(sorted))
def test_pruned_probabilities_are_those_of_the_equations(lines: Lines, thresholds: list[int]) -> None:
    prune = (0, *thresholds)
    model = make_model(lines, order=4, prune=prune)
    least = [*prune, *[prune[-1]] * (4 - len(prune))]
    assert_same(model, reference.kneser_ney(lines, OUTCOMES, 4, discounts_of(model), least), lines)


@pytest.mark.parametrize("prune", [(), (0, 1), (0, 0, 2), (0, 3)])
@pytest.mark.parametrize("order", [1, 2, 5])
def test_probabilities_sum_to_one_in_every_state(order: int, prune: tuple[int, ...]) -> None:
    model = make_model(order=order, prune=prune[:order])
    for state in range(len(model.backoff_I)):
        assert np.exp(model.log_probabilities(state)).sum() == pytest.approx(1, abs=1e-6)


def test_pruning_more_leaves_less() -> None:
    sizes = [make_model(order=4, prune=prune).sizes for prune in ((), (0, 1), (0, 1, 2), (0, 3))]
    assert sizes[0] > sizes[1] > sizes[2] > sizes[3]
    assert all(np.less_equal(later, earlier).all() for earlier, later in pairwise(sizes))


def test_a_word_that_never_occurred_shares_what_the_words_gave() -> None:
    lines = [[4, 4, 5, EOS], [4, 4, 6, EOS]]
    model = make_model(lines, order=1)
    given_away = 0.5 + 0.5 + 1 + 1.5  # 5, 6: once; </s>: twice; 4: four times
    assert model.log_probabilities(0)[[UNK, 7, 8]] == pytest.approx([math.log(given_away / 8 / 7)] * 3)


def test_an_unknown_word_of_the_text_is_counted_as_a_word() -> None:
    lines = [[4, 1, 5, EOS], [4, 1, EOS], [5, 1, EOS]]
    swapped = [[{1: 8, 8: 1}.get(word, word) for word in line] for line in lines]
    state = make_model(lines, order=2), make_model(swapped, order=2)
    found = [model.log_probabilities(model.read([4], model.start())) for model in state]
    assert found[0][UNK] == pytest.approx(found[1][8]) and found[0][8] == pytest.approx(found[1][UNK])


def test_in_a_closed_vocabulary_unknown_words_are_impossible() -> None:
    model = make_model(order=3, closed=True)
    for state in range(len(model.backoff_I)):
        log_p = model.log_probabilities(state)
        assert log_p[UNK] == -np.inf
        assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-6)
