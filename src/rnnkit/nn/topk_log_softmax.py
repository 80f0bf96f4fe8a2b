"""The most probable few of many: what a search asks of an output layer.

    log p_v = z_v - log sum_u e^z_u        the K greatest of each row

A softmax writes as many numbers as the vocabulary has rows, and a search looks at few of them. On processors that they
suit, compiled kernels find both in one go; `reference_rank` is what they are held to.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LogitMask:
    """What each row may say.

    Attributes:
        shut_BV: Added to logits: minus infinity for what may not be said, 0 for what may.
        owner_N: Which of these lines each row has.
    """

    shut_BV: Tensor
    owner_N: Tensor


def reference_topk_log_softmax(
    logits_NV: Tensor, count: int, forbidden: Collection[int] = (), gates: LogitMask | None = None
) -> tuple[Tensor, Tensor]:
    """The best of each row, by way of the softmax.

    Args:
        logits_NV: One row a hypothesis.
        count: How many are wanted, K; at most V.
        forbidden: Columns that are not taken, though their probability counts.
        gates: What has no probability in which rows; nothing, unless given.

    Returns:
        Log-probabilities (N, K) in nats, the greatest first, and their columns; minus infinity where fewer than K
        columns can be taken.
    """
    logits_NV = logits_NV.float()
    if gates is not None:
        logits_NV = logits_NV + gates.shut_BV[gates.owner_N]
    log_p_NV = torch.log_softmax(logits_NV, dim=-1)
    log_p_NV[:, list(forbidden)] = -torch.inf
    return log_p_NV.topk(count, dim=-1)


def topk_log_softmax(
    logits_NV: Tensor, count: int, forbidden: Collection[int] = (), gates: LogitMask | None = None
) -> tuple[Tensor, Tensor]:
    """The same as `reference_rank`, by the fastest way there is."""
    if logits_NV.device.type != "cpu" or logits_NV.dtype != torch.float32 or max(forbidden, default=0) >= 64:
        return reference_topk_log_softmax(logits_NV, count, forbidden, gates)
    from rnnkit.kernels import dispatch, threads, topk

    rows, columns = logits_NV.shape
    if not dispatch.HAS_LANES:
        return reference_topk_log_softmax(logits_NV, count, forbidden, gates)
    logits_NV = logits_NV.contiguous()
    best_NK, sum_N = logits_NV.new_empty(rows, count), logits_NV.new_empty(rows)
    place_NK = torch.empty(rows, count, dtype=torch.long)
    mask = sum(1 << column for column in forbidden)
    shut, owners = (0, 0) if gates is None else (gates.shut_BV.contiguous(), gates.owner_N.contiguous())
    fields: list[int | Tensor] = [rows, columns, count, mask, logits_NV, shut, owners, best_NK, place_NK, sum_N]
    threads.parallel_for(topk.topk_log_sum_exp, fields, min(rows, 4 * torch.get_num_threads()))
    return best_NK - sum_N.unsqueeze(1), place_NK
