"""Steppers: a batch of source sentences, or of prompts, as a search problem.

`TranslationStepper` satisfies `decoding.stepper.RankingStepper` structurally. `NeuralPrompts` and `NgramPrompts`
satisfy `decoding.stepper.Stepper`; they continue prompts with a language model, one sentence per prompt.

Shapes: B sentences or prompts, S source length, K beam, N = live rows, T time, V target vocabulary, C shortlist,
R readout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from rnnkit.models import language_model
from rnnkit.models.encoder_decoder import DecoderState, ExtendedVocabulary, Memory
from rnnkit.models.language_model import LanguageModelNetwork, LMState
from rnnkit.models.sequence_to_sequence import SequenceToSequence
from rnnkit.nn import inference_layers
from rnnkit.text import special_tokens

if TYPE_CHECKING:
    from rnnkit.ngrams.ngram_model import BackoffModel

ROWS_PER_CHUNK = 192
"""Rows whose logits are computed and ranked together, so that the logits stay in the processor's cache."""

PREFILL_CHUNK = 1024
"""Prompt tokens per forward computation of the prefill. The state carries over from chunk to chunk, so chunking does
not change the result; it bounds memory, which grows with the square of the chunk in a Transformer."""


@dataclass(frozen=True)
class VocabularyShortlist:
    """Target tokens to which the output layer is restricted; each sentence has its own subset.

    The softmax is normalized over a sentence's subset.

    Attributes:
        ids_C: Ids in the shortlist of any sentence, in ascending order.
        shortlist_mask_BC: Logit mask: 0 for the tokens of each sentence, minus infinity for all others.
    """

    ids_C: Tensor
    shortlist_mask_BC: Tensor

    @classmethod
    def from_members(cls, ids_C: Tensor, member_BC: Tensor) -> VocabularyShortlist:
        """Build a shortlist from its ids and a boolean mask of each sentence's members."""
        mask_BC = torch.zeros(member_BC.shape, device=member_BC.device).masked_fill_(~member_BC, -torch.inf)
        return cls(ids_C, mask_BC)


@dataclass(frozen=True)
class TranslationState:
    """Decoding state of a batch of sentences.

    Attributes:
        memory: The B encoded sentences.
        decoder: Decoder state of the B x K rows; the rows of a sentence are adjacent.
        beam: K.
        shortlist_mask_BC: Logit mask of the sentences, if there is a shortlist.
    """

    memory: Memory
    decoder: DecoderState
    beam: int
    shortlist_mask_BC: Tensor | None = None


