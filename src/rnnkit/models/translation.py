"""A batch of source sentences as something to search: fits `decoding.stepper.Stepper` by its shape."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rnnkit.models.memory import DecoderState, Memory
from rnnkit.models.sequence_to_sequence import SequenceToSequence


@dataclass(frozen=True)
class TranslationState:
    """What is carried between steps.

    Attributes:
        memory: Of B sentences.
        decoder: Of B x K rows, the rows of a sentence side by side.
        beam: K.
    """

    memory: Memory
    decoder: DecoderState
    beam: int


class Translation:
    """One batch under translation.

    Args:
        model: In evaluation mode.
        source_BS: Ids, padded on the right.
        lengths_B: Tokens of each sentence.
    """

    def __init__(self, model: SequenceToSequence, source_BS: Tensor, lengths_B: Tensor) -> None:
        self._model = model
        self._memory, self._start = model.encode(source_BS, lengths_B)

    def start(self) -> TranslationState:
        """The state before the first token, one row a sentence."""
        return TranslationState(self._memory, self._start, beam=1)

    def step(self, token_BK: Tensor, state: TranslationState) -> tuple[Tensor, TranslationState, Tensor | None]:
        """Read the tokens chosen last; see `decoding.stepper.Stepper.step`."""
        device = self._memory.states_BSH.device
        readout_BKR, decoder, weights_BKS = self._model.step(token_BK.to(device), state.memory, state.decoder)
        log_p_BKV = self._model.log_probabilities(readout_BKR, weights_BKS, state.memory)
        return log_p_BKV, TranslationState(state.memory, decoder, state.beam), weights_BKS

    def select(self, state: TranslationState, sentence_B: Tensor, row_BK: Tensor) -> TranslationState:
        """The state of the chosen sentences, each with the chosen rows."""
        device = self._memory.states_BSH.device
        sentence_B, row_BK = sentence_B.to(device), row_BK.to(device)
        rows = (sentence_B.unsqueeze(1) * state.beam + row_BK).flatten()
        everyone = len(sentence_B) == len(state.memory.padding_BS)
        memory = state.memory if everyone and _in_order(sentence_B) else state.memory.select(sentence_B)
        return TranslationState(memory, state.decoder.select(rows), row_BK.shape[1])


def _in_order(index_B: Tensor) -> bool:
    return bool((index_B == torch.arange(len(index_B), device=index_B.device)).all())
