"""The likeliest tokens, of every row or of all rows of a sentence together, without sorting the vocabulary.

The N greatest of V numbers lie in those N chunks whose own greatest are greatest: one pass for the maxima, which a CPU
does in vector registers, and only N chunks of numbers are looked at again.
"""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK = 64
"""Tokens whose maximum is taken together."""


def likeliest(log_p_BKV: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The greatest log-probabilities of each row and their tokens (B, K, N), greatest first; N is at most V."""
    if _small(log_p_BKV, count):
        return log_p_BKV.topk(min(count, log_p_BKV.shape[-1]), dim=-1)
    chunks_BKMC, rest_BKR = _chunks(log_p_BKV)
    chunk_BKN = chunks_BKMC.amax(-1).topk(count, dim=-1).indices
    near_BKNC = chunks_BKMC.gather(-2, chunk_BKN.unsqueeze(-1).expand(*chunk_BKN.shape, CHUNK))
    log_p_BKN, place_BKN = torch.cat([near_BKNC.flatten(-2), rest_BKR], -1).topk(count, dim=-1)
    # Behind the chunks comes the rest, as one more chunk.
    last_BK1 = torch.full_like(chunk_BKN[..., :1], chunks_BKMC.shape[-2])
    chunk_BKN = torch.cat([chunk_BKN, last_BK1], -1)
    return log_p_BKN, chunk_BKN.gather(-1, place_BKN // CHUNK) * CHUNK + place_BKN % CHUNK


def likeliest_together(log_p_BKV: Tensor, before_BK: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The greatest sums of a row's log-probability and a token's, over all rows of each sentence.

    Args:
        log_p_BKV: Of the tokens.
        before_BK: Of the rows, in float64 on the CPU.
        count: How many are wanted.

    Returns:
        Sums, rows and tokens (B, N), greatest first, on the CPU; N is at most K x V.
    """
    rows, size = log_p_BKV.shape[1:]
    if _small(log_p_BKV, count):
        log_p_BKN, token_BKN = (part.cpu() for part in likeliest(log_p_BKV, count))
        total_BM = (before_BK.unsqueeze(-1) + log_p_BKN.double()).flatten(1)
        total_BN, index_BN = total_BM.topk(min(count, total_BM.shape[1]), dim=-1)
        return total_BN, index_BN // token_BKN.shape[2], token_BKN.flatten(1).gather(1, index_BN)
    chunks_BKMC, rest_BKR = _chunks(log_p_BKV)
    chunks = chunks_BKMC.shape[2]
    # Rounding keeps the order, so that the greatest sum of a chunk is the sum with its greatest number.
    chunk_BN = (chunks_BKMC.amax(-1) + before_BK.unsqueeze(-1)).flatten(1).topk(count, dim=-1).indices
    row_BN, part_BN = chunk_BN // chunks, chunk_BN % chunks
    near_BNC = chunks_BKMC[torch.arange(len(chunk_BN)).unsqueeze(1), row_BN, part_BN]
    sum_BNC = near_BNC + before_BK.gather(1, row_BN).unsqueeze(-1)
    sum_BKR = rest_BKR + before_BK.unsqueeze(-1)
    total_BN, place_BN = torch.cat([sum_BNC.flatten(1), sum_BKR.flatten(1)], 1).topk(count, dim=-1)
    at_BN, rest = (place_BN // CHUNK).clamp_max(count - 1), place_BN - count * CHUNK
    row, token = row_BN.gather(1, at_BN), part_BN.gather(1, at_BN) * CHUNK + place_BN % CHUNK
    width = size - chunks * CHUNK
    if not width:
        return total_BN, row, token
    behind = rest >= 0
    return (
        total_BN,
        torch.where(behind, rest // width, row).clamp_max(rows - 1),
        torch.where(behind, chunks * CHUNK + rest % width, token),
    )


def _small(log_p_BKV: Tensor, count: int) -> bool:
    """Whether torch's own search is as good: on a GPU, or where most chunks would be looked at."""
    return log_p_BKV.device.type != "cpu" or 4 * count >= log_p_BKV.shape[-1] // CHUNK


def _chunks(log_p_BKV: Tensor) -> tuple[Tensor, Tensor]:
    whole = log_p_BKV.shape[-1] // CHUNK
    return torch.unflatten(log_p_BKV[..., : whole * CHUNK], -1, (whole, CHUNK)), log_p_BKV[..., whole * CHUNK :]
