"""Attention of decoder states over the encoder's memory, and the loss that guides it.

    context = sum_s softmax_s(score(query, memory_s)) memory_s          padding has a score of minus infinity

    dot       q . m / sqrt(H)             Vaswani et al. 2017 (arXiv:1706.03762)
    general   q . (W m)                   Luong et al. 2015 (arXiv:1508.04025)
    additive  v . tanh(W q + U m)         Bahdanau et al. 2015 (arXiv:1409.0473)

In decoding, where each sentence has a few queries, a compiled kernel computes dot and general attention.

Recurrent attention depends on the attention weights of the previous step:

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
q runs as a parallel scan (`mingru.linear_scan`) in log2(S) passes over numbers between 0 and 1; the closed form of the
paper divides by a product of all 1 - p, which underflows.

Location-relative attention (Battenberg et al. 2020, arXiv:1910.10288) adds a dynamic convolution of the last weights:

    a_i = softmax_j(e_ij + sum_d (V s_i)_d a_{i-1,j-d})      d = -MAX_SHIFT ... MAX_SHIFT

Each decoder state predicts its own filter: stay, move by one position or two, or go back. Chorowski et al. (2015,
arXiv:1506.07503) learn filters that all states share. With content alone, the halves of a word that repeats itself
look alike, and one of them is easily skipped.

Guided attention pulls attention towards word-alignment links (Chen et al. 2016, arXiv:1607.01628):

    G_ts = 1 / n_t if target token t is linked to source token s, else 0        n_t: number of links of t
    loss = - sum_t sum_s G_ts log a_ts                                          a: attention; t over linked tokens

A token with n links costs at least log n, the cost of attention shared equally among them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rnnkit.kernels.dispatch import inference_kernels_apply
from rnnkit.nn import kinds
from rnnkit.nn.mingru import linear_scan

MAX_KERNEL_QUERIES = 16
"""Largest number of queries per sentence for which the kernel is used; torch's batched products are faster for more."""

INITIAL_ENERGY_BIAS = -1.0
"""Initial value of r in monotonic attention."""

MAX_SHIFT = 5
"""Largest distance, to either side, that a filter of location-relative attention covers."""

MIN_WEIGHT = 1e-30
"""Lower bound of attention weights, so that the logarithm of an attention weight of 0 is finite."""


class CrossAttention(nn.Module):
    """Attention over the encoder's memory with one kind of score.

    Args:
        kind: `dot`, `general` or `additive`.
        size: Size H of queries and memory.
    """

    def __init__(self, kind: kinds.Attention, size: int) -> None:
        super().__init__()
        self.kind = kind
        self.size = size
        if kind in ("general", "additive"):
            self.key = nn.Linear(size, size, bias=False)
        if kind == "additive":
            self.query = nn.Linear(size, size)
            self.score = nn.Linear(size, 1, bias=False)

    def keys(self, memory_BSH: Tensor) -> Tensor:
        """Project the memory to keys (B, S, H); they depend on nothing else and are computed once."""
        return memory_BSH if self.kind == "dot" else self.key(memory_BSH)

    def forward(
        self, query_BTH: Tensor, keys_BSH: Tensor, values_BSR: Tensor, padding_BS: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Attend from decoder states to the memory.

        Args:
            query_BTH: Decoder states.
            keys_BSH: `keys(memory_BSH)`.
            values_BSR: Vectors that the contexts are averages of: the memory, or a projection of it.
            padding_BS: Padding mask: True where the memory is padding.

        Returns:
            Contexts (B, T, R) and weights (B, T, S), which sum to 1 over S.
        """
        inputs = (query_BTH, keys_BSH, values_BSR)
        if self.kind != "additive" and query_BTH.shape[1] <= MAX_KERNEL_QUERIES and inference_kernels_apply(*inputs):
            return self._run_kernel(*inputs, padding_BS)
        return self.reference(*inputs, padding_BS)

    def reference(
        self, query_BTH: Tensor, keys_BSH: Tensor, values_BSR: Tensor, padding_BS: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compute `forward` by its equations."""
        scores_BTS = self.scores(query_BTH, keys_BSH).masked_fill(padding_BS.unsqueeze(1), -math.inf)
        weights_BTS = torch.softmax(scores_BTS, dim=-1)
        return torch.bmm(weights_BTS.to(values_BSR.dtype), values_BSR), weights_BTS

    def scores(self, query_BTH: Tensor, keys_BSH: Tensor) -> Tensor:
        """Compute the scores (B, T, S), before mask and softmax."""
        if self.kind == "additive":
            sums_BTSH = self.query(query_BTH).unsqueeze(2) + keys_BSH.unsqueeze(1)
            additive_BTS: Tensor = self.score(torch.tanh(sums_BTSH)).squeeze(-1)
            return additive_BTS
        scores_BTS = torch.bmm(query_BTH, keys_BSH.transpose(1, 2))
        return scores_BTS / math.sqrt(self.size) if self.kind == "dot" else scores_BTS

    def _run_kernel(
        self, query_BTH: Tensor, keys_BSH: Tensor, values_BSR: Tensor, padding_BS: Tensor
    ) -> tuple[Tensor, Tensor]:
        from rnnkit.kernels import (
            decoder_step,
            threads,  # these import Numba
        )

        (batch, queries, size), (positions, value_size) = query_BTH.shape, values_BSR.shape[1:]
        weights_BTS = query_BTH.new_empty(batch, queries, positions)
        context_BTR = query_BTH.new_empty(batch, queries, value_size)
        scale = torch.tensor([1 / math.sqrt(size) if self.kind == "dot" else 1.0])
        inputs = [part.contiguous() for part in (query_BTH, keys_BSH, values_BSR)]
        tensors = [scale, (~padding_BS).sum(1), *inputs, weights_BTS, context_BTR]
        threads.parallel_for(decoder_step.attend, [queries, positions, size, value_size, *tensors], batch)
        return context_BTR, weights_BTS


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


@dataclass(frozen=True)
class AlignmentLinks:
    """Alignment links of a batch of sentence pairs.

    Attributes:
        row_L: Row of each link's sentence pair in the batch.
        target_L: Position of its target token.
        source_L: Position of its source token.
        weight_L: G: one over the number of links of the target token.
        tokens: Number of target tokens with links.
    """

    row_L: Tensor
    target_L: Tensor
    source_L: Tensor
    weight_L: Tensor
    tokens: int


def reference_guided_attention_loss(weights_BTS: Tensor, linked_BTS: Tensor) -> Tensor:
    """Compute the loss by its equation.

    Args:
        weights_BTS: Attention weights; row t belongs to the step that predicts target token t.
        linked_BTS: True where two tokens are linked.

    Returns:
        Loss in nats, summed over the target tokens with links.
    """
    links_BT1 = linked_BTS.sum(-1, keepdim=True)
    target_BTS = linked_BTS / links_BT1.clamp_min(1)
    return -(target_BTS * weights_BTS.float().clamp_min(MIN_WEIGHT).log()).sum()


def guided_attention_loss(weights_BTS: Tensor, links: AlignmentLinks) -> Tensor:
    """Compute `reference_guided_attention_loss`, reading the attention at the links only."""
    attention_L = weights_BTS[links.row_L, links.target_L, links.source_L].float()
    return -(links.weight_L * attention_L.clamp_min(MIN_WEIGHT).log()).sum()