class TranslationStepper:
    """A batch of source sentences, ready to be decoded token by token.

    Args:
        model: In evaluation mode.
        source_BS: Ids, padded on the right. Ids beyond the vocabulary form the extended vocabulary: the encoder reads
            them as <unk>, and log-probabilities have columns for them after those of the vocabulary.
        lengths_B: Length of each sentence.
        shortlist: Restriction of the target vocabulary, on the model's device. A model that copies must not have one.
    """

    def __init__(
        self,
        model: SequenceToSequence,
        source_BS: Tensor,
        lengths_B: Tensor,
        shortlist: VocabularyShortlist | None = None,
    ) -> None:
        self._model = model
        self._extended = ExtendedVocabulary.from_source(source_BS, model.config.source_size)
        known_BS = source_BS if self._extended is None else _replace_oov(source_BS, model.config.source_size)
        self._memory, self._start = model.encode(known_BS, lengths_B)
        if self._extended is not None:
            self._memory = replace(self._memory, source=replace(self._memory.source, extended=self._extended))
        self._shortlist = shortlist
        self._output = model.output_layer(None if shortlist is None else shortlist.ids_C)

    def start(self) -> TranslationState:
        """Return the state before the first token, with one row per sentence."""
        mask_BC = None if self._shortlist is None else self._shortlist.shortlist_mask_BC
        return TranslationState(self._memory, self._start, 1, mask_BC)

    def step(self, token_BK: Tensor, state: TranslationState) -> tuple[Tensor, TranslationState, Tensor | None]:
        """Feed the last tokens; see `decoding.stepper.Stepper.step`."""
        readout_BKR, next_state, weights_BKS = self._advance(token_BK, state)
        if self._shortlist is None:
            return self._model.log_probabilities(readout_BKR, weights_BKS, state.memory), next_state, weights_BKS
        assert state.shortlist_mask_BC is not None
        logits_BKC = self._output(readout_BKR).float() + state.shortlist_mask_BC.unsqueeze(1)
        log_p_BKC = torch.log_softmax(logits_BKC, dim=-1)
        log_p_BKV = log_p_BKC.new_full((*token_BK.shape, self._model.config.target_size), -torch.inf)
        log_p_BKV[..., self._shortlist.ids_C] = log_p_BKC
        return log_p_BKV, next_state, weights_BKS

    def rank(
        self,
        token_BK: Tensor,
        state: TranslationState,
        count: int,
        forbidden: Sequence[int],
        live_BK: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, TranslationState, Tensor | None]:
        """Feed the last tokens and rank the next; see `decoding.stepper.RankingStepper.rank`."""
        readout_BKR, next_state, weights_BKS = self._advance(token_BK, state)
        live_N = torch.arange(token_BK.numel()) if live_BK is None else live_BK.flatten().nonzero().squeeze(1)
        sentence_N = live_N // token_BK.shape[1]
        columns = forbidden if self._shortlist is None else _columns_of(self._shortlist.ids_C, forbidden)
        if self._model.config.copy or self._extended is not None:  # log-probabilities serve as logits
            logits_BKV = self._model.log_probabilities(readout_BKR, weights_BKS, state.memory)
            parts = [self._topk(logits_BKV.flatten(0, 1)[live_N], sentence_N, state, count, columns)]
        else:
            readouts = torch.split(readout_BKR.flatten(0, 1)[live_N], ROWS_PER_CHUNK)
            parts = [
                self._topk(self._output(readout_NR).float(), part_N, state, count, columns)
                for readout_NR, part_N in zip(readouts, torch.split(sentence_N, ROWS_PER_CHUNK), strict=True)
            ]
        best_log_p_NK, best_token_NK = (torch.cat(part).cpu() for part in zip(*parts, strict=True))
        log_p_BKN = torch.full((*token_BK.shape, best_log_p_NK.shape[1]), -torch.inf)
        token_BKN = torch.zeros(log_p_BKN.shape, dtype=torch.long)
        log_p_BKN.flatten(0, 1)[live_N], token_BKN.flatten(0, 1)[live_N] = best_log_p_NK, best_token_NK
        return log_p_BKN, token_BKN, next_state, weights_BKS

    def _topk(
        self, logits_NC: Tensor, sentence_N: Tensor, state: TranslationState, count: int, forbidden: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Find the log-probabilities and ids of the best tokens of some rows.

        Args:
            logits_NC: Logits of the vocabulary or the shortlist.
            sentence_N: Sentence of each row.
            state: The state, for its shortlist mask.
            count: Number of tokens per row.
            forbidden: Columns of `logits_NC` to leave out.
        """
        count = min(count, logits_NC.shape[1])
        if self._shortlist is None or state.shortlist_mask_BC is None:
            return inference_layers.topk_log_softmax(logits_NC, count, forbidden)
        mask = inference_layers.LogitMask(state.shortlist_mask_BC, sentence_N.to(state.shortlist_mask_BC.device))
        log_p_NK, column_NK = inference_layers.topk_log_softmax(logits_NC, count, forbidden, mask)
        return log_p_NK, self._shortlist.ids_C[column_NK]

    def _advance(self, token_BK: Tensor, state: TranslationState) -> tuple[Tensor, TranslationState, Tensor | None]:
        """Compute the readouts after the tokens, the next state, and the attention weights."""
        token_BK = token_BK.to(self._memory.states_BSH.device)
        if self._extended is not None:
            token_BK = _replace_oov(token_BK, self._model.config.target_size)
        readout_BKR, decoder, weights_BKS = self._model.step(token_BK, state.memory, state.decoder)
        return readout_BKR, replace(state, decoder=decoder), weights_BKS

    def select(self, state: TranslationState, sentence_B: Tensor, row_BK: Tensor) -> TranslationState:
        """Select sentences and, for each, rows of its beam."""
        device = self._memory.states_BSH.device
        sentence_B, row_BK = sentence_B.to(device), row_BK.to(device)
        rows = (sentence_B.unsqueeze(1) * state.beam + row_BK).flatten()
        selects_all = len(sentence_B) == len(state.memory.padding_BS)
        if selects_all and _is_identity(sentence_B):
            return replace(state, decoder=state.decoder.select(rows), beam=row_BK.shape[1])
        mask_BC = None if state.shortlist_mask_BC is None else state.shortlist_mask_BC[sentence_B]
        memory = state.memory.select(sentence_B)
        return TranslationState(memory, state.decoder.select(rows), row_BK.shape[1], mask_BC)


def _replace_oov(ids: Tensor, size: int) -> Tensor:
    """Replace ids beyond a vocabulary of this size by <unk>."""
    return ids.masked_fill(ids >= size, special_tokens.UNK)


def _is_identity(index_B: Tensor) -> bool:
    return bool((index_B == torch.arange(len(index_B), device=index_B.device)).all())


def _columns_of(ids_C: Tensor, wanted: Sequence[int]) -> list[int]:
    """Return the columns of `ids_C` that hold one of the wanted ids."""
    return torch.isin(ids_C, torch.tensor(wanted, device=ids_C.device)).nonzero().flatten().tolist()


@dataclass(frozen=True)
class NeuralPromptState:
    """Decoding state of a batch of prompts.

    Attributes:
        layers: Network state of the B x K rows; the rows of a prompt are adjacent.
        beam: K.
        first_BKV: Log-probabilities of the first new token, with K = 1; None once they have been returned.
    """

    layers: LMState
    beam: int
    first_BKV: Tensor | None = None


class NeuralPrompts:
    """A batch of prompts of equal length, continued by a neural language model.

    Args:
        network: In evaluation mode.
        prompts: Ids without EOS, all of the same length, which may be 0. As at the beginning of any text, EOS is fed
            before the first token.
    """

    def __init__(self, network: LanguageModelNetwork, prompts: Sequence[Sequence[int]]) -> None:
        self._network = network
        self._device = next(network.parameters()).device
        input_BT = torch.tensor([[special_tokens.EOS, *prompt] for prompt in prompts], device=self._device)
        state = network.initial_state(len(prompts))
        for chunk_BT in torch.split(input_BT, PREFILL_CHUNK, dim=1):
            output = network.hidden_states(chunk_BT, state)
            state = output.state
        first_BV = network.log_probabilities(output.hidden_BTE[:, -1])
        self._start = NeuralPromptState(output.state, 1, first_BV.unsqueeze(1))

    def start(self) -> NeuralPromptState:
        """Return the state after the prompts, with one row per prompt."""
        return self._start

    def step(self, token_BK: Tensor, state: NeuralPromptState) -> tuple[Tensor, NeuralPromptState, None]:
        """Feed the last tokens; see `decoding.stepper.Stepper.step`.

        The first call ignores its tokens, because the prompts have been processed already.
        """
        if state.first_BKV is not None:
            return state.first_BKV, replace(state, first_BKV=None), None
        output = self._network.hidden_states(token_BK.to(self._device).flatten().unsqueeze(1), state.layers)
        log_p_NV = self._network.log_probabilities(output.hidden_BTE[:, -1])
        return log_p_NV.view(*token_BK.shape, -1), NeuralPromptState(output.state, state.beam), None

    def select(self, state: NeuralPromptState, sentence_B: Tensor, row_BK: Tensor) -> NeuralPromptState:
        """Select prompts and, for each, rows of its beam."""
        sentence_B, row_BK = sentence_B.to(self._device), row_BK.to(self._device)
        rows = (sentence_B.unsqueeze(1) * state.beam + row_BK).flatten()
        first_BKV = None if state.first_BKV is None else state.first_BKV[sentence_B]
        return NeuralPromptState(language_model.select_state(state.layers, rows), row_BK.shape[1], first_BKV)


@dataclass(frozen=True)
class NgramPromptState:
    """Decoding state of a batch of prompts.

    Attributes:
        node_BK: State of the n-gram model in each row.
        started: Whether tokens after the prompts have been fed.
    """

    node_BK: Tensor
    started: bool


class NgramPrompts:
    """A batch of prompts, each at the beginning of a line, continued by an n-gram model.

    Args:
        model: The n-gram model.
        prompts: Ids without EOS.
    """

    def __init__(self, model: BackoffModel, prompts: Sequence[Sequence[int]]) -> None:
        self._model = model
        nodes = [[model.state_after(prompt, model.initial_state())] for prompt in prompts]
        self._start = NgramPromptState(torch.tensor(nodes, dtype=torch.long), started=False)

    def start(self) -> NgramPromptState:
        """Return the state after the prompts, with one row per prompt."""
        return self._start

    def step(self, token_BK: Tensor, state: NgramPromptState) -> tuple[Tensor, NgramPromptState, None]:
        """Feed the last tokens; see `decoding.stepper.Stepper.step`. The first call ignores its tokens."""
        nodes = state.node_BK.flatten().tolist()
        if state.started:
            pairs = zip(nodes, token_BK.flatten().tolist(), strict=True)
            nodes = [self._model.step(node, token)[1] for node, token in pairs]
        log_p_NV = np.stack([self._model.log_probabilities(node) for node in nodes])
        log_p_BKV = torch.from_numpy(log_p_NV).view(*token_BK.shape, -1)
        return log_p_BKV, NgramPromptState(torch.tensor(nodes).view(token_BK.shape), started=True), None

    def select(self, state: NgramPromptState, sentence_B: Tensor, row_BK: Tensor) -> NgramPromptState:
        """Select prompts and, for each, rows of its beam."""
        return NgramPromptState(state.node_BK[sentence_B.unsqueeze(1), row_BK], state.started)
