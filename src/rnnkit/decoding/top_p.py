"""Top p, the nucleus: the fewest tokens whose probabilities reach p (Holtzman et al. 2020, arXiv:1904.09751)."""

from __future__ import annotations

import torch
from torch import Tensor


def keep_nucleus(score_BKV: Tensor, mass: float) -> Tensor:
    """The scores with all outside the nucleus at minus infinity.

    Args:
        score_BKV: Log-probabilities, or anything that differs from them by a constant.
        mass: Probability p to be reached, above 0; 1 keeps everything.
    """
    if mass >= 1:
        return score_BKV
    sorted_BKV, index_BKV = score_BKV.sort(dim=-1, descending=True, stable=True)
    p_BKV = torch.softmax(sorted_BKV, dim=-1)
    # A token is in the nucleus if those before it have not reached the mass; the first always is.
    outside_BKV = p_BKV.cumsum(dim=-1) - p_BKV >= mass
    outside_BKV[..., 0] = False
    return score_BKV.masked_fill(torch.zeros_like(outside_BKV).scatter_(-1, index_BKV, outside_BKV), -torch.inf)
