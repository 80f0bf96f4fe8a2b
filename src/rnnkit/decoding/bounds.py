"""A stepper within bounds: tokens that are never said, and a length at which outputs are cut.

A translation that reaches its limit must end there, and pays for the end symbol. A text that goes on from a prompt is
cut instead, as nothing says that it should end: behind the last token that may be said, the end symbol is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from rnnkit.decoding.stepper import Stepper
from rnnkit.text import special_tokens

S = TypeVar("S")


@dataclass(frozen=True)
class BoundedState(Generic[S]):
    """What is carried between steps.

    Attributes:
        inner: The bounded stepper's state.
        said: Tokens chosen so far.
    """

    inner: S
    said: int


class Bounded(Generic[S]):
    """A stepper within bounds; itself a stepper.

    Args:
        stepper: What is bounded.
        limit: Most tokens of an output. Searches over this stepper have a limit of one more, for the free end symbol.
        never: Ids that are never said. Where a model gives nothing else a probability, the end symbol is free.
        size: Rows of the vocabulary.
    """

    def __init__(self, stepper: Stepper[S], limit: int, never: Sequence[int], size: int) -> None:
        self._stepper = stepper
        self._limit = limit
        self._never = list(never)
        self._size = size

    def start(self) -> BoundedState[S]:
        """The state before the first token."""
        return BoundedState(self._stepper.start(), 0)

    def step(self, token_BK: Tensor, state: BoundedState[S]) -> tuple[Tensor, BoundedState[S], None]:
        """Read the tokens chosen last; see `decoding.stepper.Stepper.step`."""
        if state.said == self._limit:
            log_p_BKV = torch.full((*token_BK.shape, self._size), -torch.inf)
            log_p_BKV[..., special_tokens.EOS] = 0.0
            return log_p_BKV, BoundedState(state.inner, state.said + 1), None
        log_p_BKV, inner, _ = self._stepper.step(token_BK, state.inner)
        log_p_BKV = log_p_BKV.cpu().clone()
        log_p_BKV[..., self._never] = -torch.inf
        silent_BK = log_p_BKV.max(dim=-1).values == -torch.inf
        log_p_BKV[..., special_tokens.EOS].masked_fill_(silent_BK, 0.0)
        return log_p_BKV, BoundedState(inner, state.said + 1), None

    def select(self, state: BoundedState[S], sentence_B: Tensor, row_BK: Tensor) -> BoundedState[S]:
        """The state of the chosen sentences, each with the chosen rows."""
        return BoundedState(self._stepper.select(state.inner, sentence_B, row_BK), state.said)
