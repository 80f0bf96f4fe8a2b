"""Options of word alignment training; light to import, for help pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DIAGONAL: Final = "diagonal"
HMM: Final = "hmm"
MODELS: Final = (HMM, DIAGONAL)

MIN_TENSION, MAX_TENSION = 0.1, 14.0
"""Bounds of the tension, as in fast_align."""

MAX_JUMP = 20
"""Longer jumps, in words, share one weight per direction: they are too rare to estimate separately."""

MIN_JUMP_WEIGHT = 1e-12
"""Smallest weight of a jump, so that none becomes impossible. A jump keeps its weight if the states that it can start
from are left less often than this."""


@dataclass(frozen=True)
class AlignmentOptions:
    """How a word alignment model is trained.

    Attributes:
        model: `diagonal` (Dyer et al. 2013), or `hmm` (Vogel et al. 1996), which is initialized from it.
        iterations: EM iterations of each model that is trained.
        null: Probability that a target word is aligned to the NULL word.
        alpha: Dirichlet pseudo-count of each table entry (variational Bayes); 0 for plain maximum likelihood.
        tension: Initial tension: how strongly links are drawn to the diagonal.
        learn_tension: Fit the tension after each iteration but the first.
        jump_steps: Steps of fitting the jump weights after each HMM iteration.
    """

    model: str = HMM
    iterations: int = 5
    null: float = 0.2
    alpha: float = 0.01
    tension: float = 4.0
    learn_tension: bool = True
    jump_steps: int = 3
