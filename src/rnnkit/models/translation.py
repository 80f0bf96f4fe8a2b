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
class Listed:
    """The target tokens that the output layer is asked for. Probabilities are then shares among a sentence's own.

    Attributes:
        ids_C: Of all sentences together, rising.
        own_BC: True for those of each sentence.
    """

    ids_C: Tensor
    own_BC: Tensor


@dataclass(frozen=True)
class TranslationState:
    """What is carried between steps.

    Attributes:
        memory: Of B sentences.
        decoder: Of B x K rows, the rows of a sentence side by side.
        beam: K.
        own_BC: The sentences' rows of `Listed.own_BC`, where there is a list.
    """

    memory: Memory
    decoder: DecoderState
    beam: int
    own_BC: Tensor | None = None


class Translation:
    """One batch under translation.

    Args:
        model: In evaluation mode.
        source_BS: Ids, padded on the right.
        lengths_B: Tokens of each sentence.
        listed: Target tokens that are looked at, on the model's device; all, unless given. Not for a model that copies.
    """

    def __init__(
        self, model: SequenceToSequence, source_BS: Tensor, lengths_B: Tensor, listed: Listed | None = None
    ) -> None:
        self._model = model
        self._memory, self._start = model.encode(source_BS, lengths_B)
        self._listed = listed
        self._output = model.output_layer(None if listed is None else listed.ids_C)

    def start(self) -> TranslationState:
        """The state before the first token, one row a sentence."""
        return TranslationState(self._memory, self._start, 1, None if self._listed is None else self._listed.own_BC)

    def step(self, token_BK: Tensor, state: TranslationState) -> tuple[Tensor, TranslationState, Tensor | None]:
        """Read the tokens chosen last; see `decoding.stepper.Stepper.step`."""
        readout_BKR, after, weights_BKS = self._read(token_BK, state)
        if self._listed is None:
            return self._model.log_probabilities(readout_BKR, weights_BKS, state.memory), after, weights_BKS
        log_p_BKC = torch.log_softmax(self._logits(readout_BKR, state), dim=-1)
        log_p_BKV = log_p_BKC.new_full((*token_BK.shape, self._model.config.target_size), -torch.inf)
        log_p_BKV[..., self._listed.ids_C] = log_p_BKC
        return log_p_BKV, after, weights_BKS

    def rank(
        self, token_BK: Tensor, state: TranslationState, count: int, forbidden: Sequence[int]
    ) -> tuple[Tensor, Tensor, TranslationState, Tensor | None]:
        """Read the tokens chosen last; see `decoding.stepper.Ranker.rank`."""
        readout_BKR, after, weights_BKS = self._read(token_BK, state)
        if self._model.config.copy:  # logarithms of probabilities are logits too
            logits_NC = self._model.log_probabilities(readout_BKR, weights_BKS, state.memory).flatten(0, 1)
        else:
            logits_NC = self._logits(readout_BKR, state).flatten(0, 1)
        columns = list(forbidden) if self._listed is None else _places(self._listed.ids_C, forbidden)
        log_p_NK, column_NK = ranking.rank(logits_NC, min(count, logits_NC.shape[1]), columns)
        token_NK = column_NK if self._listed is None else self._listed.ids_C[column_NK]
        log_p_BKN, token_BKN = (part.view(*token_BK.shape, -1).cpu() for part in (log_p_NK, token_NK))
        return log_p_BKN, token_BKN, after, weights_BKS

    def _read(self, token_BK: Tensor, state: TranslationState) -> tuple[Tensor, TranslationState, Tensor | None]:
        """The readouts behind the tokens, the next state, and attention weights."""
        token_BK = token_BK.to(self._memory.states_BSH.device)
        readout_BKR, decoder, weights_BKS = self._model.step(token_BK, state.memory, state.decoder)
        return readout_BKR, TranslationState(state.memory, decoder, state.beam, state.own_BC), weights_BKS

    def _logits(self, readout_BKR: Tensor, state: TranslationState) -> Tensor:
        """What the output layer says; minus infinity for what is on others' lists alone."""
        logits_BKC: Tensor = self._output(readout_BKR).float()
        return logits_BKC if state.own_BC is None else logits_BKC.masked_fill(~state.own_BC.unsqueeze(1), -torch.inf)

    def select(self, state: TranslationState, sentence_B: Tensor, row_BK: Tensor) -> TranslationState:
        """The state of the chosen sentences, each with the chosen rows."""
        device = self._memory.states_BSH.device
        sentence_B, row_BK = sentence_B.to(device), row_BK.to(device)
        rows = (sentence_B.unsqueeze(1) * state.beam + row_BK).flatten()
        everyone = len(sentence_B) == len(state.memory.padding_BS)
        if everyone and _in_order(sentence_B):
            return TranslationState(state.memory, state.decoder.select(rows), row_BK.shape[1], state.own_BC)
        own_BC = None if state.own_BC is None else state.own_BC[sentence_B]
        memory = state.memory.select(sentence_B)
        return TranslationState(memory, state.decoder.select(rows), row_BK.shape[1], own_BC)


def _in_order(index_B: Tensor) -> bool:
    return bool((index_B == torch.arange(len(index_B), device=index_B.device)).all())


def _places(ids_C: Tensor, wanted: Sequence[int]) -> list[int]:
    """Where those of the wanted ids stand that are there."""
    return torch.isin(ids_C, torch.tensor(wanted, device=ids_C.device)).nonzero().flatten().tolist()
