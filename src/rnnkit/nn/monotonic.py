"""Monotonic attention (Raffel et al. 2017, arXiv:1704.00784): a step looks on from where the step before stopped.

    e_ij = s_i . (W m_j) / sqrt(H) + r             s: decoder states, m: memory, r learnt
    p_ij = sigmoid(e_ij)                           whether step i, once it is at place j, stops there
    q_ij = (1 - p_i,j-1) q_i,j-1 + a_i-1,j         how likely it gets there
    a_ij = p_ij q_ij                               how likely it stops there: the weights
    c_i  = sum_j a_ij m_j

The paper's energy is additive; this one is a product, of all steps at once where their queries are known. Before the
first step all is at the first place. The alignment is the expected one in training and, where the paper stops for sure,
in decoding too: probabilities are exact, and both are the same function. Noise on the energies in training pushes p
towards 0 and 1.

What goes past the last place has left the source and never comes back: it lies on a place of zeros behind the end. So
the weights of a step sum to 1 at most, and the context is a mean of the memory and that zero.

The third line is a linear recurrence over places, which `scan.py` runs in log2(S) passes of sums and products of
numbers between 0 and 1; the paper's closed form divides by a product of all 1 - p, which underflows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from rnnkit.nn.scan import linear_scan

OFFSET = -1.0
"""Where r starts."""


def plain_alignments(energies_NTS: Tensor, before_NS: Tensor) -> Tensor:
    """The equations place by place and step by step: what `alignments` is held to."""
    steps, stop_NTS = [], torch.sigmoid(energies_NTS)
    for stop_NS in stop_NTS.unbind(1):
        places, passing_N = [], torch.zeros_like(before_NS[:, 0])
        for stop_N, before_N in zip(stop_NS.unbind(1), before_NS.unbind(1), strict=True):
            reached_N = passing_N + before_N
            places.append(stop_N * reached_N)
            passing_N = (1 - stop_N) * reached_N
        before_NS = torch.stack(places, dim=1)
        steps.append(before_NS)
    return torch.stack(steps, dim=1)


def alignments(energies_NTS: Tensor, before_NS: Tensor) -> Tensor:
    """The expected alignment of each step.

    Args:
        energies_NTS: Energies e; minus infinity where a step cannot stop.
        before_NS: The alignment of the step before the first.

    Returns:
        The alignments a (N, T, S), each of sum 1 at most.
    """
    stop_NTS = torch.sigmoid(energies_NTS)
    # Not 1 - stop, which has lost what is small. The first place is entered from nowhere.
    pass_NTS = nn.functional.pad(torch.sigmoid(-energies_NTS[:, :, :-1]), (1, 0))
    nowhere_N1 = torch.zeros_like(before_NS[:, :1])
    steps = []
    for stop_NS, pass_NS in zip(stop_NTS.unbind(1), pass_NTS.unbind(1), strict=True):
        reached_NS1 = linear_scan(pass_NS.unsqueeze(2), before_NS.unsqueeze(2), nowhere_N1)
        before_NS = stop_NS * reached_NS1.squeeze(2)
        steps.append(before_NS)
    return torch.stack(steps, dim=1)


class MonotonicAttention(nn.Module):
    """Energies, alignments and context.

    Args:
        size: Size H of queries and memory.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.key = nn.Linear(size, size, bias=False)
        self.offset = nn.Parameter(torch.full((1,), OFFSET))

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
            before_NS: The alignments of the step before, of one row a sentence or of B x Q rows.

        Returns:
            The contexts (B, Q, H) and the weights (B, Q, S), of sum 1 at most over S.
        """
        energies_BQS = self.energies(query_BQH, keys_BSH).masked_fill(padding_BS.unsqueeze(1), -math.inf)
        energies_NTS = energies_BQS.view(len(before_NS), -1, energies_BQS.shape[2])
        weights_BQS = alignments(energies_NTS, before_NS).view_as(energies_BQS)
        return torch.bmm(weights_BQS.to(memory_BSH.dtype), memory_BSH), weights_BQS

    def energies(self, query_BQH: Tensor, keys_BSH: Tensor) -> Tensor:
        """Energies (B, Q, S) in float32, in training with noise of deviation 1."""
        products_BQS = torch.bmm(query_BQH, keys_BSH.transpose(1, 2)).float()
        energies_BQS = products_BQS / math.sqrt(self.size) + self.offset
        return energies_BQS + torch.randn_like(energies_BQS) if self.training else energies_BQS
