"""Representation of a word by its characters or character n-grams.

    lstm     [forward state at its last character; backward state at its first], of a bidirectional LSTM
             (Ling et al. 2015, arXiv:1508.02096)
    cnn      max over positions of a convolution (dos Santos and Zadrozny 2014; Ma and Hovy 2016, arXiv:1603.01354)
    ngrams   mean of the embeddings of its hashed character n-grams (Bojanowski et al. 2017, arXiv:1607.04606) and
             shapes, such as `Xx-d`

Shapes: W words, N characters of the longest, E embedding, H dimension of the representation.
"""

from __future__ import annotations

from typing import Final, cast

import numpy as np
import torch
from torch import Tensor, nn

from rnnkit.data.word_table import Ids, SparseRows
from rnnkit.nn import dropout
from rnnkit.nn.bidirectional import EncoderLayer
from rnnkit.nn.kinds import CharacterEncoding
from rnnkit.text import special_tokens

CONVOLUTION_WIDTH: Final = 3
"""Characters that a filter covers; Ma and Hovy (2016) have the same."""

LENGTH_GROUPS: Final = (5, 7, 9, 12, 16, 24)
"""Longest word of each group that the LSTM runs over at a time, in characters with those that mark start and end.

One group would be padded to the longest word: in English text, two thirds of its steps would be padding. Groups have
a tenth. More groups have too few words each for efficient matrix products.
"""


class CharacterEncoder(nn.Module):
    """Maps words to vectors by their characters or character n-grams.

    Args:
        kind: Kind of representation, but `none`.
        alphabet: Number of characters, or of hashed n-grams.
        embedding: Embedding dimension of a character; n-grams have `hidden`.
        hidden: Dimension of the representation.
        rate: Variational dropout of the embeddings of characters; of n-grams, the probability that one is left out of
            the mean in training, so that a word is also recognized by some of its parts.
    """

    def __init__(self, kind: CharacterEncoding, alphabet: int, embedding: int, hidden: int, rate: float) -> None:
        super().__init__()
        self.kind = kind
        self.rate = rate
        if kind == "ngrams":
            self.embedding: nn.Module = nn.EmbeddingBag(alphabet, hidden, mode="mean")
            nn.init.normal_(self.embedding.weight, std=hidden**-0.5)
            return
        self.embedding = nn.Embedding(alphabet, embedding, padding_idx=special_tokens.PAD)
        if kind == "lstm":
            self.layer: nn.Module = EncoderLayer("lstm", embedding, hidden, bidirectional=True)
        else:
            self.layer = nn.Conv1d(embedding, hidden, CONVOLUTION_WIDTH, padding=CONVOLUTION_WIDTH // 2)

    def forward(self, features: SparseRows) -> Tensor:
        """Encode words (W, H), given the ids of their characters or n-grams."""
        device = next(self.parameters()).device
        if self.kind == "ngrams":
            kept = drop_values(features, self.rate) if self.training and self.rate else features
            values, offsets = torch.from_numpy(kept.values), torch.from_numpy(kept.offsets[:-1])
            return cast(Tensor, self.embedding(values.to(device), offsets.to(device)))
        if self.kind == "cnn":
            return self._convolve(torch.from_numpy(features.pad()).to(device))
        groups = group_by_length(features.lengths())
        encoded = torch.cat([self._run_lstm(features.select(rows)) for rows in groups])
        order_W = torch.from_numpy(np.argsort(np.concatenate(groups), kind="stable")).to(device)
        return encoded[order_W]

    def _convolve(self, character_WN: Tensor) -> Tensor:
        mask_WN = character_WN != special_tokens.PAD
        h_WHN = self.layer(self._embed(character_WN).transpose(1, 2)).masked_fill(~mask_WN[:, None], float("-inf"))
        return cast(Tensor, h_WHN.amax(2).relu())

    def _run_lstm(self, features: SparseRows) -> Tensor:
        """Encode words of about the same length."""
        device = next(self.parameters()).device
        length_W = torch.from_numpy(features.lengths()).to(device)
        h_WNH, _ = self.layer(self._embed(torch.from_numpy(features.pad()).to(device)), length_W)
        half = h_WNH.shape[2] // 2
        last_WH = h_WNH[torch.arange(len(h_WNH), device=device), length_W - 1, :half]
        return torch.cat([last_WH, h_WNH[:, 0, half:]], dim=1)

    def _embed(self, character_WN: Tensor) -> Tensor:
        return dropout.locked_dropout(self.embedding(character_WN), self.rate, self.training)


def group_by_length(lengths: Ids) -> list[Ids]:
    """Return the indices of words in groups of about the same length; empty groups are left out."""
    group_W = np.searchsorted(LENGTH_GROUPS, lengths)
    return [rows for group in range(len(LENGTH_GROUPS) + 1) if len(rows := np.flatnonzero(group_W == group))]


def drop_values(features: SparseRows, rate: float) -> SparseRows:
    """Return the rows without some of their values, each left out with probability `rate`."""
    kept = torch.rand(len(features.values)).numpy() >= rate
    before = np.concatenate(([0], np.cumsum(kept)))
    return SparseRows(features.values[kept], before[features.offsets])
