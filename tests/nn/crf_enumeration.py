"""Linear-chain CRFs by definition: every label sequence is enumerated and scored."""

from __future__ import annotations

import math
from itertools import product

import torch
from torch import Tensor

from rnnkit.nn.crf import ChainMask, LinearChainCRF


def make_crf(labels: int, seed: int, spread: float = 1.0, forbidden: float = 0.0) -> LinearChainCRF:
    """Return a CRF with random scores, and a mask that forbids each thing with a probability."""
    generator = torch.Generator().manual_seed(seed)
    shapes = (labels,), (labels,), (labels, labels)
    crf = LinearChainCRF(labels, ChainMask(*(torch.rand(shape, generator=generator) >= forbidden for shape in shapes)))
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter, std=spread, generator=generator)
    return crf


def make_batch(lengths: list[int], labels: int, seed: int, spread: float = 2.0) -> tuple[Tensor, Tensor, Tensor]:
    """Return emissions with NaN in the padding, lengths, and gold labels with -100 in the padding."""
    generator = torch.Generator().manual_seed(seed)
    lengths_B, steps = torch.tensor(lengths), max(lengths)
    is_padding_BT = torch.arange(steps) >= lengths_B.unsqueeze(1)
    scores_BTC = spread * torch.randn(len(lengths), steps, labels, generator=generator)
    labels_BT = torch.randint(labels, (len(lengths), steps), generator=generator)
    return (
        scores_BTC.masked_fill(is_padding_BT.unsqueeze(2), math.nan),
        lengths_B,
        labels_BT.masked_fill(is_padding_BT, -100),
    )


def score_sequences(crf: LinearChainCRF, scores_TC: Tensor) -> tuple[Tensor, Tensor]:
    """Return every allowed label sequence (N, T) for emissions without padding, best first, and its score (N,)."""
    chain, (steps, labels) = crf.chain_scores(), scores_TC.shape
    y_NT = torch.tensor(list(product(range(labels), repeat=steps)), dtype=torch.int64).view(labels**steps, steps)
    score_N = scores_TC[torch.arange(steps), y_NT].sum(1)
    if steps:
        score_N = score_N + chain.start_C[y_NT[:, 0]] + chain.end_C[y_NT[:, -1]]
        score_N = score_N + chain.transition_CC[y_NT[:, :-1], y_NT[:, 1:]].sum(1)
    order_N = score_N.detach().argsort(descending=True, stable=True)[: (score_N > -math.inf).sum()]
    return y_NT[order_N], score_N[order_N]


def weighted_nll(y_NT: Tensor, score_N: Tensor, gold_T: Tensor, weights: list[float]) -> Tensor:
    """Return the sum of -w log p(y_t | y_1 .. y_t-1); the definition does not assume that the labels are a chain."""
    is_match_N = torch.ones_like(score_N, dtype=torch.bool)
    total = score_N.new_zeros((), requires_grad=True)
    if not (y_NT == gold_T).all(1).any():
        return total + math.inf
    for t, label in enumerate(gold_T.tolist()):
        is_longer_N = is_match_N & (y_NT[:, t] == label)
        total = total + weights[label] * (score_N[is_match_N].logsumexp(0) - score_N[is_longer_N].logsumexp(0))
        is_match_N = is_longer_N
    return total


def marginals(y_NT: Tensor, score_N: Tensor, labels: int) -> Tensor:
    """Return the probability of each label at each position; zeros if no sequence is allowed."""
    return torch.nn.functional.one_hot(y_NT, labels).mul(score_N.softmax(0).view(-1, 1, 1)).sum(0)
