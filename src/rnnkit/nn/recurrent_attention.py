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

from rnnkit.nn.scan import linear_scan


def initial_weights(padding_BS: Tensor) -> Tensor:
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


INITIAL_ENERGY_BIAS = -1.0
"""Where r starts."""


def reference_monotonic_alignments(energies_NTS: Tensor, before_NS: Tensor) -> Tensor:
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


def monotonic_alignments(energies_NTS: Tensor, before_NS: Tensor) -> Tensor:
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
        self.offset = nn.Parameter(torch.full((1,), INITIAL_ENERGY_BIAS))

    def energies(self, query_BQH: Tensor, keys_BSH: Tensor) -> Tensor:
        """Energies (B, Q, S) in float32, in training with noise of deviation 1."""
        energies_BQS = super().energies(query_BQH, keys_BSH) + self.offset
        return energies_BQS + torch.randn_like(energies_BQS) if self.training else energies_BQS

    def align(self, energies_NTS: Tensor, query_NTH: Tensor, before_NS: Tensor) -> Tensor:
        """See `RecurrentAttention`; the queries are in the energies."""
        return monotonic_alignments(energies_NTS, before_NS)


MAX_SHIFT = 5
"""Places that a step can ask for to either side of where the step before looked."""


def reference_location_alignments(energies_NTS: Tensor, jumps_NTJ: Tensor, before_NS: Tensor) -> Tensor:
    """The equations place by place and step by step: what `alignments` is held to."""
    steps, places = [], range(energies_NTS.shape[2])
    for energies_NS, jumps_NJ in zip(energies_NTS.unbind(1), jumps_NTJ.unbind(1), strict=True):
        wanted = []
        for place in places:
            near = [from_ for from_ in places if abs(place - from_) <= MAX_SHIFT]
            terms = [jumps_NJ[:, MAX_SHIFT + place - from_] * before_NS[:, from_] for from_ in near]
            wanted.append(energies_NS[:, place] + torch.stack(terms).sum(0))
        before_NS = torch.softmax(torch.stack(wanted, dim=1), dim=1)
        steps.append(before_NS)
    return torch.stack(steps, dim=1)


def location_alignments(energies_NTS: Tensor, jumps_NTJ: Tensor, before_NS: Tensor) -> Tensor:
    """The weights of each step.

    Args:
        energies_NTS: What each place says by itself; minus infinity where a step cannot look.
        jumps_NTJ: What each step wants of the places at distances -REACH to REACH from where the step before looked.
        before_NS: The weights of the step before the first.

    Returns:
        The weights a (N, T, S), each of sum 1.
    """
    # A window of a reads from left to right what a place is reached from: the greatest distance first.
    filters_NTJ1 = jumps_NTJ.flip(2).unsqueeze(3)
    steps = []
    for energies_NS, filter_NJ1 in zip(energies_NTS.unbind(1), filters_NTJ1.unbind(1), strict=True):
        windows_NSJ = nn.functional.pad(before_NS, (MAX_SHIFT, MAX_SHIFT)).unfold(1, 2 * MAX_SHIFT + 1, 1)
        before_NS = torch.softmax(torch.baddbmm(energies_NS.unsqueeze(2), windows_NSJ, filter_NJ1).squeeze(2), dim=1)
        steps.append(before_NS)
    return torch.stack(steps, dim=1)


class LocationAttention(RecurrentAttention):
    """Attention that asks for places relative to where the step before looked.

    Args:
        size: Size H of queries and memory.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.jump = nn.Linear(size, 2 * MAX_SHIFT + 1)

    def align(self, energies_NTS: Tensor, query_NTH: Tensor, before_NS: Tensor) -> Tensor:
        """See `RecurrentAttention`."""
        return location_alignments(energies_NTS, self.jump(query_NTH).float(), before_NS)
