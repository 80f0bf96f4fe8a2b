"""A batch of prompts that a language model goes on from: fits `decoding.stepper.Stepper` by its shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from rnnkit.models import language_model
from rnnkit.models.language_model import LanguageModel, LMState
from rnnkit.ngrams.model import NgramModel
from rnnkit.text import special_tokens


@dataclass(frozen=True)
class NeuralPromptState:
    """What is carried between steps.

    Attributes:
        layers: Of B x K rows, the rows of a prompt side by side.
        beam: K.
        first_BKV: Log-probabilities of the first token behind each prompt, K = 1; None when that was read.
    """

    layers: LMState
    beam: int
    first_BKV: Tensor | None = None


PREFILL_CHUNK = 1024
"""Tokens of a prompt that are read at once; the state carries over, so that pieces read like the whole."""


class NeuralPrompts:
    """One batch of prompts of equal length, read from where every text begins: behind an end symbol.

    Args:
        network: In evaluation mode.
        prompts: Ids without end symbols; all as long as the first, which may be empty.
    """

    def __init__(self, network: LanguageModel, prompts: Sequence[Sequence[int]]) -> None:
        self._network = network
        self._device = next(network.parameters()).device
        input_BT = torch.tensor([[special_tokens.EOS, *prompt] for prompt in prompts], device=self._device)
        state = network.initial_state(len(prompts))
        # A Transformer's attention over a whole line of noise would take memory by the square of its length.
        for piece_BT in torch.split(input_BT, PREFILL_CHUNK, dim=1):
            reading = network.hidden_states(piece_BT, state)
            state = reading.state
        first_BV = network.log_probabilities(reading.hidden_BTE[:, -1])
        self._start = NeuralPromptState(reading.state, 1, first_BV.unsqueeze(1))

    def start(self) -> NeuralPromptState:
        """The state behind the prompts, one row each."""
        return self._start

    def step(self, token_BK: Tensor, state: NeuralPromptState) -> tuple[Tensor, NeuralPromptState, None]:
        """Read the tokens chosen last; see `decoding.stepper.Stepper.step`.

        The first call reads nothing: its tokens stand for the beginning, and the prompts have been read.
        """
        if state.first_BKV is not None:
            return state.first_BKV, replace(state, first_BKV=None), None
        reading = self._network.hidden_states(token_BK.to(self._device).flatten().unsqueeze(1), state.layers)
        log_p_NV = self._network.log_probabilities(reading.hidden_BTE[:, -1])
        return log_p_NV.view(*token_BK.shape, -1), NeuralPromptState(reading.state, state.beam), None

    def select(self, state: NeuralPromptState, sentence_B: Tensor, row_BK: Tensor) -> NeuralPromptState:
        """The state of the chosen prompts, each with the chosen rows."""
        sentence_B, row_BK = sentence_B.to(self._device), row_BK.to(self._device)
        rows = (sentence_B.unsqueeze(1) * state.beam + row_BK).flatten()
        first_BKV = None if state.first_BKV is None else state.first_BKV[sentence_B]
        return NeuralPromptState(language_model.select_state(state.layers, rows), row_BK.shape[1], first_BKV)


@dataclass(frozen=True)
class NgramPromptState:
    """What is carried between steps.

    Attributes:
        node_BK: The model's state of each row.
        begun: Whether tokens behind the prompts have been read.
    """

    node_BK: Tensor
    begun: bool


class NgramPrompts:
    """One batch of prompts, each read from the beginning of a line.

    Args:
        model: The counts.
        prompts: Ids without end symbols.
    """

    def __init__(self, model: NgramModel, prompts: Sequence[Sequence[int]]) -> None:
        self._model = model
        nodes = [[model.read(prompt, model.start())] for prompt in prompts]
        self._start = NgramPromptState(torch.tensor(nodes, dtype=torch.long), begun=False)

    def start(self) -> NgramPromptState:
        """The state behind the prompts, one row each."""
        return self._start

    def step(self, token_BK: Tensor, state: NgramPromptState) -> tuple[Tensor, NgramPromptState, None]:
        """Read the tokens chosen last; see `decoding.stepper.Stepper.step`. The first call reads nothing."""
        nodes = state.node_BK.flatten().tolist()
        if state.begun:
            pairs = zip(nodes, token_BK.flatten().tolist(), strict=True)
            nodes = [self._model.step(node, token)[1] for node, token in pairs]
        log_p_NV = np.stack([self._model.log_probabilities(node) for node in nodes])
        log_p_BKV = torch.from_numpy(log_p_NV).view(*token_BK.shape, -1)
        return log_p_BKV, NgramPromptState(torch.tensor(nodes).view(token_BK.shape), begun=True), None

    def select(self, state: NgramPromptState, sentence_B: Tensor, row_BK: Tensor) -> NgramPromptState:
        """The state of the chosen prompts, each with the chosen rows."""
        return NgramPromptState(state.node_BK[sentence_B.unsqueeze(1), row_BK], state.begun)
