"""How the free places of a beam are given to candidates.

    best      by log-probability
    diverse   group by group, each token costing so much for every time that an earlier group chose it at this step
              (Hamming diversity; Vijayakumar et al. 2018, arXiv:1610.02424, algorithm 1)
    evenly    in turns to candidates that have met the same number of their phrases' tokens (dynamic beam allocation;
              Post and Vilar 2018, arXiv:1804.06609)

Only the rank is changed: a hypothesis' log-probability is the model's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rnnkit.decoding.constraints.lexical_constraints import LexicalConstraints
from rnnkit.decoding.stepper import PartialHypotheses
from rnnkit.text import special_tokens


@dataclass(frozen=True)
class BeamCandidates:
    """Ways to lengthen the hypotheses.

    Attributes:
        log_p_BKN: Log-probability of hypothesis and token together, in float64.
        token_BKN: The tokens.
    """

    log_p_BKN: Tensor
    token_BKN: Tensor


@dataclass(frozen=True)
class BeamSelection:
    """The candidates that got a place.

    Attributes:
        log_p_BK: Minus infinity where a place stays empty.
        row_BK: Which hypothesis is lengthened.
        token_BK: With which token.
    """

    log_p_BK: Tensor
    row_BK: Tensor
    token_BK: Tensor


def select_best(log_p_BKV: Tensor, before_BK: Tensor, places: int, free_BG: Tensor) -> BeamSelection:
    """The best, best first.

    Args:
        log_p_BKV: What may be said next.
        before_BK: Log-probability of each row.
        places: Size of the beam.
        free_BG: Places not taken by what is finished, one group.
    """
    log_p_BK, row_BK, token_BK = topk_over_beams(log_p_BKV, before_BK, places)
    return BeamSelection(log_p_BK.masked_fill(_beyond_free_slots(log_p_BK, free_BG), -torch.inf), row_BK, token_BK)


def select_best_ranked(found: BeamCandidates, places: int, free_BG: Tensor) -> BeamSelection:
    """The same as `best`, of candidates that have at least the `places` best of each row among them."""
    each = found.log_p_BKN.shape[2]
    log_p_BK, index_BK = found.log_p_BKN.flatten(1).topk(min(places, found.log_p_BKN[0].numel()), dim=-1)
    token_BK = found.token_BKN.flatten(1).gather(1, index_BK)
    return BeamSelection(
        log_p_BK.masked_fill(_beyond_free_slots(log_p_BK, free_BG), -torch.inf), index_BK // each, token_BK
    )


def select_diverse(found: BeamCandidates, places: int, strength: float, free_BG: Tensor) -> BeamSelection:
    """The best of each group in turn, after what earlier groups said.

    Args:
        found: Candidates of each row: the rows of a group side by side, or at the first step one for all. There are as
            many for a row as the beam has places, so that no group's penalties reach beyond them.
        places: Places of a group.
        strength: What saying the same costs, in nats.
        free_BG: Places of each group not taken by what is finished.
    """
    together = found.log_p_BKN.shape[1] == 1
    parts: list[BeamSelection] = []
    for group in range(free_BG.shape[1]):
        begin = 0 if together else group * places
        rows = slice(begin, begin + (1 if together else places))
        log_p_BM, token_BM = found.log_p_BKN[:, rows].flatten(1), found.token_BKN[:, rows].flatten(1)
        ranked_BM = log_p_BM
        for part in parts:
            spoken_BK = torch.where(part.log_p_BK > -torch.inf, part.token_BK, -1)
            ranked_BM = ranked_BM - strength * (token_BM.unsqueeze(-1) == spoken_BK.unsqueeze(1)).sum(-1)
        index_BK = ranked_BM.topk(min(places, ranked_BM.shape[1]), dim=-1).indices
        chosen_BK = log_p_BM.gather(1, index_BK)
        part = BeamSelection(
            chosen_BK.masked_fill(_beyond_free_slots(chosen_BK, free_BG[:, group : group + 1]), -torch.inf),
            begin + index_BK // found.log_p_BKN.shape[2],
            token_BM.gather(1, index_BK),
        )
        parts.append(_pad_selection(part, places))
    columns = [[part.log_p_BK, part.row_BK, part.token_BK] for part in parts]
    return BeamSelection(*(torch.cat(column, dim=1) for column in zip(*columns, strict=True)))


def dynamic_beam_allocation(
    lexical: LexicalConstraints,
    found: BeamCandidates,
    log_p_BKV: Tensor,
    before_BK: Tensor,
    said: PartialHypotheses,
    places: int,
    free_BG: Tensor,
) -> BeamSelection:
    """The best of each bank in turn, a bank being what has met equally many tokens of its phrases.

    Args:
        lexical: The phrases.
        found: Candidates of each row; tokens that go on with a phrase are added.
        log_p_BKV: What may be said next.
        before_BK: Log-probability of each row.
        said: What each row has said.
        places: Size of the beam.
        free_BG: Places not taken by what is finished, one group.
    """
    progress = lexical.progress(said)
    wanted_BKG, _ = lexical.wanted(progress, said.sentence_B, said.next_length == 1)
    wanted_log_p_BKG = log_p_BKV.gather(-1, wanted_BKG.to(log_p_BKV.device)).cpu().double() + before_BK.unsqueeze(-1)
    known_BKG = (wanted_BKG.unsqueeze(-1) == found.token_BKN.unsqueeze(2)).any(-1)
    twice_BKG = (wanted_BKG.unsqueeze(-1) == wanted_BKG.unsqueeze(2)).tril(-1).any(-1)
    wanted_log_p_BKG = wanted_log_p_BKG.masked_fill(known_BKG | twice_BKG, -torch.inf)
    log_p_BKM = torch.cat([found.log_p_BKN, wanted_log_p_BKG], dim=-1)
    token_BKM = torch.cat([found.token_BKN, wanted_BKG], dim=-1)

    each = log_p_BKM.shape[2]
    log_p_BM, order_BM = log_p_BKM.flatten(1).sort(dim=-1, descending=True, stable=True)
    bank_BM = lexical.bank(progress, token_BKM, said.sentence_B).flatten(1).gather(1, order_BM)
    earlier_BMM = torch.nn.functional.one_hot(bank_BM).cumsum(1)
    turn_BM = earlier_BMM.gather(-1, bank_BM.unsqueeze(-1)).squeeze(-1)
    # Of those whose turn it is, who has met most comes first.
    key_BM = (turn_BM * earlier_BMM.shape[2] - bank_BM).masked_fill(log_p_BM == -torch.inf, torch.iinfo(torch.long).max)
    rank_BK = key_BM.sort(dim=-1, stable=True).indices[:, :places]
    log_p_BK = log_p_BM.gather(1, rank_BK).masked_fill(_beyond_free_slots(rank_BK, free_BG), -torch.inf)
    index_BK = order_BM.gather(1, rank_BK)
    return BeamSelection(log_p_BK, index_BK // each, token_BKM.flatten(1).gather(1, index_BK))


def _beyond_free_slots(rank_BK: Tensor, free_B1: Tensor) -> Tensor:
    """Which of the ranks get no place."""
    return torch.arange(rank_BK.shape[1]) >= free_B1


def _pad_selection(part: BeamSelection, places: int) -> BeamSelection:
    """Empty places behind, where a small vocabulary has fewer candidates than a group has places."""
    missing = places - part.log_p_BK.shape[1]
    if not missing:
        return part
    pad = torch.nn.functional.pad
    return BeamSelection(
        pad(part.log_p_BK, (0, missing), value=-torch.inf),
        pad(part.row_BK, (0, missing), value=int(part.row_BK.min())),
        pad(part.token_BK, (0, missing), value=special_tokens.EOS),
    )


TOPK_CHUNK = 64
"""Tokens whose maximum is taken together."""


def topk_tokens(log_p_BKV: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The greatest log-probabilities of each row and their tokens (B, K, N), greatest first; N is at most V."""
    if _use_torch_topk(log_p_BKV, count):
        return log_p_BKV.topk(min(count, log_p_BKV.shape[-1]), dim=-1)
    chunks_BKMC, rest_BKR = _split_chunks(log_p_BKV)
    chunk_BKN = chunks_BKMC.amax(-1).topk(count, dim=-1).indices
    near_BKNC = chunks_BKMC.gather(-2, chunk_BKN.unsqueeze(-1).expand(*chunk_BKN.shape, TOPK_CHUNK))
    log_p_BKN, place_BKN = torch.cat([near_BKNC.flatten(-2), rest_BKR], -1).topk(count, dim=-1)
    # Behind the chunks comes the rest, as one more chunk.
    last_BK1 = torch.full_like(chunk_BKN[..., :1], chunks_BKMC.shape[-2])
    chunk_BKN = torch.cat([chunk_BKN, last_BK1], -1)
    return log_p_BKN, chunk_BKN.gather(-1, place_BKN // TOPK_CHUNK) * TOPK_CHUNK + place_BKN % TOPK_CHUNK


def topk_over_beams(log_p_BKV: Tensor, before_BK: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The greatest sums of a row's log-probability and a token's, over all rows of each sentence.

    Args:
        log_p_BKV: Of the tokens.
        before_BK: Of the rows, in float64 on the CPU.
        count: How many are wanted.

    Returns:
        Sums, rows and tokens (B, N), greatest first, on the CPU; N is at most K x V.
    """
    rows, size = log_p_BKV.shape[1:]
    if _use_torch_topk(log_p_BKV, count):
        log_p_BKN, token_BKN = (part.cpu() for part in topk_tokens(log_p_BKV, count))
        total_BM = (before_BK.unsqueeze(-1) + log_p_BKN.double()).flatten(1)
        total_BN, index_BN = total_BM.topk(min(count, total_BM.shape[1]), dim=-1)
        return total_BN, index_BN // token_BKN.shape[2], token_BKN.flatten(1).gather(1, index_BN)
    chunks_BKMC, rest_BKR = _split_chunks(log_p_BKV)
    chunks = chunks_BKMC.shape[2]
    # Rounding keeps the order, so that the greatest sum of a chunk is the sum with its greatest number.
    chunk_BN = (chunks_BKMC.amax(-1) + before_BK.unsqueeze(-1)).flatten(1).topk(count, dim=-1).indices
    row_BN, part_BN = chunk_BN // chunks, chunk_BN % chunks
    near_BNC = chunks_BKMC[torch.arange(len(chunk_BN)).unsqueeze(1), row_BN, part_BN]
    sum_BNC = near_BNC + before_BK.gather(1, row_BN).unsqueeze(-1)
    sum_BKR = rest_BKR + before_BK.unsqueeze(-1)
    total_BN, place_BN = torch.cat([sum_BNC.flatten(1), sum_BKR.flatten(1)], 1).topk(count, dim=-1)
    at_BN, rest = (place_BN // TOPK_CHUNK).clamp_max(count - 1), place_BN - count * TOPK_CHUNK
    row, token = row_BN.gather(1, at_BN), part_BN.gather(1, at_BN) * TOPK_CHUNK + place_BN % TOPK_CHUNK
    width = size - chunks * TOPK_CHUNK
    if not width:
        return total_BN, row, token
    behind = rest >= 0
    return (
        total_BN,
        torch.where(behind, rest // width, row).clamp_max(rows - 1),
        torch.where(behind, chunks * TOPK_CHUNK + rest % width, token),
    )


def _use_torch_topk(log_p_BKV: Tensor, count: int) -> bool:
    """Whether torch's own search is as good: on a GPU, or where most chunks would be looked at."""
    return log_p_BKV.device.type != "cpu" or 4 * count >= log_p_BKV.shape[-1] // TOPK_CHUNK


def _split_chunks(log_p_BKV: Tensor) -> tuple[Tensor, Tensor]:
    whole = log_p_BKV.shape[-1] // TOPK_CHUNK
    return torch.unflatten(log_p_BKV[..., : whole * TOPK_CHUNK], -1, (whole, TOPK_CHUNK)), log_p_BKV[
        ..., whole * TOPK_CHUNK :
    ]
