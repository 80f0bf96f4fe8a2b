"""Adding k and maximum likelihood: their equations, sums, and figures worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.ngrams import reference
from rnnkit.text.special_tokens import EOS, UNK

from .samples import OUTCOMES, SIZE, Lines, lines_of, make_model
from .test_kneser_ney import assert_same, histories


@given(lines_of(), st.integers(1, 4), st.sampled_from([1.0, 0.01, 2.5]))
def test_add_k_is_its_equation(lines: Lines, order: int, k: float) -> None:
    model = make_model(lines, order=order, smoothing="add-k", add=k)
    assert_same(model, reference.add_k(lines, OUTCOMES, order, k), lines)


@given(lines_of(), st.integers(1, 4))
def test_maximum_likelihood_is_its_equation(lines: Lines, order: int) -> None:
    model = make_model(lines, order=order, smoothing="maximum-likelihood")
    probability = reference.maximum_likelihood(lines, order)
    for history in histories(lines):
        found = model.log_probabilities(model.read(history[1:], model.start()))
        wanted = [probability(history, word) for word in OUTCOMES]
        assert np.exp(found[OUTCOMES]) == pytest.approx(wanted, rel=3e-6)


@pytest.mark.parametrize("smoothing", ["add-k", "maximum-likelihood"])
@pytest.mark.parametrize("order", [1, 2, 4])
def test_probabilities_sum_to_one_in_every_state(smoothing: str, order: int) -> None:
    model = make_model(order=order, smoothing=smoothing)
    for state in range(len(model.backoff_I)):
        assert np.exp(model.log_probabilities(state)).sum() == pytest.approx(1, abs=1e-6)


def test_adding_one_by_hand() -> None:
    model = make_model([[4, 5, EOS], [4, 4, EOS]], order=2, smoothing="add-k")
    after_4 = model.log_probabilities(model.read([4], model.start()))
    # 4 is followed by 5, 4 and </s> once each; there are seven possible words
    assert after_4[[5, 4, EOS, 6, UNK]] == pytest.approx(np.log([0.2, 0.2, 0.2, 0.1, 0.1]))
    after_6 = model.log_probabilities(model.read([6], model.start()))
    assert after_6[OUTCOMES] == pytest.approx([-math.log(7)] * 7)


def test_relative_frequencies_by_hand() -> None:
    model = make_model([[4, 5, EOS], [4, 4, EOS]], order=2, smoothing="maximum-likelihood")
    start = model.log_probabilities(model.start())
    assert start[4] == pytest.approx(0, abs=1e-6)
    assert np.isneginf(np.delete(start, 4)).all()
    unseen = model.log_probabilities(model.read([6], model.start()))  # nothing followed 6: single words speak
    assert np.exp(unseen[[4, 5, EOS]]) == pytest.approx([1 / 2, 1 / 6, 1 / 3])


def test_a_text_with_something_unseen_is_impossible() -> None:
    model = make_model([[4, 5, EOS]], order=3, smoothing="maximum-likelihood")
    ids = np.array([4, 5, EOS, 5, EOS])
    log_p = model.score(ids, np.array([0, 3, 5]))
    assert log_p[:3] == pytest.approx(0, abs=1e-6)
    assert log_p[3] == -np.inf
    assert not np.isnan(log_p).any()


def test_adding_k_leaves_an_unknown_word_its_share_unless_the_vocabulary_is_closed() -> None:
    text = [[4, 5, EOS]]
    opened, closed = (make_model(text, order=2, smoothing="add-k", closed=closed) for closed in (False, True))
    state = opened.read([4])
    assert np.exp(opened.log_probabilities(state)[UNK]) == pytest.approx(1 / (1 + SIZE - 2))
    assert closed.log_probabilities(state)[UNK] == -np.inf
    assert np.exp(closed.log_probabilities(state)[6]) == pytest.approx(1 / (1 + SIZE - 3))
