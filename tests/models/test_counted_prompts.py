"""Prompts of a counted model as a stepper, against the model's own scores of whole lines."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.tiny_models import SIZE, counts, vocabulary

from rnnkit.models.prompts import NgramPrompts
from rnnkit.ngrams.model import NgramModel
from rnnkit.text.special_tokens import BOS, EOS, UNK

FIRST = torch.full((3, 1), BOS)


def expected(model: NgramModel, line: list[int]) -> list[float]:
    """Log-probability of each token that may follow the ids, by scoring the lengthened line."""
    lines = [[*line, token] for token in range(SIZE) if token != BOS and token]
    scored = [model.score(np.array(one), np.array([0, len(one)]))[-1] for one in lines]
    return [-np.inf, scored[0], -np.inf, *scored[1:]]


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_steps_say_what_scoring_the_line_says(order: int) -> None:
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
        *((first_B1V[place, 0], prompt) for place, prompt in enumerate(prompts)),
        (second_BKV[0, 0], [*prompts[0], 6]),
        (second_BKV[0, 1], [*prompts[0], 8]),
        (second_BKV[1, 1], [*prompts[2], 4]),
        (third_BKV[0, 0], [*prompts[2], 4, 9]),
        (third_BKV[1, 0], [*prompts[0], 6, 10]),
    ):
        assert log_p_V.tolist() == pytest.approx(expected(model, line), abs=1e-6)


def test_an_empty_prompt_is_the_beginning_of_a_line() -> None:
    model = counts()
    stepper = NgramPrompts(model, [[]])
    first_11V, _, _ = stepper.step(FIRST[:1], stepper.start())
    assert first_11V[0, 0].tolist() == pytest.approx(expected(model, []))
    assert first_11V.exp().sum().item() == pytest.approx(1)
