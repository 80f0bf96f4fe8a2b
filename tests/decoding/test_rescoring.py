"""Forced scores of given outputs, token by token, independent of the batch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rnnkit.decoding.rescoring import score_targets
from rnnkit.text.special_tokens import EOS

from .tables import Prefixes, PrefixStepper, only, random_stepper

SIZE, SOURCE = 7, 3
OUTPUTS: list[list[tuple[int, ...]]] = [
    [(4, 5), (6,)],
    [(), ()],
    [(5, 5, 4, 6, 5), (4,)],
    [(6, 4), (5, 6, 4)],
    [(4,), ()],
]


class Counted(PrefixStepper):
    """Records the number of sentences of each step."""

    def __init__(self, stepper: PrefixStepper) -> None:
        super().__init__(len(OUTPUTS), stepper._log_probabilities, stepper._attention)
        self.sentences: list[int] = []

    def step(self, token_BK: Tensor, state: Prefixes) -> tuple[Tensor, Prefixes, Tensor | None]:
        self.sentences.append(len(token_BK))
        return super().step(token_BK, state)


@pytest.mark.parametrize("source", [0, SOURCE])
def test_each_token_has_probability_and_attention(source: int) -> None:
    stepper = random_stepper(len(OUTPUTS), SIZE, seed=2, source=source)
    log_p_BKT, attention_BKTS = score_targets(stepper, OUTPUTS)
    assert log_p_BKT.shape == (5, 2, 6)
    assert (attention_BKTS is None) == (source == 0)
    for sentence, many in enumerate(OUTPUTS):
        for index, ids in enumerate(many):
            ended = [*ids, EOS]
            wanted = [stepper._log_probabilities(sentence, ids[:at])[token] for at, token in enumerate(ended)]
            assert log_p_BKT[sentence, index, : len(ended)].tolist() == pytest.approx(wanted)
            assert not log_p_BKT[sentence, index, len(ended) :].any(), "nothing is scored after EOS"
            if attention_BKTS is not None and stepper._attention is not None:
                looks = torch.tensor([stepper._attention(sentence, ids[:at]) for at in range(len(ended))])
                torch.testing.assert_close(attention_BKTS[sentence, index, : len(ended)], looks)


def test_batch_equals_single_sentences() -> None:
    together, _ = score_targets(random_stepper(len(OUTPUTS), SIZE, seed=4), OUTPUTS)
    for sentence, many in enumerate(OUTPUTS):
        alone, _ = score_targets(only(random_stepper(len(OUTPUTS), SIZE, seed=4), sentence), [many])
        torch.testing.assert_close(alone[0], together[sentence, :, : alone.shape[-1]])


def test_finished_sentences_leave_the_batch() -> None:
    stepper = Counted(random_stepper(len(OUTPUTS), SIZE, seed=3))
    score_targets(stepper, OUTPUTS)
    assert stepper.sentences == [5, 4, 3, 2, 1, 1]
