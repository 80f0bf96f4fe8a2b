"""A batch of prompts that counts go on from: fits `decoding.stepper.Stepper` by its shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rnnkit.ngrams.ngram_model import NgramModel


@dataclass(frozen=True)
class CountedState:
    """What is carried between steps.

    Attributes:
        node_BK: The model's state of each row.
        begun: Whether tokens behind the prompts have been read.
    """

    node_BK: Tensor
    begun: bool


class CountedPrompts:
    """One batch of prompts, each read from the beginning of a line.

    Args:
        model: The counts.
        prompts: Ids without end symbols.
    """

    def __init__(self, model: NgramModel, prompts: Sequence[Sequence[int]]) -> None:
        self._model = model
        nodes = [[model.state_after(prompt, model.initial_state())] for prompt in prompts]
        self._start = CountedState(torch.tensor(nodes, dtype=torch.long), begun=False)

    def start(self) -> CountedState:
        """The state behind the prompts, one row each."""
        return self._start

    def step(self, token_BK: Tensor, state: CountedState) -> tuple[Tensor, CountedState, None]:
        """Read the tokens chosen last; see `decoding.stepper.Stepper.step`. The first call reads nothing."""
        nodes = state.node_BK.flatten().tolist()
        if state.begun:
            pairs = zip(nodes, token_BK.flatten().tolist(), strict=True)
            nodes = [self._model.step(node, token)[1] for node, token in pairs]
        log_p_NV = np.stack([self._model.log_probabilities(node) for node in nodes])
        log_p_BKV = torch.from_numpy(log_p_NV).view(*token_BK.shape, -1)
        return log_p_BKV, CountedState(torch.tensor(nodes).view(token_BK.shape), begun=True), None

    def select(self, state: CountedState, sentence_B: Tensor, row_BK: Tensor) -> CountedState:
        """The state of the chosen prompts, each with the chosen rows."""
        return CountedState(state.node_BK[sentence_B.unsqueeze(1), row_BK], state.begun)
