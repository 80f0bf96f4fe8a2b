"""Coverage: what an output pays for source words that it hardly looked at (Wu et al. 2016, arXiv:1609.08144).

    cp(X; Y) = beta * sum_i log(min(sum_j p_ij, 1))        p_ij: attention of output token j to source token i

The penalty is never above zero, so that what a hypothesis can still reach without it bounds what it can reach with it.
"""

from __future__ import annotations

from torch import Tensor

FLOOR = 1e-9
"""Least attention that a source token is taken to have, so that no output is worth nothing."""


def coverage_penalty(attention_TS: Tensor, words: int, beta: float) -> float:
    """The penalty of one output.

    Args:
        attention_TS: Weights over the source for each token and the end symbol.
        words: Source tokens that want to be covered; columns from there on, the end symbol and padding, do not count.
        beta: Weight.
    """
    covered_S = attention_TS[:, :words].double().sum(0).clamp(FLOOR, 1.0)
    return beta * float(covered_S.log().sum())
