"""IBM Model 2 with a diagonal prior of one parameter, as in fast_align (Dyer, Chahuneau and Smith 2013).

    h(i, j, m, n)  = -|i / n - j / m|                                      distance from the diagonal
    d(j | i, m, n) = null                                                  j = 0, the NULL word
                     (1 - null) exp(tension h(i, j, m, n)) / Z_i           j = 1 .. m
    p(t_i)         = sum_j d(j | i, m, n) p(t_i | s_j)

for a source sentence of m words and a target sentence of n words. `rnnkit.kernels.ibm2_expectation` has the E-step;
here is the M-step of the tension.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rnnkit.alignment.options import MAX_TENSION, MIN_TENSION
from rnnkit.kernels.ibm2_expectation import DiagonalCounts, DiagonalPrior, distance_moments

_MAX_NEWTON_STEPS = 20
_TOLERANCE = 1e-6


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
