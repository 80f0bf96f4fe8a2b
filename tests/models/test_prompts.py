"""Prompt steppers of neural and n-gram models against the probabilities of whole lines."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.tiny_models import SIZE, counts, speaker, vocabulary

from rnnkit.models.language_model import LanguageModelNetwork
from rnnkit.models.prompts import NeuralPrompts, NgramPrompts
from rnnkit.ngrams.ngram_model import BackoffModel
from rnnkit.nn.kinds import LANGUAGE_ARCHS
from rnnkit.text.special_tokens import BOS, EOS, UNK

PROMPTS = [[4, 9, 6], [7, 7, 12], [15, 5, 4]]
FIRST = torch.full((3, 1), BOS)


@torch.no_grad()
def line_log_probabilities(network: LanguageModelNetwork, ids: list[int]) -> torch.Tensor:
    """Log-probabilities of the token after the ids, computed from the whole line (V,)."""
    output = network.hidden_states(torch.tensor([[EOS, *ids]]), network.initial_state(1))
    return network.log_probabilities(output.hidden_BTE[:, -1])[0]


@pytest.mark.parametrize("arch", LANGUAGE_ARCHS)
@torch.no_grad()
def test_steps_equal_the_whole_line(arch: str) -> None:
    network = speaker(arch)
    stepper = NeuralPrompts(network, PROMPTS)
    first_B1V, state, weights = stepper.step(FIRST, stepper.start())
    assert first_B1V.shape == (3, 1, SIZE)
    assert weights is None
    for prompt, first_1V in zip(PROMPTS, first_B1V, strict=True):
        torch.testing.assert_close(first_1V[0], line_log_probabilities(network, prompt), atol=1e-5, rtol=1e-5)
    state = stepper.select(state, torch.arange(3), torch.zeros(3, 2, dtype=torch.long))
    chosen_BK = torch.tensor([[4, 5], [6, 7], [8, 9]])
    second_BKV, state, _ = stepper.step(chosen_BK, state)
    third_BKV, _, _ = stepper.step(chosen_BK + 5, state)
    for index, prompt in enumerate(PROMPTS):
        for row, token in enumerate(chosen_BK[index].tolist()):
            expected_V = line_log_probabilities(network, [*prompt, token])
            torch.testing.assert_close(second_BKV[index, row], expected_V, atol=1e-5, rtol=1e-5)
            expected_V = line_log_probabilities(network, [*prompt, token, token + 5])
            torch.testing.assert_close(third_BKV[index, row], expected_V, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("arch", LANGUAGE_ARCHS)
@torch.no_grad()
def test_selected_rows_keep_their_state(arch: str) -> None:
    network = speaker(arch)
    stepper = NeuralPrompts(network, PROMPTS)
    _, state, _ = stepper.step(FIRST, stepper.start())
    state = stepper.select(state, torch.arange(3), torch.zeros(3, 3, dtype=torch.long))
    _, state, _ = stepper.step(torch.tensor([[4, 5, 6]] * 3), state)
    state = stepper.select(state, torch.tensor([2, 0]), torch.tensor([[1, 1], [2, 0]]))
    log_p_BKV, _, _ = stepper.step(torch.tensor([[7, 8], [9, 10]]), state)
    lines = [[*PROMPTS[2], 5, 7], [*PROMPTS[2], 5, 8], [*PROMPTS[0], 6, 9], [*PROMPTS[0], 4, 10]]
    for line, log_p_V in zip(lines, log_p_BKV.flatten(0, 1), strict=True):
        torch.testing.assert_close(log_p_V, line_log_probabilities(network, line), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_prompt_may_exceed_a_transformers_context() -> None:
    network = speaker("transformer", memory=3)
    prompt = [4, 9, 6, 7, 7, 12, 15, 5, 4, 8, 11]
    stepper = NeuralPrompts(network, [prompt])
    first_11V, state, _ = stepper.step(FIRST[:1], stepper.start())
    torch.testing.assert_close(first_11V[0, 0], line_log_probabilities(network, prompt), atol=1e-5, rtol=1e-5)
    second_11V, _, _ = stepper.step(torch.tensor([[6]]), state)
    torch.testing.assert_close(second_11V[0, 0], line_log_probabilities(network, [*prompt, 6]), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_sentences_can_be_selected_before_the_first_step() -> None:
    stepper = NeuralPrompts(speaker(), PROMPTS)
    together_B1V, _, _ = stepper.step(FIRST, stepper.start())
    start = stepper.select(stepper.start(), torch.tensor([2]), torch.tensor([[0]]))
    assert torch.equal(stepper.step(FIRST[:1], start)[0], together_B1V[2:])


@torch.no_grad()
def test_an_empty_prompt_starts_a_text() -> None:
    network = speaker()
    stepper = NeuralPrompts(network, [[], []])
    first_B1V, _, _ = stepper.step(FIRST[:2], stepper.start())
    torch.testing.assert_close(first_B1V[1, 0], line_log_probabilities(network, []))


def ngram_log_probabilities(model: BackoffModel, line: list[int]) -> list[float]:
    """Log-probability of each token that may follow the ids, by scoring the lengthened line."""
    lines = [[*line, token] for token in range(SIZE) if token != BOS and token]
    scored = [model.score(np.array(one), np.array([0, len(one)]))[-1] for one in lines]
    return [-np.inf, scored[0], -np.inf, *scored[1:]]


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_ngram_steps_equal_scores_of_the_line(order: int) -> None:
    model = counts(order=order)
    prompts = [vocabulary().encode(line.split()) for line in ("the", "the cat sat on the mat", "zebra sat")]
    assert prompts[2][0] == UNK
    stepper = NgramPrompts(model, prompts)
    first_B1V, state, _ = stepper.step(FIRST, stepper.start())
    state = stepper.select(state, torch.tensor([0, 2]), torch.tensor([[0, 0], [0, 0]]))
    second_BKV, state, _ = stepper.step(torch.tensor([[6, 8], [EOS, 4]]), state)
    state = stepper.select(state, torch.tensor([1, 0]), torch.tensor([[1], [0]]))
    third_BKV, _, _ = stepper.step(torch.tensor([[9], [10]]), state)
    for log_p_V, line in (
        *((first_B1V[index, 0], prompt) for index, prompt in enumerate(prompts)),
        (second_BKV[0, 0], [*prompts[0], 6]),
        (second_BKV[0, 1], [*prompts[0], 8]),
        (second_BKV[1, 1], [*prompts[2], 4]),
        (third_BKV[0, 0], [*prompts[2], 4, 9]),
        (third_BKV[1, 0], [*prompts[0], 6, 10]),
    ):
        assert log_p_V.tolist() == pytest.approx(ngram_log_probabilities(model, line), abs=1e-6)


def test_an_empty_ngram_prompt_starts_a_line() -> None:
    model = counts()
    stepper = NgramPrompts(model, [[]])
    first_11V, _, _ = stepper.step(FIRST[:1], stepper.start())
    assert first_11V[0, 0].tolist() == pytest.approx(ngram_log_probabilities(model, []))
    assert first_11V.exp().sum().item() == pytest.approx(1)
