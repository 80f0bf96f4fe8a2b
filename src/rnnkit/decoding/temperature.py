"""Temperature: how bold a draw is.

    p'(v) = p(v)^(1/t) / sum_u p(u)^(1/t)

One leaves the probabilities as they are, towards zero the likeliest token takes everything, towards infinity all are
equally likely (Ackley et al. 1985).
"""

from __future__ import annotations

import torch
from torch import Tensor


def temper(score_BKV: Tensor, temperature: float) -> Tensor:
    """Scores at another temperature.

    Args:
        score_BKV: Log-probabilities, or anything that differs from them by a constant; minus infinity is never drawn.
        temperature: Above zero, however small.

    Returns:
        Log-probabilities that sum to one.
    """
    # The best score goes to zero first, so that the smallest temperature leaves it where it is.
    shifted_BKV = score_BKV - score_BKV.max(dim=-1, keepdim=True).values
    return torch.log_softmax(shifted_BKV / temperature, dim=-1)
