"""Attention of decoder states over the encoder's memory.

    context = sum_s softmax_s(score(query, memory_s)) memory_s

with padded places at minus infinity before the softmax. The few queries that each sentence has while it is decoded go
by a compiled kernel. The scores:

    dot       q . m / sqrt(H)             Vaswani et al. 2017 (arXiv:1706.03762)
    general   q . (W m)                   Luong et al. 2015 (arXiv:1508.04025)
    additive  v . tanh(W q + U m)         Bahdanau et al. 2015 (arXiv:1409.0473)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from rnnkit.kernels.dispatch import inference_kernels_apply
from rnnkit.nn import kinds

MAX_KERNEL_QUERIES = 16
"""Queries a sentence up to which the kernel is the faster way."""


class CrossAttention(nn.Module):
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
        self, query_BTH: Tensor, keys_BSH: Tensor, values_BSR: Tensor, padding_BS: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            query_BTH: Decoder states.
            keys_BSH: `keys` of the memory.
            values_BSR: What the contexts are means of: the memory, or something made of it.
            padding_BS: True where the memory is padding.

        Returns:
            The contexts (B, T, R) and the weights (B, T, S), which sum to one over S.
        """
        parts = (query_BTH, keys_BSH, values_BSR)
        if self.kind != "additive" and query_BTH.shape[1] <= MAX_KERNEL_QUERIES and inference_kernels_apply(*parts):
            return self._by_kernel(*parts, padding_BS)
        return self.reference(*parts, padding_BS)

    def reference(
        self, query_BTH: Tensor, keys_BSH: Tensor, values_BSR: Tensor, padding_BS: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The same as its equations."""
        scores_BTS = self.scores(query_BTH, keys_BSH).masked_fill(padding_BS.unsqueeze(1), -math.inf)
        weights_BTS = torch.softmax(scores_BTS, dim=-1)
        return torch.bmm(weights_BTS.to(values_BSR.dtype), values_BSR), weights_BTS

    def _by_kernel(
        self, query_BTH: Tensor, keys_BSH: Tensor, values_BSR: Tensor, padding_BS: Tensor
    ) -> tuple[Tensor, Tensor]:
        from rnnkit.kernels import attention_step, threads

        (sentences, rows, size), (places, read) = query_BTH.shape, values_BSR.shape[1:]
        weights_BTS, context_BTR = (
            query_BTH.new_empty(sentences, rows, places),
            query_BTH.new_empty(sentences, rows, read),
        )
        factor = torch.tensor([1 / math.sqrt(size) if self.kind == "dot" else 1.0])
        given = [part.contiguous() for part in (query_BTH, keys_BSH, values_BSR)]
        tensors = [factor, (~padding_BS).sum(1), *given, weights_BTS, context_BTR]
        threads.parallel_for(attention_step.attend, [rows, places, size, read, *tensors], sentences)
        return context_BTR, weights_BTS

    def scores(self, query_BTH: Tensor, keys_BSH: Tensor) -> Tensor:
        """Scores (B, T, S) before the mask and the softmax."""
        if self.kind == "additive":
            sums_BTSH = self.query(query_BTH).unsqueeze(2) + keys_BSH.unsqueeze(1)
            additive_BTS: Tensor = self.score(torch.tanh(sums_BTSH)).squeeze(-1)
            return additive_BTS
        scores_BTS = torch.bmm(query_BTH, keys_BSH.transpose(1, 2))
        return scores_BTS / math.sqrt(self.size) if self.kind == "dot" else scores_BTS
