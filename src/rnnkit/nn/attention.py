"""Attention of decoder states over the encoder's memory.

    context = sum_s softmax_s(score(query, memory_s)) memory_s

with padded places at minus infinity before the softmax. The scores:

    dot       q . m / sqrt(H)             Vaswani et al. 2017 (arXiv:1706.03762)
    general   q . (W m)                   Luong et al. 2015 (arXiv:1508.04025)
    additive  v . tanh(W q + U m)         Bahdanau et al. 2015 (arXiv:1409.0473)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from rnnkit.nn import kinds


class Attention(nn.Module):
    """Scores, weights and context for one kind of attention.

    Args:
        kind: `dot`, `general` or `additive`.
        size: Size H of queries and memory.
    """

    def __init__(self, kind: kinds.Attention, size: int) -> None:
        super().__init__()
        self.kind = kind
        self.size = size
        if kind in ("general", "additive"):
            self.key = nn.Linear(size, size, bias=False)
        if kind == "additive":
            self.query = nn.Linear(size, size)
            self.score = nn.Linear(size, 1, bias=False)

    def keys(self, memory_BSH: Tensor) -> Tensor:
        """What the queries are compared with (B, S, H); depends on the memory alone, so it is made once."""
        return memory_BSH if self.kind == "dot" else self.key(memory_BSH)

    def forward(
        self, query_BTH: Tensor, keys_BSH: Tensor, memory_BSH: Tensor, padding_BS: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            query_BTH: Decoder states.
            keys_BSH: `keys(memory_BSH)`.
            memory_BSH: Encoder states.
            padding_BS: True where the memory is padding.

        Returns:
            The contexts (B, T, H) and the weights (B, T, S), which sum to one over S.
        """
        scores_BTS = self.scores(query_BTH, keys_BSH).masked_fill(padding_BS.unsqueeze(1), -math.inf)
        weights_BTS = torch.softmax(scores_BTS, dim=-1)
        return torch.bmm(weights_BTS.to(memory_BSH.dtype), memory_BSH), weights_BTS

    def scores(self, query_BTH: Tensor, keys_BSH: Tensor) -> Tensor:
        """Scores (B, T, S) before the mask and the softmax."""
        if self.kind == "additive":
            sums_BTSH = self.query(query_BTH).unsqueeze(2) + keys_BSH.unsqueeze(1)
            additive_BTS: Tensor = self.score(torch.tanh(sums_BTSH)).squeeze(-1)
            return additive_BTS
        scores_BTS = torch.bmm(query_BTH, keys_BSH.transpose(1, 2))
        return scores_BTS / math.sqrt(self.size) if self.kind == "dot" else scores_BTS
