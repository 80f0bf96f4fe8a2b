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

from rnnkit.decoding.lexical import Lexical
from rnnkit.decoding.likeliest import likeliest_together
from rnnkit.decoding.rules import Said
from rnnkit.text import special_tokens


@dataclass(frozen=True)
class Candidates:
    """Ways to lengthen the hypotheses.

    Attributes:
        log_p_BKN: Log-probability of hypothesis and token together, in float64.
        token_BKN: The tokens.
    """

    log_p_BKN: Tensor
    token_BKN: Tensor


@dataclass(frozen=True)
class Chosen:
    """The candidates that got a place.

    Attributes:
        log_p_BK: Minus infinity where a place stays empty.
        row_BK: Which hypothesis is lengthened.
        token_BK: With which token.
    """

    log_p_BK: Tensor
    row_BK: Tensor
    token_BK: Tensor


def best(log_p_BKV: Tensor, before_BK: Tensor, places: int, free_BG: Tensor) -> Chosen:
    """The best, best first.

    Args:
        log_p_BKV: What may be said next.
        before_BK: Log-probability of each row.
        places: Size of the beam.
        free_BG: Places not taken by what is finished, one group.
    """
    log_p_BK, row_BK, token_BK = likeliest_together(log_p_BKV, before_BK, places)
    return Chosen(log_p_BK.masked_fill(_taken(log_p_BK, free_BG), -torch.inf), row_BK, token_BK)


def best_ranked(found: Candidates, places: int, free_BG: Tensor) -> Chosen:
    """The same as `best`, of candidates that have at least the `places` best of each row among them."""
    each = found.log_p_BKN.shape[2]
    log_p_BK, index_BK = found.log_p_BKN.flatten(1).topk(min(places, found.log_p_BKN[0].numel()), dim=-1)
    token_BK = found.token_BKN.flatten(1).gather(1, index_BK)
    return Chosen(log_p_BK.masked_fill(_taken(log_p_BK, free_BG), -torch.inf), index_BK // each, token_BK)


def diverse(found: Candidates, places: int, strength: float, free_BG: Tensor) -> Chosen:
    """The best of each group in turn, after what earlier groups said.

    Args:
        found: Candidates of each row: the rows of a group side by side, or at the first step one for all. There are as
            many for a row as the beam has places, so that no group's penalties reach beyond them.
        places: Places of a group.
        strength: What saying the same costs, in nats.
        free_BG: Places of each group not taken by what is finished.
    """
    together = found.log_p_BKN.shape[1] == 1
    parts: list[Chosen] = []
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
        part = Chosen(
            chosen_BK.masked_fill(_taken(chosen_BK, free_BG[:, group : group + 1]), -torch.inf),
            begin + index_BK // found.log_p_BKN.shape[2],
            token_BM.gather(1, index_BK),
        )
        parts.append(_fill(part, places))
    columns = [[part.log_p_BK, part.row_BK, part.token_BK] for part in parts]
    return Chosen(*(torch.cat(column, dim=1) for column in zip(*columns, strict=True)))


def evenly(
    lexical: Lexical, found: Candidates, log_p_BKV: Tensor, before_BK: Tensor, said: Said, places: int, free_BG: Tensor
) -> Chosen:
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
    log_p_BK = log_p_BM.gather(1, rank_BK).masked_fill(_taken(rank_BK, free_BG), -torch.inf)
    index_BK = order_BM.gather(1, rank_BK)
    return Chosen(log_p_BK, index_BK // each, token_BKM.flatten(1).gather(1, index_BK))


def _taken(rank_BK: Tensor, free_B1: Tensor) -> Tensor:
    """Which of the ranks get no place."""
    return torch.arange(rank_BK.shape[1]) >= free_B1


def _fill(part: Chosen, places: int) -> Chosen:
    """Empty places behind, where a small vocabulary has fewer candidates than a group has places."""
    missing = places - part.log_p_BK.shape[1]
    if not missing:
        return part
    pad = torch.nn.functional.pad
    return Chosen(
        pad(part.log_p_BK, (0, missing), value=-torch.inf),
        pad(part.row_BK, (0, missing), value=int(part.row_BK.min())),
        pad(part.token_BK, (0, missing), value=special_tokens.EOS),
    )
