"""Rules about which tokens may be chosen next: a least length, no n-gram twice, a beginning that is given.

A rule sees what every row has said and crosses tokens off. It keeps no state of its own, so that beam, greedy,
exhaustive search and sampling use it alike. `choice.Choice` puts rules together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from rnnkit.text import special_tokens


@dataclass(frozen=True)
class Said:
    """Rows under way.

    Attributes:
        sentence_B: Which sentences of the batch they belong to.
        limit_B: Most tokens of the sentences' outputs, the end symbol counted.
        ids_BKT: What each row has said, behind the start symbol.
    """

    sentence_B: Tensor
    limit_B: Tensor
    ids_BKT: Tensor

    @property
    def next_length(self) -> int:
        """Tokens of a row with the one that is chosen next."""
        return self.ids_BKT.shape[2]


class Rule(Protocol):
    """Crosses off tokens."""

    def narrow(self, allowed_BKV: Tensor, said: Said) -> None:
        """Set to False, in place, what may not be chosen next; on the device of the log-probabilities."""
        ...


@dataclass(frozen=True)
class LeastLength:
    """No end before so many tokens, the end symbol counted."""

    tokens: int

    def narrow(self, allowed_BKV: Tensor, said: Said) -> None:
        """See `Rule.narrow`."""
        if said.next_length < self.tokens:
            allowed_BKV[..., special_tokens.EOS] = False


@dataclass(frozen=True)
class NoRepeat:
    """No n-gram of this order twice in an output (Paulus et al. 2018, arXiv:1705.04304, section 2.5)."""

    order: int

    def narrow(self, allowed_BKV: Tensor, said: Said) -> None:
        """See `Rule.narrow`. The end symbol is never crossed off."""
        ids_BKT = said.ids_BKT[..., 1:]
        length = ids_BKT.shape[-1]
        if length < self.order:
            return
        seen_BKWN = ids_BKT.unfold(-1, self.order, 1)
        last_BKN = ids_BKT[..., length - self.order + 1 :]
        again_BKW = (seen_BKWN[..., :-1] == last_BKN.unsqueeze(-2)).all(-1)
        # Padding is never chosen, so that it may stand for nothing to cross off.
        token_BKW = torch.where(again_BKW, seen_BKWN[..., -1], special_tokens.PAD)
        ends_BK = allowed_BKV[..., special_tokens.EOS].clone()
        allowed_BKV.scatter_(-1, token_BKW.to(allowed_BKV.device), False)
        allowed_BKV[..., special_tokens.EOS] = ends_BK


class Prefix:
    """Every output begins with given tokens.

    Args:
        prefixes: For each sentence of the batch, ids without start and end symbol; may be empty.
    """

    def __init__(self, prefixes: Sequence[Sequence[int]]) -> None:
        longest = max((len(one) for one in prefixes), default=0)
        rows = [[*one, *[special_tokens.PAD] * (longest - len(one))] for one in prefixes]
        self._ids_BP = torch.tensor(rows, dtype=torch.long).view(len(prefixes), longest)

    def narrow(self, allowed_BKV: Tensor, said: Said) -> None:
        """See `Rule.narrow`. The given token is allowed whatever other rules say."""
        place = said.next_length - 1
        if place >= self._ids_BP.shape[1]:
            return
        token_B = self._ids_BP[said.sentence_B, place].to(allowed_BKV.device)
        given_B = token_B != special_tokens.PAD
        allowed_BKV[given_B] = False
        allowed_BKV[given_B, :, token_B[given_B]] = True
