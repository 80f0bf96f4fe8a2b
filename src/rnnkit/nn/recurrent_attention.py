"""Attention that depends on the attention weights of the previous step: monotonic and location-relative.

    e_ij = s_i . (W m_j) / sqrt(H)      energies; s: decoder states, m: encoder memory
    a_i  = align(e_i, s_i, a_{i-1})     weights; `align` is what the two kinds differ in
    c_i  = sum_j a_ij m_j               context

Before the first step, all weight lies on the first position.

Monotonic attention (Raffel et al. 2017, arXiv:1704.00784) scans the memory from where the previous step stopped:

    e_ij += r                                      r: learned scalar bias
    p_ij = sigmoid(e_ij)                           probability that step i stops at position j once it is there
    q_ij = (1 - p_{i,j-1}) q_{i,j-1} + a_{i-1,j}   probability that step i reaches j
    a_ij = p_ij q_ij                               probability that step i stops at j

The energy of the paper is additive; this one is a dot product, computed for all steps at once where the queries are
known. Weights are the expected alignment in training and, unlike in the paper, which makes hard decisions there, in
decoding: probabilities are exact, and training and decoding share one function. Gaussian noise on the energies in
training pushes p towards 0 and 1. Probability mass that passes the last position has left the source and does not
come back: it lies on a zero vector behind the end, so that the weights of a step sum to at most 1. The recurrence for
q runs as a parallel scan (`scan.py`) in log2(S) passes over numbers between 0 and 1; the closed form of the paper
divides by a product of all 1 - p, which underflows.

Location-relative attention (Battenberg et al. 2020, arXiv:1910.10288) adds a dynamic convolution of the last weights:

    a_i = softmax_j(e_ij + sum_d (V s_i)_d a_{i-1,j-d})      d = -MAX_SHIFT ... MAX_SHIFT

Each decoder state predicts its own filter: stay, move by one position or two, or go back. Chorowski et al. (2015,
arXiv:1506.07503) learn filters that all states share. With content alone, the halves of a word that repeats itself
look alike, and one of them is easily skipped.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from rnnkit.nn.scan import linear_scan

INITIAL_ENERGY_BIAS = -1.0
"""Initial value of r in monotonic attention."""

MAX_SHIFT = 5
"""Largest distance, to either side, that a filter of location-relative attention covers."""


def initial_weights(padding_BS: Tensor) -> Tensor:
    """Return the weights before the first step (B, S): all on the first position."""
    weights_BS = torch.zeros(padding_BS.shape, device=padding_BS.device)
    weights_BS[:, 0] = 1
    return weights_BS


class RecurrentAttention(nn.Module, ABC):
    """Energies, weights and context; subclasses define the alignment.

    Args:
        size: Size H of queries and memory.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.key = nn.Linear(size, size, bias=False)

    def keys(self, memory_BSH: Tensor) -> Tensor:
        """Project the memory to keys (B, S, H); they depend on nothing else and are computed once."""
        keys_BSH: Tensor = self.key(memory_BSH)
        return keys_BSH

    def forward(
        self, query_BQH: Tensor, keys_BSH: Tensor, memory_BSH: Tensor, padding_BS: Tensor, previous_NS: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Attend from decoder states to the memory.

        Args:
            query_BQH: Decoder states: Q steps of one hypothesis per sentence, or one step of Q hypotheses.
            keys_BSH: `keys(memory_BSH)`.
            memory_BSH: Encoder states.
            padding_BS: True where the memory is padding.
            previous_NS: Weights of the previous step, of N = B hypotheses or of N = B x Q.

        Returns:
            Contexts (B, Q, H) and weights (B, Q, S), which sum to at most 1 over S.
        """
        energies_BQS = self.energies(query_BQH, keys_BSH).masked_fill(padding_BS.unsqueeze(1), -math.inf)
        energies_NTS = energies_BQS.view(len(previous_NS), -1, energies_BQS.shape[2])
        query_NTH = query_BQH.reshape(*energies_NTS.shape[:2], -1)
        weights_BQS = self.align(energies_NTS, query_NTH, previous_NS).view_as(energies_BQS)
        return torch.bmm(weights_BQS.to(memory_BSH.dtype), memory_BSH), weights_BQS

    def energies(self, query_BQH: Tensor, keys_BSH: Tensor) -> Tensor:
        """Compute the energies (B, Q, S) in float32."""
        return torch.bmm(query_BQH, keys_BSH.transpose(1, 2)).float() / math.sqrt(self.size)

    @abstractmethod
    def align(self, energies_NTS: Tensor, query_NTH: Tensor, previous_NS: Tensor) -> Tensor:
        """Compute the weights of each step (N, T, S).

        Args:
            energies_NTS: Energies; minus infinity at padding.
            query_NTH: Decoder states.
            previous_NS: Weights of the step before the first.
        """


class MonotonicAttention(RecurrentAttention):
    """Monotonic attention: no step attends to a position before the one where the previous step stopped.

    Args:
        size: Size H of queries and memory.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.offset = nn.Parameter(torch.full((1,), INITIAL_ENERGY_BIAS))

    def energies(self, query_BQH: Tensor, keys_BSH: Tensor) -> Tensor:
        """Compute the energies (B, Q, S) in float32; in training with Gaussian noise of standard deviation 1."""
        energies_BQS = super().energies(query_BQH, keys_BSH) + self.offset
        return energies_BQS + torch.randn_like(energies_BQS) if self.training else energies_BQS

    def align(self, energies_NTS: Tensor, query_NTH: Tensor, previous_NS: Tensor) -> Tensor:
        """Compute the expected alignment; see `RecurrentAttention.align`. The energies hold all that is needed."""
        return monotonic_alignments(energies_NTS, previous_NS)


def monotonic_alignments(energies_NTS: Tensor, previous_NS: Tensor) -> Tensor:
    """Compute the expected monotonic alignment of each step.

    Args:
        energies_NTS: Energies e; minus infinity where a step cannot stop.
        previous_NS: Alignment of the step before the first.

    Returns:
        Alignments a (N, T, S), each of which sums to at most 1.
    """
    stop_NTS = torch.sigmoid(energies_NTS)
    # sigmoid(-e), as 1 - sigmoid(e) loses small values. Nothing passes into the first position.
    pass_NTS = nn.functional.pad(torch.sigmoid(-energies_NTS[:, :, :-1]), (1, 0))
    zero_N1 = torch.zeros_like(previous_NS[:, :1])
    steps = []
    for stop_NS, pass_NS in zip(stop_NTS.unbind(1), pass_NTS.unbind(1), strict=True):
        reached_NS1 = linear_scan(pass_NS.unsqueeze(2), previous_NS.unsqueeze(2), zero_N1)
        previous_NS = stop_NS * reached_NS1.squeeze(2)
        steps.append(previous_NS)
    return torch.stack(steps, dim=1)


def reference_monotonic_alignments(energies_NTS: Tensor, previous_NS: Tensor) -> Tensor:
    """Compute `monotonic_alignments` by its equations, position by position and step by step."""
    steps, stop_NTS = [], torch.sigmoid(energies_NTS)
    for stop_NS in stop_NTS.unbind(1):
        stopped, passing_N = [], torch.zeros_like(previous_NS[:, 0])
        for stop_N, previous_N in zip(stop_NS.unbind(1), previous_NS.unbind(1), strict=True):
            reached_N = passing_N + previous_N
            stopped.append(stop_N * reached_N)
            passing_N = (1 - stop_N) * reached_N
        previous_NS = torch.stack(stopped, dim=1)
        steps.append(previous_NS)
    return torch.stack(steps, dim=1)


class LocationAttention(RecurrentAttention):
    """Location-relative attention: each state predicts a filter over the previous weights.

    Args:
        size: Size H of queries and memory.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.jump = nn.Linear(size, 2 * MAX_SHIFT + 1)

    def align(self, energies_NTS: Tensor, query_NTH: Tensor, previous_NS: Tensor) -> Tensor:
        """Compute the weights; see `RecurrentAttention.align`."""
        return location_alignments(energies_NTS, self.jump(query_NTH).float(), previous_NS)


def location_alignments(energies_NTS: Tensor, filters_NTD: Tensor, previous_NS: Tensor) -> Tensor:
    """Compute the weights of location-relative attention, step by step.

    Args:
        energies_NTS: Energies by content; minus infinity at padding.
        filters_NTD: Filter of each step: its scores for shifts of -MAX_SHIFT to MAX_SHIFT.
        previous_NS: Weights of the step before the first.

    Returns:
        Weights a (N, T, S), each of which sums to 1.
    """
    # From left to right, a window of the previous weights holds the origins of a position: the largest shift first.
    flipped_NTD1 = filters_NTD.flip(2).unsqueeze(3)
    steps = []
    for energies_NS, filter_ND1 in zip(energies_NTS.unbind(1), flipped_NTD1.unbind(1), strict=True):
        windows_NSD = nn.functional.pad(previous_NS, (MAX_SHIFT, MAX_SHIFT)).unfold(1, 2 * MAX_SHIFT + 1, 1)
        scores_NS1 = torch.baddbmm(energies_NS.unsqueeze(2), windows_NSD, filter_ND1)
        previous_NS = torch.softmax(scores_NS1.squeeze(2), dim=1)
        steps.append(previous_NS)
    return torch.stack(steps, dim=1)


def reference_location_alignments(energies_NTS: Tensor, filters_NTD: Tensor, previous_NS: Tensor) -> Tensor:
    """Compute `location_alignments` by its equation, position by position and step by step."""
    steps, positions = [], range(energies_NTS.shape[2])
    for energies_NS, filter_ND in zip(energies_NTS.unbind(1), filters_NTD.unbind(1), strict=True):
        scores = []
        for position in positions:
            origins = [origin for origin in positions if abs(position - origin) <= MAX_SHIFT]
            terms = [filter_ND[:, MAX_SHIFT + position - origin] * previous_NS[:, origin] for origin in origins]
            scores.append(energies_NS[:, position] + torch.stack(terms).sum(0))
        previous_NS = torch.softmax(torch.stack(scores, dim=1), dim=1)
        steps.append(previous_NS)
    return torch.stack(steps, dim=1)
