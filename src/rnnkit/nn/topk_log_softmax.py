"""The k most probable tokens of each row and their log-probabilities, for beam search.

    log p_v = z_v - log sum_u e^z_u        the K largest of each row

A log-softmax writes as many numbers as the vocabulary has entries, of which a search needs a few. On processors that it
suits, a compiled kernel fuses both; `reference_topk_log_softmax` is the plain version.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnkit.kernels.dispatch import cpu_features

MAX_EXCLUDED_ID = 63
"""Largest id that the kernel can exclude: it takes excluded ids as the bits of an int64."""


@dataclass(frozen=True)
class LogitMask:
    """Additive mask of logits, shared by the rows of a sentence.

    Attributes:
        bias_BV: Minus infinity for tokens that are not allowed, 0 for the others.
        sentence_N: Row of `bias_BV` that applies to each row of logits.
    """

    bias_BV: Tensor
    sentence_N: Tensor


def topk_log_softmax(
    logits_NV: Tensor, count: int, excluded: Collection[int] = (), mask: LogitMask | None = None
) -> tuple[Tensor, Tensor]:
    """Compute `reference_topk_log_softmax` with the fastest implementation for these tensors."""
    if logits_NV.device.type != "cpu" or logits_NV.dtype != torch.float32:
        return reference_topk_log_softmax(logits_NV, count, excluded, mask)
    if max(excluded, default=0) > MAX_EXCLUDED_ID or not cpu_features().avx2_fma:
        return reference_topk_log_softmax(logits_NV, count, excluded, mask)
    from rnnkit.kernels import threads, topk  # these import Numba

    rows, columns = logits_NV.shape
    logits_NV = logits_NV.contiguous()
    best_NK, log_sum_N = logits_NV.new_empty(rows, count), logits_NV.new_empty(rows)
    id_NK = torch.empty(rows, count, dtype=torch.long)
    excluded_bits = sum(1 << column for column in excluded)
    bias, sentence = (0, 0) if mask is None else (mask.bias_BV.contiguous(), mask.sentence_N.contiguous())
    fields: list[int | Tensor] = [rows, columns, count, excluded_bits, logits_NV, bias, sentence]
    fields += [best_NK, id_NK, log_sum_N]
    threads.parallel_for(topk.topk_log_sum_exp, fields, min(rows, 4 * torch.get_num_threads()))
    return best_NK - log_sum_N.unsqueeze(1), id_NK


def reference_topk_log_softmax(
    logits_NV: Tensor, count: int, excluded: Collection[int] = (), mask: LogitMask | None = None
) -> tuple[Tensor, Tensor]:
    """Compute the top k by a log-softmax over the whole vocabulary.

    Args:
        logits_NV: Logits, one row per hypothesis.
        count: Number K of tokens to return, at most V.
        excluded: Ids that are not returned, although their probability counts in the sum.
        mask: Tokens without probability; none by default.

    Returns:
        Log-probabilities (N, K) in nats, in descending order, and their ids; minus infinity if fewer than K tokens can
        be returned.
    """
    logits_NV = logits_NV.float()
    if mask is not None:
        logits_NV = logits_NV + mask.bias_BV[mask.sentence_N]
    log_p_NV = torch.log_softmax(logits_NV, dim=-1)
    log_p_NV[:, list(excluded)] = -torch.inf
    return log_p_NV.topk(count, dim=-1)
