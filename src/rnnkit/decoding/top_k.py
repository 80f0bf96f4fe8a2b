"""Top k: the k likeliest tokens, and no other (Fan et al. 2018, arXiv:1805.04833)."""

from __future__ import annotations

import torch
from torch import Tensor


def keep_likeliest(score_BKV: Tensor, count: int) -> Tensor:
    """The scores with all but the greatest `count` at minus infinity."""
    if count >= score_BKV.shape[-1]:
        return score_BKV
    score_BKN, index_BKN = score_BKV.topk(count, dim=-1)
    return torch.full_like(score_BKV, -torch.inf).scatter_(-1, index_BKN, score_BKN)
