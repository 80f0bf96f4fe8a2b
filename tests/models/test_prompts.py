"""Prompts as a stepper against reading the whole line anew."""

from __future__ import annotations

import pytest
import torch
from tests.tiny_models import SIZE, speaker

from rnnkit.models.language_model import LanguageModel
from rnnkit.models.prompts import NeuralPrompts
from rnnkit.nn.kinds import LANGUAGE_ARCHS
from rnnkit.text.special_tokens import BOS, EOS

PROMPTS = [[4, 9, 6], [7, 7, 12], [15, 5, 4]]
FIRST = torch.full((3, 1), BOS)


@torch.no_grad()
def reread(network: LanguageModel, ids: list[int]) -> torch.Tensor:
    """Log-probabilities of what follows the ids, read in one go behind an end symbol (V,)."""
    reading = network.hidden_states(torch.tensor([[EOS, *ids]]), network.initial_state(1))
    return network.log_probabilities(reading.hidden_BTE[:, -1])[0]


@pytest.mark.parametrize("arch", LANGUAGE_ARCHS)
@torch.no_grad()
def test_steps_say_what_reading_the_whole_line_says(arch: str) -> None:
    network = speaker(arch)
    stepper = NeuralPrompts(network, PROMPTS)
    first_B1V, state, weights = stepper.step(FIRST, stepper.start())
    assert first_B1V.shape == (3, 1, SIZE)
    assert weights is None
    for prompt, first_1V in zip(PROMPTS, first_B1V, strict=True):
        torch.testing.assert_close(first_1V[0], reread(network, prompt), atol=1e-5, rtol=1e-5)
    state = stepper.select(state, torch.arange(3), torch.zeros(3, 2, dtype=torch.long))
    chosen_BK = torch.tensor([[4, 5], [6, 7], [8, 9]])
    second_BKV, state, _ = stepper.step(chosen_BK, state)
    third_BKV, _, _ = stepper.step(chosen_BK + 5, state)
    for place, prompt in enumerate(PROMPTS):
        for row, token in enumerate(chosen_BK[place].tolist()):
            expected_V = reread(network, [*prompt, token])
            torch.testing.assert_close(second_BKV[place, row], expected_V, atol=1e-5, rtol=1e-5)
            expected_V = reread(network, [*prompt, token, token + 5])
            torch.testing.assert_close(third_BKV[place, row], expected_V, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("arch", LANGUAGE_ARCHS)
@torch.no_grad()
def test_selected_rows_go_on_as_themselves(arch: str) -> None:
    network = speaker(arch)
    stepper = NeuralPrompts(network, PROMPTS)
    _, state, _ = stepper.step(FIRST, stepper.start())
    state = stepper.select(state, torch.arange(3), torch.zeros(3, 3, dtype=torch.long))
    _, state, _ = stepper.step(torch.tensor([[4, 5, 6]] * 3), state)
    state = stepper.select(state, torch.tensor([2, 0]), torch.tensor([[1, 1], [2, 0]]))
    log_p_BKV, _, _ = stepper.step(torch.tensor([[7, 8], [9, 10]]), state)
    lines = [[*PROMPTS[2], 5, 7], [*PROMPTS[2], 5, 8], [*PROMPTS[0], 6, 9], [*PROMPTS[0], 4, 10]]
    for line, log_p_V in zip(lines, log_p_BKV.flatten(0, 1), strict=True):
        torch.testing.assert_close(log_p_V, reread(network, line), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_prompt_may_be_longer_than_a_transformer_looks_back() -> None:
    network = speaker("transformer", memory=3)
    prompt = [4, 9, 6, 7, 7, 12, 15, 5, 4, 8, 11]
    stepper = NeuralPrompts(network, [prompt])
    first_11V, state, _ = stepper.step(FIRST[:1], stepper.start())
    torch.testing.assert_close(first_11V[0, 0], reread(network, prompt), atol=1e-5, rtol=1e-5)
    second_11V, _, _ = stepper.step(torch.tensor([[6]]), state)
    torch.testing.assert_close(second_11V[0, 0], reread(network, [*prompt, 6]), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_sentences_can_be_selected_before_the_first_step() -> None:
    stepper = NeuralPrompts(speaker(), PROMPTS)
    together_B1V, _, _ = stepper.step(FIRST, stepper.start())
    start = stepper.select(stepper.start(), torch.tensor([2]), torch.tensor([[0]]))
    assert torch.equal(stepper.step(FIRST[:1], start)[0], together_B1V[2:])


@torch.no_grad()
def test_an_empty_prompt_is_a_beginning() -> None:
    network = speaker()
    stepper = NeuralPrompts(network, [[], []])
    first_B1V, _, _ = stepper.step(FIRST[:2], stepper.start())
    torch.testing.assert_close(first_B1V[1, 0], reread(network, []))
