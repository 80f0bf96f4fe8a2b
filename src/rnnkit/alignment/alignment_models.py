"""Word alignment models: their options, alignment priors, and the M-steps of the priors.

IBM Model 2 with a diagonal prior of one parameter, as in fast_align (Dyer, Chahuneau and Smith 2013):

    h(i, j, m, n)  = -|i / n - j / m|                                      distance from the diagonal
    d(j | i, m, n) = null                                                  j = 0, the NULL word
                     (1 - null) exp(tension h(i, j, m, n)) / Z_i           j = 1 .. m
    p(t_i)         = sum_j d(j | i, m, n) p(t_i | s_j)

for a source sentence of m words and a target sentence of n words.

HMM alignment of words (Vogel, Ney and Tillmann 1996), with a NULL word as in Och and Ney 2003: a target word is aligned
to a source word k = 1 .. m or to NULL; the state is the last aligned source word, with k = 0 before the first one. With
c the weights of jumps, those longer than `MAX_JUMP` words sharing one per direction,

    p(k -> j)    = (1 - null) c(j - k) / Z(k, m)      Z(k, m) = sum over j = 1 .. m of c(j - k)
    p(k -> NULL) = null                               the state stays k

    forward    f_i(k) = linked_i(k) + null_i(k)        log p = sum_i log of the factor that scales f_i to sum to one
               linked_i(j) = p(t_i | s_j) sum_k f_i-1(k) p(k -> j)      null_i(k) = p(t_i | NULL) null f_i-1(k)
    backward   b_i(k) = sum_j p(k -> j) p(t_i+1 | s_j) b_i+1(j) + null p(t_i+1 | NULL) b_i+1(k)

and the posterior of a link is linked_i(j) b_i(j). One sentence pair takes O(n m^2) time.

The E-steps are kernels: `rnnkit.kernels.ibm2_expectation` and `rnnkit.kernels.hmm_forward_backward`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.kernels.hmm_forward_backward import HmmCounts, HmmTransitions, sum_by_jump
from rnnkit.kernels.ibm2_expectation import DiagonalCounts, DiagonalPrior, distance_moments
from rnnkit.kernels.word_alignment import WordPairTable

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

_MAX_NEWTON_STEPS = 20
_TOLERANCE = 1e-6


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


Prior = DiagonalPrior | HmmTransitions
"""Alignment prior of a model."""


@dataclass(frozen=True)
class AlignmentModel:
    """A trained model of one direction.

    Attributes:
        table: p(target | source).
        prior: Alignment prior: the probability of each link before the words are taken into account.
        tension: How strongly links are drawn to the diagonal.
        bits: Cross-entropy before each iteration, in bits per target word, shape (iterations,).
    """

    table: WordPairTable
    prior: Prior
    tension: float
    bits: tuple[float, ...]


def zero_diagonal_counts(slots: int, positions: int) -> DiagonalCounts:
    """Return expected counts of zero for a table of `slots` slots and `positions` target positions of all shapes."""
    return DiagonalCounts(np.zeros(slots, np.int64), np.zeros(positions, np.int64), np.zeros(1, np.int64))


def fit_tension(shapes_H2: NDArray[np.int64], prior: DiagonalPrior, counts: DiagonalCounts, scale: float) -> float:
    """Maximize the expected log-likelihood in the tension: the M-step of the prior.

        L(tension)  = -tension D - sum_i w_i log Z_i(tension)      D: expected distance, w_i: weight of a target word
        L'(tension) = sum_i w_i E_i[distance] - D                  L'' = -sum_i w_i Var_i[distance]

    L is concave. Newton steps, halved while L decreases, converge to its maximum between the bounds.

    Args:
        shapes_H2: Distinct pairs of sentence lengths.
        prior: The prior that the counts were collected with.
        counts: The expected counts.
        scale: Fixed-point scale of the counts.
    """

    def evaluate(tension: float) -> tuple[float, float, float]:
        log_z, mean, variance = distance_moments(shapes_H2, prior.weight_begin_H, counts.weight_W, scale, tension)
        return -tension * distance - log_z, mean - distance, variance

    distance = int(counts.distance[0]) / scale
    tension = prior.tension
    value, slope, variance = evaluate(tension)
    for _ in range(_MAX_NEWTON_STEPS):
        step = slope / variance if variance > 0 else 0.0
        proposal = min(max(tension + step, MIN_TENSION), MAX_TENSION)
        if abs(proposal - tension) < _TOLERANCE:
            break
        proposed = evaluate(proposal)
        while proposed[0] < value and abs(proposal - tension) >= _TOLERANCE:
            proposal = (proposal + tension) / 2
            proposed = evaluate(proposal)
        if proposed[0] < value:
            break
        tension, (value, slope, variance) = proposal, proposed
    return tension


def make_transitions(null: float, weight_B: NDArray[np.float64], longest: int) -> HmmTransitions:
    """Expand the weights of jumps to all jumps that are possible in the text.

    Args:
        null: Probability that a target word is aligned to the NULL word.
        weight_B: c(d) for d from -MAX_JUMP - 1 to MAX_JUMP + 1; the first and the last are those of all longer jumps.
        longest: Length of the longest source sentence, in words.
    """
    jump_D: NDArray[np.float64] = weight_B[_jump_buckets(longest)]
    before_D1 = np.concatenate(([0.0], np.cumsum(jump_D)))
    m_M1, k_1K = np.arange(longest + 1)[:, None], np.arange(longest + 1)[None, :]
    begin = 1 - k_1K + longest
    total_MK = np.where(k_1K <= m_M1, before_D1[np.minimum(begin + m_M1, 2 * longest + 1)] - before_D1[begin], 1.0)
    return HmmTransitions(null, jump_D, np.where(m_M1 > 0, total_MK, 1.0))


def zero_hmm_counts(slots: int, longest: int) -> HmmCounts:
    """Return expected counts of zero for a table of `slots` slots and source sentences of up to `longest` words."""
    jump_D, left_MK = np.zeros(2 * longest + 1, np.int64), np.zeros((longest + 1, longest + 1), np.int64)
    return HmmCounts(np.zeros(slots, np.int64), jump_D, left_MK)


def initial_jump_weights() -> NDArray[np.float64]:
    """Return c(d) proportional to 1 / (1 + |d - 1|): monotone alignment is the most probable."""
    jump_B = np.arange(-MAX_JUMP - 1, MAX_JUMP + 2)
    weight_B: NDArray[np.float64] = 1.0 / (1.0 + np.abs(jump_B - 1))
    normalized_B: NDArray[np.float64] = weight_B / weight_B.sum()
    return normalized_B


def fit_jump_weights(transitions: HmmTransitions, counts: HmmCounts, scale: float, steps: int) -> NDArray[np.float64]:
    """Increase the expected log-likelihood in the jump weights: the M-step of the transitions.

    The maximum has no closed form, as Z depends on the sentence length. Each step maximizes a lower bound that touches
    the likelihood at the current weights (Hunter 2004, MM algorithms for generalized Bradley-Terry models):

        c(d) <- C(d) / sum over (k, m) with 1 <= k + d <= m of L(k, m) / Z(k, m)

    with C the expected count of each jump and L that of leaving each state.

    Args:
        transitions: The transitions that the counts were collected with.
        counts: The expected counts.
        scale: Fixed-point scale of the counts.
        steps: Number of steps.

    Returns:
        c(d) for d from -MAX_JUMP - 1 to MAX_JUMP + 1.
    """
    longest = (len(transitions.jump_D) - 1) // 2
    bucket_D = _jump_buckets(longest)
    count_B = np.bincount(bucket_D, counts.jump_D / scale, 2 * MAX_JUMP + 3)
    weight_B = np.zeros(2 * MAX_JUMP + 3)
    weight_B[bucket_D] = transitions.jump_D
    for _ in range(steps):
        rate_MK = counts.left_MK / scale / make_transitions(transitions.null, weight_B, longest).total_MK
        sum_B = np.bincount(bucket_D, sum_by_jump(rate_MK), 2 * MAX_JUMP + 3)
        estimable = sum_B > MIN_JUMP_WEIGHT
        weight_B[estimable] = np.maximum(count_B[estimable] / sum_B[estimable], MIN_JUMP_WEIGHT)
        weight_B /= weight_B.sum()
    return weight_B


def _jump_buckets(longest: int) -> NDArray[np.int64]:
    """Return the index in `weight_B` of each jump from -longest to longest."""
    bucket_D: NDArray[np.int64] = np.clip(np.arange(-longest, longest + 1), -MAX_JUMP - 1, MAX_JUMP + 1) + MAX_JUMP + 1
    return bucket_D
