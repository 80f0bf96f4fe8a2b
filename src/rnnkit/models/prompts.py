"""Steppers that continue prompts with a neural or an n-gram language model.

Both classes satisfy `decoding.stepper.Stepper` structurally, with one sentence per prompt.

Shapes: B prompts, K beam, T time, V vocabulary, N = B x K rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from rnnkit.models import language_model
from rnnkit.models.language_model import LanguageModelNetwork, LMState
from rnnkit.ngrams.ngram_model import BackoffModel
from rnnkit.text import special_tokens

PREFILL_CHUNK = 1024
"""Prompt tokens per forward computation of the prefill. The state carries over from chunk to chunk, so chunking does
not change the result; it bounds memory, which grows with the square of the chunk in a Transformer."""


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
