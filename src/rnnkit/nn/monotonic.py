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

import torch
from torch import Tensor, nn

from rnnkit.nn.recurrent_attention import RecurrentAttention
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


class MonotonicAttention(RecurrentAttention):
    """Attention that never looks back.

    Args:
        size: Size H of queries and memory.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.offset = nn.Parameter(torch.full((1,), OFFSET))

    def energies(self, query_BQH: Tensor, keys_BSH: Tensor) -> Tensor:
        """Energies (B, Q, S) in float32, in training with noise of deviation 1."""
        energies_BQS = super().energies(query_BQH, keys_BSH) + self.offset
        return energies_BQS + torch.randn_like(energies_BQS) if self.training else energies_BQS

    def align(self, energies_NTS: Tensor, query_NTH: Tensor, before_NS: Tensor) -> Tensor:
        """See `RecurrentAttention`; the queries are in the energies."""
        return alignments(energies_NTS, before_NS)
