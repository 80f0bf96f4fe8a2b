"""A batch of prompts that a language model goes on from: fits `decoding.stepper.Stepper` by its shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rnnkit.models import language_model
from rnnkit.models.language_model import LanguageModel, State
from rnnkit.text import special_tokens


@dataclass(frozen=True)
class PromptState:
    """What is carried between steps.

    Attributes:
        layers: Of B x K rows, the rows of a prompt side by side.
        beam: K.
        first_BKV: Log-probabilities of the first token behind each prompt, K = 1; None when that was read.
    """

    layers: State
    beam: int
    first_BKV: Tensor | None = None


PIECE = 1024
"""Tokens of a prompt that are read at once; the state carries over, so that pieces read like the whole."""


class Prompts:
    """One batch of prompts of equal length, read from where every text begins: behind an end symbol.

    Args:
        network: In evaluation mode.
        prompts: Ids without end symbols; all as long as the first, which may be empty.
    """

    def __init__(self, network: LanguageModel, prompts: Sequence[Sequence[int]]) -> None:
        self._network = network
        self._device = next(network.parameters()).device
        input_BT = torch.tensor([[special_tokens.EOS, *prompt] for prompt in prompts], device=self._device)
        state = network.start(len(prompts))
        # A Transformer's attention over a whole line of noise would take memory by the square of its length.
        for piece_BT in torch.split(input_BT, PIECE, dim=1):
            reading = network.read(piece_BT, state)
            state = reading.state
        first_BV = network.log_probabilities(reading.hidden_BTE[:, -1])
        self._start = PromptState(reading.state, 1, first_BV.unsqueeze(1))

    def start(self) -> PromptState:
        """The state behind the prompts, one row each."""
        return self._start

    def step(self, token_BK: Tensor, state: PromptState) -> tuple[Tensor, PromptState, None]:
        """Read the tokens chosen last; see `decoding.stepper.Stepper.step`.

        The first call reads nothing: its tokens stand for the beginning, and the prompts have been read.
        """
        if state.first_BKV is not None:
            return state.first_BKV, replace(state, first_BKV=None), None
        reading = self._network.read(token_BK.to(self._device).flatten().unsqueeze(1), state.layers)
        log_p_NV = self._network.log_probabilities(reading.hidden_BTE[:, -1])
        return log_p_NV.view(*token_BK.shape, -1), PromptState(reading.state, state.beam), None

    def select(self, state: PromptState, sentence_B: Tensor, row_BK: Tensor) -> PromptState:
        """The state of the chosen prompts, each with the chosen rows."""
        sentence_B, row_BK = sentence_B.to(self._device), row_BK.to(self._device)
        rows = (sentence_B.unsqueeze(1) * state.beam + row_BK).flatten()
        first_BKV = None if state.first_BKV is None else state.first_BKV[sentence_B]
        return PromptState(language_model.select(state.layers, rows), row_BK.shape[1], first_BKV)
