"""How a word aligner learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DIAGONAL: Final = "diagonal"
HMM: Final = "hmm"
MODELS: Final = (HMM, DIAGONAL)

MIN_TENSION, MAX_TENSION = 0.1, 14.0
"""Bounds of the tension, as in fast_align."""

MAX_JUMP = 20
"""Jumps of more words than this, to either side, have one weight together."""

MIN_JUMP_WEIGHT = 1e-12
"""Least weight of a jump; one from places that were left less often than this keeps the weight it has."""


@dataclass(frozen=True)
class AlignmentOptions:
    """How a word aligner learns.

    Attributes:
        model: `diagonal` (Dyer et al. 2013), or `hmm` (Vogel et al. 1996), which starts from it.
        iterations: Passes over the text, for each of the models that take part.
        null: Probability that a target word belongs to no source word.
        alpha: Pseudo-count of each entry of the word table (variational Bayes); 0 for plain expectation-maximisation.
        tension: How strongly links are drawn to the diagonal, at the start.
        learn_tension: Fit the tension after each pass but the first.
        jump_steps: Steps of fitting the jumps after each pass of the HMM.
    """

    model: str = HMM
    iterations: int = 5
    null: float = 0.2
    alpha: float = 0.01
    tension: float = 4.0
    learn_tension: bool = True
    jump_steps: int = 3
