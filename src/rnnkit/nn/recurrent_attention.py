"""What kinds of attention share in which a step goes on from the weights of the step before.

    e_ij = s_i . (W m_j) / sqrt(H)      s: decoder states, m: memory
    a_i  = align(e_i, s_i, a_i-1)       what a kind is: `monotonic.py`, `location.py`
    c_i  = sum_j a_ij m_j

Before the first step all is at the first place.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


def first_place(padding_BS: Tensor) -> Tensor:
    """The weights before the first step (B, S)."""
    weights_BS = torch.zeros(padding_BS.shape, device=padding_BS.device)
    weights_BS[:, 0] = 1
    return weights_BS


class RecurrentAttention(nn.Module, ABC):
    """Energies, weights and context.

    Args:
        size: Size H of queries and memory.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.key = nn.Linear(size, size, bias=False)

    def keys(self, memory_BSH: Tensor) -> Tensor:
        """What the queries are compared with (B, S, H), made once."""
        keys_BSH: Tensor = self.key(memory_BSH)
        return keys_BSH

    def forward(
        self, query_BQH: Tensor, keys_BSH: Tensor, memory_BSH: Tensor, padding_BS: Tensor, before_NS: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            query_BQH: Decoder states: Q steps of one row a sentence, or one step of Q rows.
            keys_BSH: `keys(memory_BSH)`.
            memory_BSH: Encoder states.
            padding_BS: True where the memory is padding.
            before_NS: The weights of the step before, of one row a sentence or of B x Q rows.

        Returns:
            The contexts (B, Q, H) and the weights (B, Q, S), of sum 1 at most over S.
        """
        energies_BQS = self.energies(query_BQH, keys_BSH).masked_fill(padding_BS.unsqueeze(1), -math.inf)
        energies_NTS = energies_BQS.view(len(before_NS), -1, energies_BQS.shape[2])
        query_NTH = query_BQH.reshape(*energies_NTS.shape[:2], -1)
        weights_BQS = self.align(energies_NTS, query_NTH, before_NS).view_as(energies_BQS)
        return torch.bmm(weights_BQS.to(memory_BSH.dtype), memory_BSH), weights_BQS

    def energies(self, query_BQH: Tensor, keys_BSH: Tensor) -> Tensor:
        """Energies (B, Q, S) in float32."""
        return torch.bmm(query_BQH, keys_BSH.transpose(1, 2)).float() / math.sqrt(self.size)

    @abstractmethod
    def align(self, energies_NTS: Tensor, query_NTH: Tensor, before_NS: Tensor) -> Tensor:
        """The weights of each step (N, T, S).

        Args:
            energies_NTS: Energies; minus infinity where a step cannot look.
            query_NTH: Decoder states.
            before_NS: The weights of the step before the first.
        """
