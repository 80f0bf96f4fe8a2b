"""Scores, steps and distributions of a model agree; a trie from n-grams in any order is that of the estimated model."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.errors import DataError
from rnnkit.kernels import ngram_trie
from rnnkit.ngrams.arpa_writer import ngram_words
from rnnkit.ngrams.ngram_model import ROOT, BackoffModel, InvalidNgramError, NgramEntries, TrieBuilder
from rnnkit.text.special_tokens import BOS, EOS, PAD

from .samples import OUTCOMES, SIZE, Lines, flatten, lines_of, make_model, random_lines


@pytest.fixture(scope="module", params=[1, 2, 3, 5])
def model(request: pytest.FixtureRequest) -> BackoffModel:
    return make_model(order=request.param)


@given(lines_of())
def test_scores_equal_steps_and_distributions(lines: Lines) -> None:
    model = make_model(order=3)
    scores = model.score(*flatten(lines)).tolist()
    for line in lines:
        state = model.initial_state()
        for word in line:
            log_p, after = model.step(state, word)
            assert scores.pop(0) == log_p == pytest.approx(model.log_probabilities(state)[word], rel=1e-12)
            state = after


def test_scores_do_not_depend_on_other_lines(model: BackoffModel) -> None:
    lines = random_lines(seed=7)
    together = model.score(*flatten(lines))
    alone = np.concatenate([model.score(*flatten([line])) for line in lines])
    assert np.array_equal(together, alone)


@pytest.mark.parametrize("block", [1, 7, 30, 10_000])
def test_blocks_are_whole_lines_with_equal_scores(model: BackoffModel, block: int) -> None:
    lines = random_lines(seed=7)
    ids, offsets = flatten(lines)
    parts = list(model.score_blocks(ids, offsets, block))
    assert np.array_equal(np.concatenate([log_p for log_p, _ in parts]), model.score(ids, offsets))
    assert {int(end) for end in np.cumsum([len(log_p) for log_p, _ in parts])} <= set(offsets.tolist())
    assert all(len(log_p) <= max(block, max(map(len, lines))) for log_p, _ in parts)


def test_orders_of_found_ngrams() -> None:
    model = make_model([[4, 5, 6, EOS]], order=3)
    ids, offsets = flatten([[4, 5, 6, EOS], [5, 5, 6, 8, EOS], [4, 5]])
    orders = np.concatenate([order for _, order in model.score_blocks(ids, offsets)])
    # <s> 4, <s> 4 5, 4 5 6, ...; then 5 alone, 5 alone, 5 6, 8 alone, </s> alone
    assert orders.tolist() == [2, 3, 3, 3, 1, 1, 2, 1, 1, 2, 3]


def test_lines_without_eos_and_empty_lines() -> None:
    model = make_model(order=3)
    ids, offsets = flatten([[4, 5, EOS], [], [4, 5]])
    scores = model.score(ids, offsets)
    assert np.array_equal(scores[:2], scores[3:])
    assert model.score(np.empty(0, np.int32), np.array([0])).shape == (0,)


@given(st.lists(st.sampled_from([EOS, *range(4, SIZE)]), max_size=9))
def test_state_depends_on_the_last_words(history: list[int]) -> None:
    model = make_model(order=3)
    whole = ROOT
    for word in history:
        whole = model.step(whole, word)[1]
    assert model.state_after(history) == whole
    assert model.state_after(history[-2:]) == whole
    assert model.state_after(history[1:], model.state_after(history[:1])) == whole


def test_state_after_a_given_state(model: BackoffModel) -> None:
    assert model.state_after([], model.initial_state()) == model.initial_state()
    assert model.state_after(np.array([5], np.uint16), model.initial_state()) == model.step(model.initial_state(), 5)[1]


def test_padding_and_bos_are_never_predicted(model: BackoffModel) -> None:
    log_p = model.log_probabilities(model.initial_state())
    assert np.isneginf(log_p[[PAD, BOS]]).all() and np.isfinite(log_p[OUTCOMES]).all()
    assert log_p.dtype == np.float64 and log_p.shape == (SIZE,)


def test_a_unigram_model_has_one_state() -> None:
    model = make_model(order=1)
    assert model.initial_state() == model.state_after([4, 5]) == ROOT
    assert model.sizes == (SIZE,) and model.order_begins == (0, 1, 1 + SIZE)


def test_arrays_are_read_only(model: BackoffModel) -> None:
    with pytest.raises(ValueError, match="read-only"):
        model.log10_A[0] = 1


@pytest.mark.parametrize(
    ("ids", "values"),
    [
        ([4, SIZE, 3], ["id 9", "position 1", "9 entries"]),
        ([4, 5, -2], ["id -2", "position 2", "9 entries"]),
        ([BOS, 4, 3], ["id 2", "<s>", "position 0"]),
        ([4, 3, PAD], ["id 0", "<pad>", "position 2"]),
    ],
)
def test_invalid_ids_are_rejected(model: BackoffModel, ids: list[int], values: list[str]) -> None:
    with raises(DataError, *values):
        model.score(np.array(ids), np.array([0, len(ids)]))


def test_position_of_an_invalid_id_is_in_the_whole_text() -> None:
    ids, offsets = flatten([[4, EOS], [5, EOS], [SIZE, EOS]])
    with raises(DataError, "id 9", "position 4"):
        list(make_model(order=2).score_blocks(ids, offsets, block=2))


@pytest.mark.parametrize("word", [-1, SIZE])
def test_steps_reject_ids_outside_the_vocabulary(model: BackoffModel, word: int) -> None:
    with raises(DataError, f"id {word}", SIZE):
        model.step(ROOT, word)
    with raises(DataError, f"id {word}", "position 0", SIZE):
        model.state_after([word])


def test_a_step_by_hand() -> None:
    """Two words, bigrams <s> 4 and 4 5; everything else backs off."""
    inf = math.inf
    model = BackoffModel(
        order=2,
        vocabulary_size=6,
        word_A=np.array([0, 0, 1, 2, 3, 4, 5, 4, 5], np.int32),
        suffix_A=np.array([0, 0, 0, 0, 0, 0, 0, 5, 6], np.int32),
        log10_A=np.array([0, -inf, -2, -inf, -0.5, -0.25, -0.75, -0.1, -0.2], np.float32),
        backoff_I=np.array([0, 0, 0, -0.3, 0, -0.4, 0], np.float32),
        first_child_I1=np.array([1, 7, 7, 7, 8, 8, 9, 9], np.int32),
    )
    log10 = model.score(np.array([4, 5, 3, 5, 1, 3]), np.array([0, 3, 6])) / math.log(10)
    assert log10 == pytest.approx([-0.1, -0.2, -0.5, -0.3 - 0.75, -2, -0.5])
    after_4 = model.log_probabilities(model.state_after([4])) / math.log(10)
    assert after_4 == pytest.approx([-inf, -0.4 - 2, -inf, -0.4 - 0.5, -0.4 - 0.25, -0.2])


def test_kernel_compiled_equals_python() -> None:
    model = make_model(order=3)
    for state in (ROOT, model.initial_state(), model.state_after([4, 5]), len(model.backoff_I) - 1):
        for word in range(1, SIZE):
            compiled = ngram_trie.score_word(model._arrays, state, word)
            assert ngram_trie.score_word.py_func(model._arrays, state, word) == compiled  # type: ignore[attr-defined]


def entries_of(words: list[list[int]], order: int) -> NgramEntries:
    zeros = np.zeros(len(words), dtype=np.float32)
    return NgramEntries(np.array(words, dtype=np.int32).reshape(-1, order), zeros - 1, zeros)


def empty_trie() -> TrieBuilder:
    return TrieBuilder(np.zeros(SIZE, np.float32), np.zeros(SIZE, np.float32))


def add(trie: TrieBuilder, words: list[list[int]]) -> None:
    trie.add_order(entries_of(words, trie.order + 1))


@pytest.mark.parametrize("seed", [1, 2])
def test_shuffled_ngrams_give_the_same_model(seed: int) -> None:
    model = make_model(order=4)
    random = np.random.default_rng(seed)
    levels = model.order_begins
    trie = TrieBuilder(model.log10_A[1 : levels[2]], model.backoff_I[1 : levels[2]])
    for order in (2, 3, 4):
        node_N = random.permutation(np.arange(levels[order], levels[order + 1]))
        backoff_N = model.backoff_I[node_N] if order < 4 else np.zeros(len(node_N), np.float32)
        trie.add_order(NgramEntries(ngram_words(model, node_N, order), model.log10_A[node_N], backoff_N))
    again = trie.build()
    assert all(np.array_equal(mine, its) for mine, its in zip(model._arrays, again._arrays, strict=True))


def test_suffix_is_the_longest_in_the_trie() -> None:
    trie = empty_trie()
    add(trie, [[4, 5], [6, 7]])
    add(trie, [[4, 5, 6], [4, 5, 5]])
    add(trie, [[4, 5, 6, 7]])
    model = trie.build()
    begins = model.order_begins
    assert model.suffix_A[begins[2] : begins[3]].tolist() == [1 + 5, 1 + 7]
    assert model.suffix_A[begins[3] : begins[4]].tolist() == [1 + 5, 1 + 6]
    assert model.suffix_A[begins[4]] == begins[2] + 1  # 6 7, as 5 6 7 is missing


def test_missing_context_is_located() -> None:
    trie = empty_trie()
    add(trie, [[4, 5]])
    with pytest.raises(InvalidNgramError) as caught:
        add(trie, [[4, 5, 6], [5, 4, 6], [6, 6, 6]])
    assert (caught.value.index, caught.value.first) == (1, None)


def test_first_duplicate_is_located() -> None:
    with pytest.raises(InvalidNgramError) as caught:
        add(empty_trie(), [[8, 8], [4, 5], [4, 6], [8, 8], [4, 5], [4, 5]])
    assert (caught.value.index, caught.value.first) == (3, 0)


def test_kernels_compiled_equal_python() -> None:
    trie = empty_trie()
    add(trie, [[4, 5], [5, 4], [5, 5]])
    model = trie.build()
    words = np.array([[4, 5, 4], [4, 4, 4], [5, 5, 8]], dtype=np.int32)
    context = ngram_trie.find_contexts(model.word_A, model.first_child_I1, words)
    assert context.tolist() == [1 + SIZE, -1, 3 + SIZE]
    plain = ngram_trie.find_contexts.py_func(model.word_A, model.first_child_I1, words)  # type: ignore[attr-defined]
    assert plain.tolist() == context.tolist()
    arguments = model.word_A, model.suffix_A, model.first_child_I1, context[[0, 2]], words[[0, 2], -1].copy()
    plain = ngram_trie.find_suffixes.py_func(*arguments)  # type: ignore[attr-defined]
    # 5 4 is in the trie, 5 8 is not
    assert ngram_trie.find_suffixes(*arguments).tolist() == plain.tolist() == [2 + SIZE, 1 + 8]
