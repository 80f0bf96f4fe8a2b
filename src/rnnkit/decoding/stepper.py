"""What a model must offer to be searched, and what a search gives back.

Every search is written once against `Stepper`; models fit it by their shape alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from rnnkit.text import special

S = TypeVar("S")


class Stepper(Protocol[S]):
    """A batch of B sentences, ready to be decoded token by token.

    A state S belongs to B sentences with K rows each; all rows of a sentence share its memory.
    """

    def start(self) -> S:
        """The state before the first token, one row a sentence."""
        ...

    def step(self, token_BK: Tensor, state: S) -> tuple[Tensor, S, Tensor | None]:
        """Read the tokens chosen last.

        Returns:
            Log-probabilities of the next token (B, K, V) in nats, the next state, and attention weights (B, K, S)
            or None.
        """
        ...

    def select(self, state: S, sentence_B: Tensor, row_BK: Tensor) -> S:
        """The state of the chosen sentences, each with the chosen rows in the order given."""
        ...


@dataclass(frozen=True)
class SearchOptions:
    """How to search.

    Attributes:
        beam: Hypotheses kept a sentence; 1 is greedy.
        alpha: Length penalty: the score is log p / L^alpha, L counting the end symbol.
        max_length: Most tokens of an output, the end symbol counted; 0 means twice the source and ten.
        nbest: Hypotheses returned a sentence; at most `beam`.
        allow_unknown: Whether the unknown symbol may be chosen.
        exhaustive: Look at every output instead of a beam of them.
    """

    beam: int = 5
    alpha: float = 1.0
    max_length: int = 0
    nbest: int = 1
    allow_unknown: bool = False
    exhaustive: bool = False

    def limit(self, source_length: int) -> int:
        """Most tokens allowed for a source of this many, end symbols counted."""
        return self.max_length or 2 * source_length + 10


@dataclass(frozen=True)
class Hypothesis:
    """One finished output.

    Attributes:
        ids: Its tokens, without the end symbol.
        log_p: Log-probability in nats, the end symbol counted.
        score: log_p / L^alpha.
        attention: For each token and the end symbol, weights over the source; None without attention.
    """

    ids: tuple[int, ...]
    log_p: float
    score: float
    attention: Tensor | None = None


def score(log_p: float, length: int, alpha: float) -> float:
    """Length-normalised score log p / L^alpha; `length` counts the end symbol."""
    return log_p / float(length**alpha)


def forbidden(options: SearchOptions) -> list[int]:
    """Ids that are never chosen."""
    return [special.PAD, special.BOS] + ([] if options.allow_unknown else [special.UNK])


def mask_last_step(log_p_BKV: Tensor, limit_B: Tensor, length: int) -> Tensor:
    """Leave only the end symbol to the sentences that have reached their limit with this token."""
    at_limit_B = limit_B <= length
    if not at_limit_B.any():
        return log_p_BKV
    ends_BK = log_p_BKV[..., special.EOS]
    masked_BKV = log_p_BKV.masked_fill(at_limit_B[:, None, None], -torch.inf)
    masked_BKV[..., special.EOS] = ends_BK
    return masked_BKV
