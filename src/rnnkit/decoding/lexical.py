"""Lexical constraints: phrases that every output of a sentence must have in it, whatever the search.

A phrase is met where its tokens stand in a row in the output; what of it stands at the very end is under way. Until
all are met an output does not end, and as soon as the tokens that are left are just enough for what is missing, nothing
else may be said: with a limit of at least the phrases' tokens and the end symbol, every output meets its constraints.
`selection.evenly` lets a beam find good places for them long before that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnkit.decoding.rules import Said
from rnnkit.text import special

_NOTHING, _BEFORE = -1, -2
"""What stands where a phrase has no token, and before the first token of an output; they equal nothing."""


@dataclass(frozen=True)
class Progress:
    """How far rows are with their phrases.

    Attributes:
        met_BKC: Whether each phrase is met; also where there is none.
        begun_BKC: Tokens of each unmet phrase that stand at the row's end; fewer than it has.
        next_BKC: The token that goes on with it; padding where it is met.
    """

    met_BKC: Tensor
    begun_BKC: Tensor
    next_BKC: Tensor


class Lexical:
    """The phrases of a batch.

    Args:
        phrases: For each sentence its phrases, each of at least one id.
    """

    def __init__(self, phrases: Sequence[Sequence[Sequence[int]]]) -> None:
        count = max((len(many) for many in phrases), default=0)
        longest = max((len(one) for many in phrases for one in many), default=1)
        self.id_BCN = torch.full((len(phrases), count, longest), _NOTHING)
        self._flush_BCN = self.id_BCN.clone()  # the same at the right
        self.length_BC = torch.zeros(len(phrases), count, dtype=torch.long)
        for row, many in enumerate(phrases):
            for column, one in enumerate(many):
                ids = torch.tensor(one)
                self.id_BCN[row, column, : len(one)] = ids
                self._flush_BCN[row, column, longest - len(one) :] = ids
                self.length_BC[row, column] = len(one)

    def met(self, ids_BKT: Tensor, sentence_B: Tensor) -> Tensor:
        """Whether each phrase stands anywhere in the rows (B, K, C); ids without the start symbol, on the CPU."""
        longest = self.id_BCN.shape[2]
        padded_BKT = torch.nn.functional.pad(ids_BKT, (longest - 1, 0), value=_BEFORE)
        phrase_B1C1N = self._flush_BCN[sentence_B][:, None, :, None]
        if not ids_BKT.shape[2]:
            return (self.length_BC[sentence_B] == 0).unsqueeze(1).expand(-1, ids_BKT.shape[1], -1)
        window_BK1WN = padded_BKT.unfold(-1, longest, 1).unsqueeze(2)
        return ((window_BK1WN == phrase_B1C1N) | (phrase_B1C1N == _NOTHING)).all(-1).any(-1)

    def progress(self, ids_BKT: Tensor, sentence_B: Tensor, met_BKC: Tensor | None = None) -> Progress:
        """How far rows are.

        Args:
            ids_BKT: What they said, without the start symbol; only the end matters where `met_BKC` is known.
            sentence_B: Their sentences.
            met_BKC: What is met, where that is known.
        """
        met_BKC = self.met(ids_BKT, sentence_B) if met_BKC is None else met_BKC
        phrase_B1CN, length_B1C = self.id_BCN[sentence_B].unsqueeze(1), self.length_BC[sentence_B].unsqueeze(1)
        begun_BKC = torch.zeros_like(met_BKC, dtype=torch.long)
        for count in range(1, min(self.id_BCN.shape[2], ids_BKT.shape[2] + 1)):
            same_BKC = (ids_BKT[:, :, None, -count:] == phrase_B1CN[..., :count]).all(-1)
            begun_BKC = torch.where(same_BKC & (count < length_B1C) & ~met_BKC, count, begun_BKC)
        every_BKCN = phrase_B1CN.expand(-1, ids_BKT.shape[1], -1, -1)
        next_BKC = every_BKCN.gather(-1, begun_BKC.unsqueeze(-1)).squeeze(-1)
        return Progress(met_BKC, begun_BKC, torch.where(met_BKC, special.PAD, next_BKC))

    def narrow(self, allowed_BKV: Tensor, said: Said) -> None:
        """See `rules.Rule.narrow`. Where other rules leave nothing, what is missing is said."""
        ids_BKT = said.ids_BKT[..., 1:]
        progress = self.progress(ids_BKT, said.sentence_B)
        device = allowed_BKV.device
        unmet_BK = (~progress.met_BKC).any(-1)
        allowed_BKV[..., special.EOS] &= ~unmet_BK.to(device)
        missing_BK = (self.length_BC[said.sentence_B].unsqueeze(1) * ~progress.met_BKC).sum(-1)
        room_B1 = (said.limit_B - ids_BKT.shape[2] - 1).unsqueeze(1)
        fits_BKC = room_B1.unsqueeze(-1) >= missing_BK.unsqueeze(-1) - progress.begun_BKC
        only_BKV = torch.zeros_like(allowed_BKV)
        only_BKV.scatter_(-1, torch.where(fits_BKC, progress.next_BKC, special.PAD).to(device), True)
        only_BKV[..., special.PAD] = False
        forced_BK = unmet_BK.to(device) & ((room_B1 <= missing_BK).to(device) | ~allowed_BKV.any(-1))
        allowed_BKV.copy_(torch.where(forced_BK.unsqueeze(-1), only_BKV, allowed_BKV))
