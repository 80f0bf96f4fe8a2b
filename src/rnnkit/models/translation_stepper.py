"""A batch of source sentences as something to search: fits `decoding.stepper.Stepper` by its shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rnnkit.models.encoder_decoder import DecoderState, ExtendedVocabulary, Memory
from rnnkit.models.sequence_to_sequence import SequenceToSequence
from rnnkit.nn import ranking
from rnnkit.text import special_tokens

ROWS_PER_CHUNK = 192
"""Rows that are judged and ranked together: what is said of every token stays near the processor meanwhile."""


@dataclass(frozen=True)
class VocabularyShortlist:
    """The target tokens that the output layer is asked for. Probabilities are then shares among a sentence's own.

    Attributes:
        ids_C: Of all sentences together, rising.
        shortlist_mask_BC: Added to logits: 0 for those of each sentence, minus infinity for what others alone have.
    """

    ids_C: Tensor
    shortlist_mask_BC: Tensor

    @classmethod
    def from_members(cls, ids_C: Tensor, own_BC: Tensor) -> VocabularyShortlist:
        """The list of these tokens, given which of them each sentence has."""
        return cls(ids_C, torch.zeros(own_BC.shape, device=own_BC.device).masked_fill_(~own_BC, -torch.inf))


@dataclass(frozen=True)
class TranslationState:
    """What is carried between steps.

    Attributes:
        memory: Of B sentences.
        decoder: Of B x K rows, the rows of a sentence side by side.
        beam: K.
        shortlist_mask_BC: The sentences' rows of `Listed.shortlist_mask_BC`, where there is a list.
    """

    memory: Memory
    decoder: DecoderState
    beam: int
    shortlist_mask_BC: Tensor | None = None


class TranslationStepper:
    """One batch under translation.

    Args:
        model: In evaluation mode.
        source_BS: Ids, padded on the right. Ids behind the vocabulary are a sentence's own tokens, which are read as
            unknown, and can be said: then log-probabilities have columns for them behind the vocabulary's.
        lengths_B: Tokens of each sentence.
        listed: Target tokens that are looked at, on the model's device; all, unless given. Not for a model that copies.
    """

    def __init__(
        self, model: SequenceToSequence, source_BS: Tensor, lengths_B: Tensor, listed: VocabularyShortlist | None = None
    ) -> None:
        self._model = model
        self._own = ExtendedVocabulary.from_source(source_BS, model.config.source_size)
        known_BS = source_BS if self._own is None else _replace_oov(source_BS, model.config.source_size)
        self._memory, self._start = model.encode(known_BS, lengths_B)
        if self._own is not None:
            self._memory = replace(self._memory, source=replace(self._memory.source, own=self._own))
        self._listed = listed
        self._output = model.output_layer(None if listed is None else listed.ids_C)

    def start(self) -> TranslationState:
        """The state before the first token, one row a sentence."""
        return TranslationState(
            self._memory, self._start, 1, None if self._listed is None else self._listed.shortlist_mask_BC
        )

    def step(self, token_BK: Tensor, state: TranslationState) -> tuple[Tensor, TranslationState, Tensor | None]:
        """Read the tokens chosen last; see `decoding.stepper.Stepper.step`."""
        readout_BKR, after, weights_BKS = self._read(token_BK, state)
        if self._listed is None:
            return self._model.log_probabilities(readout_BKR, weights_BKS, state.memory), after, weights_BKS
        assert state.shortlist_mask_BC is not None
        logits_BKC = self._output(readout_BKR).float() + state.shortlist_mask_BC.unsqueeze(1)
        log_p_BKC = torch.log_softmax(logits_BKC, dim=-1)
        log_p_BKV = log_p_BKC.new_full((*token_BK.shape, self._model.config.target_size), -torch.inf)
        log_p_BKV[..., self._listed.ids_C] = log_p_BKC
        return log_p_BKV, after, weights_BKS

    def rank(
        self,
        token_BK: Tensor,
        state: TranslationState,
        count: int,
        forbidden: Sequence[int],
        live_BK: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, TranslationState, Tensor | None]:
        """Read the tokens chosen last; see `decoding.stepper.Ranker.rank`."""
        readout_BKR, after, weights_BKS = self._read(token_BK, state)
        live_N = torch.arange(token_BK.numel()) if live_BK is None else live_BK.flatten().nonzero().squeeze(1)
        owner_N = live_N // token_BK.shape[1]
        never = forbidden if self._listed is None else _columns_of(self._listed.ids_C, forbidden)
        if self._model.config.copy or self._own is not None:  # logarithms of probabilities are logits too
            logits_BKV = self._model.log_probabilities(readout_BKR, weights_BKS, state.memory)
            parts = [self._best(logits_BKV.flatten(0, 1)[live_N], owner_N, state, count, never)]
        else:
            readouts = torch.split(readout_BKR.flatten(0, 1)[live_N], ROWS_PER_CHUNK)
            parts = [
                self._best(self._output(readout_NR).float(), part_N, state, count, never)
                for readout_NR, part_N in zip(readouts, torch.split(owner_N, ROWS_PER_CHUNK), strict=True)
            ]
        best_NK, best_token_NK = (torch.cat(part).cpu() for part in zip(*parts, strict=True))
        log_p_BKN = torch.full((*token_BK.shape, best_NK.shape[1]), -torch.inf)
        token_BKN = torch.zeros(log_p_BKN.shape, dtype=torch.long)
        log_p_BKN.flatten(0, 1)[live_N], token_BKN.flatten(0, 1)[live_N] = best_NK, best_token_NK
        return log_p_BKN, token_BKN, after, weights_BKS

    def _best(
        self, logits_NC: Tensor, owner_N: Tensor, state: TranslationState, count: int, never: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """The best tokens of some rows, which belong to those sentences, but for those columns; and how probable."""
        count = min(count, logits_NC.shape[1])
        if self._listed is None or state.shortlist_mask_BC is None:
            return ranking.rank(logits_NC, count, never)
        gates = ranking.Gates(state.shortlist_mask_BC, owner_N.to(state.shortlist_mask_BC.device))
        log_p_NK, place_NK = ranking.rank(logits_NC, count, never, gates)
        return log_p_NK, self._listed.ids_C[place_NK]

    def _read(self, token_BK: Tensor, state: TranslationState) -> tuple[Tensor, TranslationState, Tensor | None]:
        """The readouts behind the tokens, the next state, and attention weights."""
        token_BK = token_BK.to(self._memory.states_BSH.device)
        if self._own is not None:
            token_BK = _replace_oov(token_BK, self._model.config.target_size)
        readout_BKR, decoder, weights_BKS = self._model.step(token_BK, state.memory, state.decoder)
        return readout_BKR, TranslationState(state.memory, decoder, state.beam, state.shortlist_mask_BC), weights_BKS

    def select(self, state: TranslationState, sentence_B: Tensor, row_BK: Tensor) -> TranslationState:
        """The state of the chosen sentences, each with the chosen rows."""
        device = self._memory.states_BSH.device
        sentence_B, row_BK = sentence_B.to(device), row_BK.to(device)
        rows = (sentence_B.unsqueeze(1) * state.beam + row_BK).flatten()
        everyone = len(sentence_B) == len(state.memory.padding_BS)
        if everyone and _is_identity(sentence_B):
            return TranslationState(state.memory, state.decoder.select(rows), row_BK.shape[1], state.shortlist_mask_BC)
        shortlist_mask_BC = None if state.shortlist_mask_BC is None else state.shortlist_mask_BC[sentence_B]
        memory = state.memory.select(sentence_B)
        return TranslationState(memory, state.decoder.select(rows), row_BK.shape[1], shortlist_mask_BC)


def _replace_oov(ids: Tensor, size: int) -> Tensor:
    """Ids as a model with a vocabulary of this size reads them: what it lacks is the unknown symbol."""
    return ids.masked_fill(ids >= size, special_tokens.UNK)


def _is_identity(index_B: Tensor) -> bool:
    return bool((index_B == torch.arange(len(index_B), device=index_B.device)).all())


def _columns_of(ids_C: Tensor, wanted: Sequence[int]) -> list[int]:
    """Where those of the wanted ids stand that are there."""
    return torch.isin(ids_C, torch.tensor(wanted, device=ids_C.device)).nonzero().flatten().tolist()
