"""Selection of the candidates that fill the free slots of a beam.

    select_best               by log-probability
    select_diverse            diverse beam search: group by group, with a penalty for each time that an earlier group
                              chose the same token at this step (Hamming diversity; Vijayakumar et al. 2018,
                              arXiv:1610.02424, algorithm 1)
    dynamic_beam_allocation   in turn from the banks, which hold the candidates that have met equally many constraint
                              tokens (Post and Vilar 2018, arXiv:1804.06609)

Only the ranking changes: the log-probability of a hypothesis is always the model's.

The top N of V values are found without sorting the vocabulary: they lie in the N chunks with the greatest maxima. One
pass computes the maxima, vectorized on the CPU, and only N chunks are read again.

Shapes: B sentences, K hypotheses, G groups, N candidates per hypothesis, V vocabulary entries, M candidates of all
hypotheses together or chunks, C tokens of a chunk, R tokens after the last whole chunk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from rnnkit.decoding.lexical_constraints import LexicalConstraints
from rnnkit.decoding.stepper import PartialHypotheses
from rnnkit.text import special_tokens

TOPK_CHUNK = 64
"""Tokens per chunk."""

_MIN_CHUNKS_PER_CANDIDATE = 4
"""Below this ratio most chunks would be read again, and `torch.topk` is as fast."""


@dataclass(frozen=True)
class BeamCandidates:
    """Possible extensions of the hypotheses.

    Attributes:
        log_p_BKN: Log-probability of the extended hypothesis, in float64.
        token_BKN: The added token.
    """

    log_p_BKN: Tensor
    token_BKN: Tensor


@dataclass(frozen=True)
class BeamSelection:
    """The selected extensions, one per slot.

    Attributes:
        log_p_BK: Log-probability of the extended hypothesis; minus infinity for an empty slot.
        row_BK: Index of the parent hypothesis.
        token_BK: The added token.
    """

    log_p_BK: Tensor
    row_BK: Tensor
    token_BK: Tensor


def select_best(log_p_BKV: Tensor, parent_log_p_BK: Tensor, beam: int, free_slots_BG: Tensor) -> BeamSelection:
    """Select the most probable extensions.

    Args:
        log_p_BKV: Log-probabilities of the next token.
        parent_log_p_BK: Log-probabilities of the hypotheses.
        beam: Beam size.
        free_slots_BG: Slots that no finished hypothesis occupies; one group.
    """
    log_p_BK, row_BK, token_BK = topk_over_beams(log_p_BKV, parent_log_p_BK, beam)
    return BeamSelection(log_p_BK.masked_fill(_exceeds_slots(log_p_BK, free_slots_BG), -torch.inf), row_BK, token_BK)


def select_best_ranked(candidates: BeamCandidates, beam: int, free_slots_BG: Tensor) -> BeamSelection:
    """Select as `select_best` does, from candidates that include the `beam` best tokens of each hypothesis."""
    each = candidates.log_p_BKN.shape[2]
    log_p_BK, index_BK = candidates.log_p_BKN.flatten(1).topk(min(beam, candidates.log_p_BKN[0].numel()), dim=-1)
    token_BK = candidates.token_BKN.flatten(1).gather(1, index_BK)
    empty_BK = _exceeds_slots(log_p_BK, free_slots_BG)
    return BeamSelection(log_p_BK.masked_fill(empty_BK, -torch.inf), index_BK // each, token_BK)


def select_diverse(candidates: BeamCandidates, group_size: int, penalty: float, free_slots_BG: Tensor) -> BeamSelection:
    """Select the best extensions of each group in turn, given the choices of earlier groups.

    Args:
        candidates: As many candidates per hypothesis as the beam has slots, so that penalties never exhaust them.
            Hypotheses of a group are adjacent; the first step has one hypothesis for all groups.
        group_size: Slots per group.
        penalty: Diversity penalty in nats.
        free_slots_BG: Slots of each group that no finished hypothesis occupies.
    """
    is_first = candidates.log_p_BKN.shape[1] == 1
    groups: list[BeamSelection] = []
    for group in range(free_slots_BG.shape[1]):
        begin = 0 if is_first else group * group_size
        rows = slice(begin, begin + (1 if is_first else group_size))
        log_p_BM, token_BM = candidates.log_p_BKN[:, rows].flatten(1), candidates.token_BKN[:, rows].flatten(1)
        ranked_BM = log_p_BM
        for earlier in groups:
            chosen_BK = torch.where(earlier.log_p_BK > -torch.inf, earlier.token_BK, -1)
            ranked_BM = ranked_BM - penalty * (token_BM.unsqueeze(-1) == chosen_BK.unsqueeze(1)).sum(-1)
        index_BK = ranked_BM.topk(min(group_size, ranked_BM.shape[1]), dim=-1).indices
        log_p_BK = log_p_BM.gather(1, index_BK)
        selection = BeamSelection(
            log_p_BK.masked_fill(_exceeds_slots(log_p_BK, free_slots_BG[:, group : group + 1]), -torch.inf),
            begin + index_BK // candidates.log_p_BKN.shape[2],
            token_BM.gather(1, index_BK),
        )
        groups.append(_pad_selection(selection, group_size))
    columns = [[group.log_p_BK, group.row_BK, group.token_BK] for group in groups]
    return BeamSelection(*(torch.cat(column, dim=1) for column in zip(*columns, strict=True)))


class ActiveConstraint(NamedTuple):
    """Lexical constraints of a batch, and the hypotheses that are to satisfy them."""

    lexical: LexicalConstraints
    partial: PartialHypotheses


def dynamic_beam_allocation(
    constraint: ActiveConstraint,
    candidates: BeamCandidates,
    log_p_BKV: Tensor,
    parent_log_p_BK: Tensor,
    beam: int,
    free_slots_BG: Tensor,
) -> BeamSelection:
    """Select the best candidate of each bank in turn until the slots are full.

    Args:
        constraint: The lexical constraints and the hypotheses.
        candidates: Most probable extensions; those that continue a constraint are added here.
        log_p_BKV: Log-probabilities of the next token.
        parent_log_p_BK: Log-probabilities of the hypotheses.
        beam: Beam size.
        free_slots_BG: Slots that no finished hypothesis occupies; one group.
    """
    lexical, partial = constraint
    progress = lexical.progress(partial)
    next_BKG, _ = lexical.next_tokens(progress, partial.sentence_B, partial.next_length == 1)
    next_log_p_BKG = log_p_BKV.gather(-1, next_BKG.to(log_p_BKV.device)).cpu().double() + parent_log_p_BK.unsqueeze(-1)
    known_BKG = (next_BKG.unsqueeze(-1) == candidates.token_BKN.unsqueeze(2)).any(-1)
    duplicate_BKG = (next_BKG.unsqueeze(-1) == next_BKG.unsqueeze(2)).tril(-1).any(-1)
    next_log_p_BKG = next_log_p_BKG.masked_fill(known_BKG | duplicate_BKG, -torch.inf)
    log_p_BKM = torch.cat([candidates.log_p_BKN, next_log_p_BKG], dim=-1)
    token_BKM = torch.cat([candidates.token_BKN, next_BKG], dim=-1)

    each = log_p_BKM.shape[2]
    log_p_BM, order_BM = log_p_BKM.flatten(1).sort(dim=-1, descending=True, stable=True)
    bank_BM = lexical.bank(progress, token_BKM, partial.sentence_B).flatten(1).gather(1, order_BM)
    counts_BMM = torch.nn.functional.one_hot(bank_BM).cumsum(1)
    round_BM = counts_BMM.gather(-1, bank_BM.unsqueeze(-1)).squeeze(-1)
    # Within a round the highest bank comes first.
    key_BM = (round_BM * counts_BMM.shape[2] - bank_BM).masked_fill(log_p_BM == -torch.inf, torch.iinfo(torch.long).max)
    rank_BK = key_BM.sort(dim=-1, stable=True).indices[:, :beam]
    log_p_BK = log_p_BM.gather(1, rank_BK).masked_fill(_exceeds_slots(rank_BK, free_slots_BG), -torch.inf)
    index_BK = order_BM.gather(1, rank_BK)
    return BeamSelection(log_p_BK, index_BK // each, token_BKM.flatten(1).gather(1, index_BK))


def _exceeds_slots(ranked_BK: Tensor, free_slots_B1: Tensor) -> Tensor:
    """Return which ranks have no free slot."""
    return torch.arange(ranked_BK.shape[1]) >= free_slots_B1


def _pad_selection(selection: BeamSelection, group_size: int) -> BeamSelection:
    """Append empty slots if a small vocabulary has fewer candidates than the group has slots."""
    missing = group_size - selection.log_p_BK.shape[1]
    if not missing:
        return selection
    pad = torch.nn.functional.pad
    return BeamSelection(
        pad(selection.log_p_BK, (0, missing), value=-torch.inf),
        pad(selection.row_BK, (0, missing), value=int(selection.row_BK.min())),
        pad(selection.token_BK, (0, missing), value=special_tokens.EOS),
    )


def topk_tokens(log_p_BKV: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the greatest log-probabilities of each hypothesis and their ids (B, K, N), in descending order.

    N is `count`, or V for smaller vocabularies.
    """
    if _prefers_torch(log_p_BKV, count):
        return log_p_BKV.topk(min(count, log_p_BKV.shape[-1]), dim=-1)
    chunks_BKMC, rest_BKR = _split_chunks(log_p_BKV)
    chunk_BKN = chunks_BKMC.amax(-1).topk(count, dim=-1).indices
    near_BKNC = chunks_BKMC.gather(-2, chunk_BKN.unsqueeze(-1).expand(*chunk_BKN.shape, TOPK_CHUNK))
    log_p_BKN, index_BKN = torch.cat([near_BKNC.flatten(-2), rest_BKR], -1).topk(count, dim=-1)
    # The rest after the whole chunks counts as one more chunk.
    last_BK1 = torch.full_like(chunk_BKN[..., :1], chunks_BKMC.shape[-2])
    chunk_BKN = torch.cat([chunk_BKN, last_BK1], -1)
    return log_p_BKN, chunk_BKN.gather(-1, index_BKN // TOPK_CHUNK) * TOPK_CHUNK + index_BKN % TOPK_CHUNK


def topk_over_beams(log_p_BKV: Tensor, parent_log_p_BK: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the most probable extensions over all hypotheses of each sentence.

    Args:
        log_p_BKV: Log-probabilities of the next token.
        parent_log_p_BK: Log-probabilities of the hypotheses, in float64 on the CPU.
        count: N, extensions per sentence; fewer if K x V is smaller.

    Returns:
        Log-probabilities of the extended hypotheses, parents and tokens (B, N), in descending order, on the CPU.
    """
    rows, size = log_p_BKV.shape[1:]
    if _prefers_torch(log_p_BKV, count):
        log_p_BKN, token_BKN = (part.cpu() for part in topk_tokens(log_p_BKV, count))
        total_BM = (parent_log_p_BK.unsqueeze(-1) + log_p_BKN.double()).flatten(1)
        total_BN, index_BN = total_BM.topk(min(count, total_BM.shape[1]), dim=-1)
        return total_BN, index_BN // token_BKN.shape[2], token_BKN.flatten(1).gather(1, index_BN)
    chunks_BKMC, rest_BKR = _split_chunks(log_p_BKV)
    chunks = chunks_BKMC.shape[2]
    # Rounding is monotonic, so the greatest sum of a chunk is the sum with its greatest value.
    best_BN = (chunks_BKMC.amax(-1) + parent_log_p_BK.unsqueeze(-1)).flatten(1).topk(count, dim=-1).indices
    row_BN, chunk_BN = best_BN // chunks, best_BN % chunks
    near_BNC = chunks_BKMC[torch.arange(len(best_BN)).unsqueeze(1), row_BN, chunk_BN]
    sum_BNC = near_BNC + parent_log_p_BK.gather(1, row_BN).unsqueeze(-1)
    sum_BKR = rest_BKR + parent_log_p_BK.unsqueeze(-1)
    total_BN, index_BN = torch.cat([sum_BNC.flatten(1), sum_BKR.flatten(1)], 1).topk(count, dim=-1)
    at_BN, rest_BN = (index_BN // TOPK_CHUNK).clamp_max(count - 1), index_BN - count * TOPK_CHUNK
    parent_BN = row_BN.gather(1, at_BN)
    token_BN = chunk_BN.gather(1, at_BN) * TOPK_CHUNK + index_BN % TOPK_CHUNK
    width = size - chunks * TOPK_CHUNK
    if not width:
        return total_BN, parent_BN, token_BN
    in_rest_BN = rest_BN >= 0
    return (
        total_BN,
        torch.where(in_rest_BN, rest_BN // width, parent_BN).clamp_max(rows - 1),
        torch.where(in_rest_BN, chunks * TOPK_CHUNK + rest_BN % width, token_BN),
    )


def _prefers_torch(log_p_BKV: Tensor, count: int) -> bool:
    """Return whether `torch.topk` is as fast: on a GPU, or if most chunks would be read again."""
    chunks = log_p_BKV.shape[-1] // TOPK_CHUNK
    return log_p_BKV.device.type != "cpu" or _MIN_CHUNKS_PER_CANDIDATE * count >= chunks


def _split_chunks(log_p_BKV: Tensor) -> tuple[Tensor, Tensor]:
    """Split the vocabulary into whole chunks (B, K, M, C) and the rest (B, K, R)."""
    whole = log_p_BKV.shape[-1] // TOPK_CHUNK
    chunks_BKMC = torch.unflatten(log_p_BKV[..., : whole * TOPK_CHUNK], -1, (whole, TOPK_CHUNK))
    return chunks_BKMC, log_p_BKV[..., whole * TOPK_CHUNK :]
