"""Attention of decoder states over the encoder's memory: dot, general and additive scores.

    context = sum_s softmax_s(score(query, memory_s)) memory_s          padding has a score of minus infinity

    dot       q . m / sqrt(H)             Vaswani et al. 2017 (arXiv:1706.03762)
    general   q . (W m)                   Luong et al. 2015 (arXiv:1508.04025)
    additive  v . tanh(W q + U m)         Bahdanau et al. 2015 (arXiv:1409.0473)

In decoding, where each sentence has a few queries, a compiled kernel computes dot and general attention.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from rnnkit.kernels.dispatch import inference_kernels_apply
from rnnkit.nn import kinds

MAX_KERNEL_QUERIES = 16
"""Largest number of queries per sentence for which the kernel is used; torch's batched products are faster for more."""


class CrossAttention(nn.Module):
    """Attention over the encoder's memory with one kind of score.

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
        """Project the memory to keys (B, S, H); they depend on nothing else and are computed once."""
        return memory_BSH if self.kind == "dot" else self.key(memory_BSH)

    def forward(
        self, query_BTH: Tensor, keys_BSH: Tensor, values_BSR: Tensor, padding_BS: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Attend from decoder states to the memory.

        Args:
            query_BTH: Decoder states.
            keys_BSH: `keys(memory_BSH)`.
            values_BSR: Vectors that the contexts are averages of: the memory, or a projection of it.
            padding_BS: True where the memory is padding.

        Returns:
            Contexts (B, T, R) and weights (B, T, S), which sum to 1 over S.
        """
        inputs = (query_BTH, keys_BSH, values_BSR)
        if self.kind != "additive" and query_BTH.shape[1] <= MAX_KERNEL_QUERIES and inference_kernels_apply(*inputs):
            return self._run_kernel(*inputs, padding_BS)
        return self.reference(*inputs, padding_BS)

    def reference(
        self, query_BTH: Tensor, keys_BSH: Tensor, values_BSR: Tensor, padding_BS: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compute `forward` by its equations."""
        scores_BTS = self.scores(query_BTH, keys_BSH).masked_fill(padding_BS.unsqueeze(1), -math.inf)
        weights_BTS = torch.softmax(scores_BTS, dim=-1)
        return torch.bmm(weights_BTS.to(values_BSR.dtype), values_BSR), weights_BTS

    def scores(self, query_BTH: Tensor, keys_BSH: Tensor) -> Tensor:
        """Compute the scores (B, T, S), before mask and softmax."""
        if self.kind == "additive":
            sums_BTSH = self.query(query_BTH).unsqueeze(2) + keys_BSH.unsqueeze(1)
            additive_BTS: Tensor = self.score(torch.tanh(sums_BTSH)).squeeze(-1)
            return additive_BTS
        scores_BTS = torch.bmm(query_BTH, keys_BSH.transpose(1, 2))
        return scores_BTS / math.sqrt(self.size) if self.kind == "dot" else scores_BTS

    def _run_kernel(
        self, query_BTH: Tensor, keys_BSH: Tensor, values_BSR: Tensor, padding_BS: Tensor
    ) -> tuple[Tensor, Tensor]:
        from rnnkit.kernels import attention_step, threads  # these import Numba

        (batch, queries, size), (positions, value_size) = query_BTH.shape, values_BSR.shape[1:]
        weights_BTS = query_BTH.new_empty(batch, queries, positions)
        context_BTR = query_BTH.new_empty(batch, queries, value_size)
        scale = torch.tensor([1 / math.sqrt(size) if self.kind == "dot" else 1.0])
        inputs = [part.contiguous() for part in (query_BTH, keys_BSH, values_BSR)]
        tensors = [scale, (~padding_BS).sum(1), *inputs, weights_BTS, context_BTR]
        threads.parallel_for(attention_step.attend, [queries, positions, size, value_size, *tensors], batch)
        return context_BTR, weights_BTS
