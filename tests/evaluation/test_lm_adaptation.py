"""The neural cache against its equation, word by word; dynamic evaluation: exact before it learns, then as defined."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests import tiny_models
from tests.raising import raises
from torch import Tensor

from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.errors import TrainingError
from rnnkit.evaluation import lm_adaptation
from rnnkit.evaluation.lm_adaptation import (
    DynamicEvaluator,
    DynamicSettings,
    NeuralCache,
    UnigramCache,
    reference_cache_distribution,
    reference_dynamic_step,
)
from rnnkit.evaluation.perplexity import FloatArray, ScoredBlock, make_evaluator, token_log_probs
from rnnkit.models.language_model import LanguageModelNetwork
from rnnkit.nn import kinds
from rnnkit.text import special_tokens

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
    monkeypatch.setattr(lm_adaptation, "QUERY_BLOCK", rows)
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


def text(lines: int = 8, seed: int = 2) -> SentenceDataset:
    """Lines of random words."""
    random = np.random.default_rng(seed)
    parts = [
        [*random.integers(4, tiny_models.SIZE, size=size), special_tokens.EOS] for size in random.integers(0, 9, lines)
    ]
    return SentenceDataset(np.concatenate(parts).astype(np.uint16), np.cumsum([0, *map(len, parts)]))


def dynamic(network: LanguageModelNetwork, settings: DynamicSettings, lines: SentenceDataset) -> FloatArray:
    return token_log_probs(DynamicEvaluator(network, settings), lines)


@pytest.mark.parametrize("method", kinds.DYNAMIC_METHODS)
@pytest.mark.parametrize("context", kinds.LINE_CONTEXTS)
@pytest.mark.parametrize("arch", kinds.LANGUAGE_ARCHS)
def test_at_rate_zero_nothing_is_learned(arch: str, context: str, method: kinds.DynamicMethod) -> None:
    network = tiny_models.speaker(arch, context=context, dropout=0.5, weight_drop=0.5, dropout_embedding=0.5)
    found = dynamic(network, DynamicSettings(method, 0.0, 0.3, 3), text())
    np.testing.assert_allclose(found, token_log_probs(make_evaluator(network), text()), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", kinds.DYNAMIC_METHODS)
@pytest.mark.parametrize("context", kinds.LINE_CONTEXTS)
def test_the_network_and_its_surroundings_stay_as_they_are(context: str, method: kinds.DynamicMethod) -> None:
    network = tiny_models.speaker(context=context, dropout=0.5)
    before = copy.deepcopy(network.state_dict())
    random = torch.get_rng_state()
    dynamic(network, DynamicSettings(method, 0.1, 0.01, 4), text())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert (network.training, network.config.dropout) == (False, 0.5)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(parameter.grad is None for parameter in network.parameters())


def gradients(
    network: LanguageModelNetwork, ids: list[int], last: int, state: object
) -> tuple[dict[str, Tensor], object]:
    """Those of one segment's mean loss, by plain autograd; and the state behind it."""
    before = network.initial_state(1) if state is None else state
    reading = network.hidden_states(torch.tensor([[last, *ids[:-1]]]), before)  # type: ignore[arg-type]
    log_p_TV = network.log_probabilities(reading.hidden_BTE[0])
    names, weights = zip(*network.named_parameters(), strict=True)
    slopes = torch.autograd.grad(torch.nn.functional.nll_loss(log_p_TV, torch.tensor(ids)), weights)
    found = dict(zip(names, slopes, strict=True))
    return found, tuple(tuple(part.detach() for part in layer) for layer in reading.state)


@pytest.mark.parametrize("method", kinds.DYNAMIC_METHODS)
@pytest.mark.parametrize(("tied", "decay"), [(True, 0.2), (False, 0.2), (True, 1.0)])
def test_steps_are_those_of_the_equations(method: kinds.DynamicMethod, tied: bool, decay: float) -> None:
    """Three segments by hand: all weights laid end to end as one tensor, as the mean over all weights wants it."""
    network = tiny_models.speaker("gru", tied=tied, layers=1)
    plain = copy.deepcopy(network)
    settings = DynamicSettings(method, 0.05, decay, 4)
    ids = [5, 6, 3, 7, 8, 9, 5, 3, 6, 6, 4, 3]
    reader = DynamicEvaluator(network, settings)
    for _ in reader.evaluate(SentenceDataset(np.array(ids), np.array([0, len(ids)]))):
        pass

    def laid() -> Tensor:
        return torch.cat([weight.detach().flatten() for weight in plain.parameters()])

    trained, seen, state, last = laid(), [], None, special_tokens.EOS
    for begin in range(0, len(ids), 4):
        segment = ids[begin : begin + 4]
        found, state = gradients(plain, segment, last, state)
        last = segment[-1]
        seen.append(torch.cat([found[name].flatten() for name, _ in plain.named_parameters()]))
        torch.nn.utils.vector_to_parameters(reference_dynamic_step(laid(), trained, seen, settings), plain.parameters())
    learned = torch.cat([weight.detach().flatten() for weight in reader._network.parameters()])
    assert (learned - trained).abs().max() > 0.01
    torch.testing.assert_close(learned, laid(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", kinds.DYNAMIC_METHODS)
def test_nothing_is_learned_from_a_segment_before_it_is_scored(method: kinds.DynamicMethod) -> None:
    network, lines = tiny_models.speaker(), text()
    found = dynamic(network, DynamicSettings(method, 0.05, 0.0, 5), lines)
    plain = token_log_probs(make_evaluator(network), lines)
    np.testing.assert_allclose(found[:5], plain[:5], rtol=1e-4)
    assert np.abs(found[5:10] - plain[5:10]).max() > 1e-3


@pytest.mark.parametrize(("method", "rate"), [("rms", 0.02), ("sgd", 0.3)])
@pytest.mark.parametrize("context", kinds.LINE_CONTEXTS)
def test_a_text_that_repeats_itself_is_learned(context: str, method: kinds.DynamicMethod, rate: float) -> None:
    network = tiny_models.speaker(context=context)
    lines = [[5, 9, 7, 3], [11, 12, 6, 8, 3]] * 12
    repeated = SentenceDataset(np.concatenate(lines), np.cumsum([0, *map(len, lines)]))
    plain = -token_log_probs(make_evaluator(network), repeated).mean()
    learned = -dynamic(network, DynamicSettings(method, rate, 0.001, 5), repeated).mean()
    assert learned < plain - 0.2


@pytest.mark.parametrize("context", kinds.LINE_CONTEXTS)
def test_a_reader_goes_on_learning_where_it_stopped(context: str) -> None:
    """Segments do not end with the lines that are given at once."""
    network, lines = tiny_models.speaker(context=context), text()
    settings = DynamicSettings("rms", 0.02, 0.01, 4)
    reader, parts = DynamicEvaluator(network, settings), []
    for number in range(len(lines)):
        parts.append(token_log_probs(reader, SentenceDataset(lines[number], np.array([0, len(lines[number])]))))
    np.testing.assert_allclose(np.concatenate(parts), dynamic(network, settings, lines), rtol=1e-4)


def test_updates_that_diverge_are_an_error() -> None:
    with raises(TrainingError, "1e+38", "tokens", option="--dynamic-rate"):
        dynamic(tiny_models.speaker(), DynamicSettings("sgd", 1e38, 0.0, 4), text())
