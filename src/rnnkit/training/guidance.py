"""What teaches attention: links between the words of the training part, batch by batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from rnnkit.alignment.links import Links
from rnnkit.nn.guided_attention import AlignmentLinks

_BITS = 20
"""Of a place in a sentence, as in `Links.keys`; attention over more of them fits into no memory."""


@dataclass(frozen=True)
class Guidance:
    """Links, and how much they matter.

    Attributes:
        links: Of every sentence pair of the training part, in its order.
        weight: What a nat of a linked token's attention counts beside a nat of a target token.
    """

    links: Links
    weight: float

    def linked(self, batch: NDArray[np.int64], device: torch.device) -> AlignmentLinks:
        """The links of the pairs of these numbers; one that is there twice counts once.

        Args:
            batch: Numbers of sentence pairs, in the order in which they are put together.
            device: Where the network is.
        """
        row_L, source_L, target_L = self.links.select(batch)
        key_L = np.unique((row_L << 2 * _BITS) | (target_L.astype(np.int64) << _BITS) | source_L)
        token_U, token_L, count_U = np.unique(key_L >> _BITS, return_inverse=True, return_counts=True)
        row_L, place_L = key_L >> 2 * _BITS, key_L % (1 << 2 * _BITS)
        share_L = (1 / count_U)[token_L].astype(np.float32)
        parts = (row_L, place_L >> _BITS, place_L % (1 << _BITS), share_L)
        row, target, source, share = (torch.from_numpy(part).to(device) for part in parts)
        return AlignmentLinks(row, target, source, share, len(token_U))
