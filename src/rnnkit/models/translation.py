"""A batch of source sentences as something to search: fits `decoding.stepper.Stepper` by its shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnkit.models.memory import DecoderState, Memory
from rnnkit.models.sequence_to_sequence import SequenceToSequence
from rnnkit.nn import ranking


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
        ids_C: Target ids that are looked at, rising, on the model's device; all, unless given. Probabilities are
            then shares among these alone. Not for a model that copies.
    """

    def __init__(
        self, model: SequenceToSequence, source_BS: Tensor, lengths_B: Tensor, ids_C: Tensor | None = None
    ) -> None:
        self._model = model
        self._memory, self._start = model.encode(source_BS, lengths_B)
        self._ids_C = ids_C
        self._output = model.output_layer(ids_C)

    def start(self) -> TranslationState:
        """The state before the first token, one row a sentence."""
        return TranslationState(self._memory, self._start, beam=1)

    def step(self, token_BK: Tensor, state: TranslationState) -> tuple[Tensor, TranslationState, Tensor | None]:
        """Read the tokens chosen last; see `decoding.stepper.Stepper.step`."""
        device = self._memory.states_BSH.device
        readout_BKR, decoder, weights_BKS = self._model.step(token_BK.to(device), state.memory, state.decoder)
        after = TranslationState(state.memory, decoder, state.beam)
        if self._ids_C is None:
            return self._model.log_probabilities(readout_BKR, weights_BKS, state.memory), after, weights_BKS
        log_p_BKC = torch.log_softmax(self._output(readout_BKR).float(), dim=-1)
        log_p_BKV = log_p_BKC.new_full((*token_BK.shape, self._model.config.target_size), -torch.inf)
        log_p_BKV[..., self._ids_C] = log_p_BKC
        return log_p_BKV, after, weights_BKS

    def rank(
        self, token_BK: Tensor, state: TranslationState, count: int, forbidden: Sequence[int]
    ) -> tuple[Tensor, Tensor, TranslationState, Tensor | None]:
        """Read the tokens chosen last; see `decoding.stepper.Ranker.rank`."""
        device = self._memory.states_BSH.device
        readout_BKR, decoder, weights_BKS = self._model.step(token_BK.to(device), state.memory, state.decoder)
        if self._model.config.copy:  # logarithms of probabilities are logits too
            scores_BKC = self._model.log_probabilities(readout_BKR, weights_BKS, state.memory)
        else:
            scores_BKC = self._output(readout_BKR)
        columns = list(forbidden) if self._ids_C is None else _places(self._ids_C, forbidden)
        scores_NC = scores_BKC.flatten(0, 1)
        log_p_NK, column_NK = ranking.rank(scores_NC, min(count, scores_NC.shape[1]), columns)
        token_NK = column_NK if self._ids_C is None else self._ids_C[column_NK]
        log_p_BKN, token_BKN = (part.view(*token_BK.shape, -1).cpu() for part in (log_p_NK, token_NK))
        return log_p_BKN, token_BKN, TranslationState(state.memory, decoder, state.beam), weights_BKS

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


def _places(ids_C: Tensor, wanted: Sequence[int]) -> list[int]:
    """Where those of the wanted ids stand that are there."""
    return torch.isin(ids_C, torch.tensor(wanted, device=ids_C.device)).nonzero().flatten().tolist()
