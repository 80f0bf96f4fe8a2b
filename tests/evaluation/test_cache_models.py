"""The neural cache, in blocks and streaming, against its equation word by word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rnnkit.evaluation import cache_models
from rnnkit.evaluation.cache_models import NeuralCache, UnigramCache, reference_cache_distribution
from rnnkit.evaluation.perplexity import FloatArray, ScoredBlock

VOCABULARY = 7


def states(tokens: int = 41, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Random states of size 5 and random words."""
    generator = torch.Generator().manual_seed(seed)
    hidden_NE = torch.randn(tokens, 5, generator=generator)
    return hidden_NE, torch.randint(VOCABULARY, (tokens,), generator=generator)


def blocks(hidden_NE: Tensor, target_N: Tensor, length: int) -> Iterator[ScoredBlock]:
    """The same in blocks, with a model that gives every word the same probability."""
    log_p_N = np.full(len(target_N), -np.log(VOCABULARY))
    for begin in range(0, len(target_N), length):
        part = slice(begin, begin + length)
        yield ScoredBlock(hidden_NE[part], target_N[part], log_p_N[part])


def scored(hidden_NE: Tensor, target_N: Tensor, size: int, flatnesses: list[float], length: int = 512) -> FloatArray:
    found = NeuralCache(size, flatnesses)
    return np.concatenate([found.score(block) for block in blocks(hidden_NE, target_N, length)], axis=1)


@pytest.mark.parametrize("rows", [2, 256])
@pytest.mark.parametrize("length", [1, 3, 7, 512])
@pytest.mark.parametrize("size", [1, 5, 100])
def test_it_is_the_equation_in_blocks_of_any_length(
    size: int, length: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_models, "QUERY_BLOCK", rows)
    hidden_NE, target_N = states()
    flatnesses = [0.0, 0.4, 2.0]
    found_FN = scored(hidden_NE, target_N, size, flatnesses, length)
    for found_N, flatness in zip(found_FN, flatnesses, strict=True):
        expected = reference_cache_distribution(hidden_NE, target_N, size, flatness, VOCABULARY)
        assert expected[0] is None
        for log_p, distribution_V, word in list(zip(found_N, expected, target_N.tolist(), strict=True))[1:]:
            assert distribution_V is not None
            assert np.exp(log_p) == pytest.approx(float(distribution_V[word]), abs=1e-5)


@pytest.mark.parametrize("flatness", [0.0, 0.7])
def test_probabilities_sum_to_one_over_the_vocabulary(flatness: float) -> None:
    hidden_NE, target_N = states(12)
    for last in range(12):
        total = 0.0
        for word in range(VOCABULARY):
            asked_N = torch.cat([target_N[:last], torch.tensor([word])])
            total += float(np.exp(scored(hidden_NE[: last + 1], asked_N, 6, [flatness])[0, last]))
        assert total == pytest.approx(1, abs=1e-5), last


def test_an_empty_cache_says_what_the_model_says() -> None:
    hidden_NE, target_N = states(3)
    found_FN = scored(hidden_NE, target_N, 5, [0.0, 1.0])
    assert found_FN[:, 0].tolist() == [-np.log(VOCABULARY)] * 2


def test_a_word_that_was_not_read_lately_is_impossible() -> None:
    target_N = torch.tensor([1, 2, 3, 3, 1])
    found_N = scored(torch.randn(5, 5), target_N, 3, [0.5])[0]
    assert np.isneginf(found_N).tolist() == [False, True, True, False, True]


def test_states_far_apart_do_not_overflow() -> None:
    hidden_NE, target_N = states()
    found_FN = scored(hidden_NE * 100, target_N, 20, [2.0])
    expected = reference_cache_distribution(hidden_NE * 100, target_N, 20, 2.0, VOCABULARY)
    for log_p, distribution_V, word in list(zip(found_FN[0], expected, target_N.tolist(), strict=True))[1:]:
        assert distribution_V is not None
        assert np.exp(log_p) == pytest.approx(float(distribution_V[word]), abs=1e-4)


@pytest.mark.parametrize("size", [1, 5, 100])
@pytest.mark.parametrize("length", [1, 4, 512])
def test_without_likeness_of_states_it_is_the_unigram_cache(size: int, length: int) -> None:
    hidden_NE, target_N = states(60)
    expected = scored(hidden_NE, target_N, size, [0.0])[0]
    counted, parts = UnigramCache(size), []
    for block in blocks(hidden_NE, target_N, length):
        parts.append(counted.score(block.target_N.numpy(), block.log_p_N))
    np.testing.assert_allclose(np.exp(np.concatenate(parts)), np.exp(expected), atol=1e-6)


def test_the_cache_holds_no_more_than_it_should() -> None:
    found = NeuralCache(5, [1.0])
    for block in blocks(*states(), 16):
        found.score(block)
    assert found._key_KE is not None
    assert (len(found._key_KE), found._key_KE.requires_grad) == (5, False)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=50), st.integers(1, 12), st.integers(1, 20))
def test_it_counts_the_last_tokens(words: list[int], size: int, length: int) -> None:
    cache, parts = UnigramCache(size), []
    for begin in range(0, len(words), length):
        piece = np.array(words[begin : begin + length], dtype=np.uint16)
        parts.append(cache.score(piece, np.full(len(piece), -9.0)))
    found = np.concatenate(parts)
    assert found[0] == -9.0
    for place in range(1, len(words)):
        seen = words[max(0, place - size) : place]
        assert np.isclose(np.exp(found[place]), Counter(seen)[words[place]] / len(seen))


def test_a_word_not_read_lately_is_impossible_by_counts() -> None:
    assert UnigramCache(2).score(np.array([5, 6, 7, 5]), np.zeros(4)).tolist() == [0.0, -np.inf, -np.inf, -np.inf]
