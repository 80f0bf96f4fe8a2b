"""Linear-chain conditional random field (CRF) by its equations: reference of `crf_autograd.py`, and its path on GPUs.

    score(y) = start(y_1) + sum_t scores_t(y_t) + sum_t transition(y_t-1, y_t) + end(y_n)
    b_n(j)   = end(j)          b_t(j) = log sum_k exp(transition(j, k) + scores_t+1(k) + b_t+1(k))
    a_1(k)   = start(k) + scores_1(k)         a_t(k) = scores_t(k) + log sum_j exp(a_t-1(j) + transition(j, k))
    log Z    = log sum_k exp(a_1(k) + b_1(k))
    p(y_t = k) = exp(a_t(k) + b_t(k) - log Z)

Given the text, the labels are a Markov chain, so that the loss is a sum over tokens:

    -log p(y) = sum_t -log p(y_t | y_t-1)
    p(y_t | y_t-1) = exp(transition(y_t-1, y_t) + scores_t(y_t) + b_t(y_t) - b_t-1(y_t-1)),    b_0 = log Z

What is forbidden has the score -inf. A sum over nothing but -inf is -inf, and its gradient zero rather than NaN.

Letters: C labels, K best sequences.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class ChainScores(NamedTuple):
    """Scores of a chain; -inf where forbidden.

    Attributes:
        start_C: Score of each label as the first one.
        end_C: Score of each label as the last one.
        transition_CC: Score of label k after label j, in row j and column k.
    """

    start_C: Tensor
    end_C: Tensor
    transition_CC: Tensor


def logsumexp(scores: Tensor, dim: int) -> Tensor:
    """Compute log sum exp along a dimension; with -inf alone the result is -inf and the gradient zero."""
    top = scores.detach().amax(dim, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)
    total = (scores - top).exp().sum(dim)
    is_empty = total == 0
    return total.masked_fill(is_empty, 1).log().add(top.squeeze(dim)).masked_fill(is_empty, -torch.inf)


def backward_scores(chain: ChainScores, scores_BTC: Tensor, lengths_B: Tensor) -> Tensor:
    """Compute b, (B, T, C); in the padding it is the score of the end."""
    rows = [chain.end_C.expand_as(scores_BTC[:, 0])]
    for t in range(scores_BTC.shape[1] - 1, 0, -1):
        after_BC = scores_BTC[:, t] + rows[-1]
        b_BC = logsumexp(chain.transition_CC + after_BC.unsqueeze(1), dim=2)
        rows.append(torch.where((t < lengths_B).unsqueeze(1), b_BC, chain.end_C))
    return torch.stack(rows[::-1], dim=1)


def forward_scores(chain: ChainScores, scores_BTC: Tensor) -> Tensor:
    """Compute a, (B, T, C); the padding is meaningless."""
    rows = [chain.start_C + scores_BTC[:, 0]]
    for t in range(1, scores_BTC.shape[1]):
        rows.append(scores_BTC[:, t] + logsumexp(rows[-1].unsqueeze(2) + chain.transition_CC, dim=1))
    return torch.stack(rows, dim=1)


def log_partition(chain: ChainScores, scores_BTC: Tensor, lengths_B: Tensor) -> Tensor:
    """Compute log Z, (B,): -inf if no sequence is allowed, 0 without labels."""
    scores_BTC = _without_padding(scores_BTC, lengths_B)
    b_BTC = backward_scores(chain, scores_BTC, lengths_B)
    return _log_z(chain, scores_BTC, b_BTC).masked_fill(lengths_B == 0, 0)


def marginals(chain: ChainScores, scores_BTC: Tensor, lengths_B: Tensor) -> Tensor:
    """Compute the probability of each label at each position, (B, T, C): zero in the padding."""
    scores_BTC = _without_padding(scores_BTC, lengths_B)
    b_BTC = backward_scores(chain, scores_BTC, lengths_B)
    log_z_B = _log_z(chain, scores_BTC, b_BTC).clamp(min=torch.finfo(scores_BTC.dtype).min)
    joint_BTC = forward_scores(chain, scores_BTC) + b_BTC
    return _without_padding((joint_BTC - log_z_B.view(-1, 1, 1)).exp(), lengths_B)


def weighted_nll(
    chain: ChainScores, scores_BTC: Tensor, lengths_B: Tensor, labels_BT: Tensor, label_weights_C: Tensor
) -> Tensor:
    """Compute the sum of -w log p(y_t | y_t-1) of each sentence, (B,), with the weight w of label y_t.

    With weights of 1 this is -log p(y). If the gold labels are forbidden, it is inf and its gradient zero.
    """
    scores_BTC = _without_padding(scores_BTC, lengths_B)
    is_label_BT = positions(scores_BTC) < lengths_B.unsqueeze(1)
    labels_BT = labels_BT.masked_fill(~is_label_BT, 0)
    b_BTC = backward_scores(chain, scores_BTC, lengths_B)
    after_BT, factor_BT = (x_BTC.gather(2, labels_BT.unsqueeze(2)).squeeze(2) for x_BTC in (b_BTC, scores_BTC))
    into_BT = torch.cat([chain.start_C[labels_BT[:, :1]], chain.transition_CC[labels_BT[:, :-1], labels_BT[:, 1:]]], 1)
    before_BT = torch.cat([_log_z(chain, scores_BTC, b_BTC).unsqueeze(1), after_BT[:, :-1]], dim=1)
    is_possible_B = ((into_BT + factor_BT + after_BT != -torch.inf) | ~is_label_BT).all(1)
    is_counted_BT = is_label_BT & is_possible_B.unsqueeze(1)
    before_BT, into_BT, factor_BT, after_BT = (
        torch.where(is_counted_BT, x_BT, 0) for x_BT in (before_BT, into_BT, factor_BT, after_BT)
    )
    nll_BT = before_BT - into_BT - factor_BT - after_BT
    return (label_weights_C[labels_BT] * nll_BT).sum(1).masked_fill(~is_possible_B, torch.inf)


def k_best(chain: ChainScores, scores_BTC: Tensor, lengths_B: Tensor, best: int) -> tuple[Tensor, Tensor]:
    """Find the label sequences with the highest scores.

    Returns:
        The sequences (B, K, T), best first, 0 in the padding, and their scores (B, K) in float64, -inf for none.
    """
    chain = ChainScores(*(part.double() for part in chain))
    scores_BTC = scores_BTC.double()
    batch, steps, labels = scores_BTC.shape
    prefix_BCK = scores_BTC.new_full((batch, labels, best), -torch.inf)
    prefix_BCK[:, :, 0] = chain.start_C + scores_BTC[:, 0]
    same_CK = torch.arange(labels * best, device=scores_BTC.device).view(labels, best)
    pointers = []
    for t in range(1, steps):
        longer_BNC = (prefix_BCK.unsqueeze(3) + chain.transition_CC.unsqueeze(1)).flatten(1, 2)
        top_BKC, pointer_BKC = longer_BNC.topk(best, dim=1)
        is_label_B11 = (t < lengths_B).view(-1, 1, 1)
        longer_BCK = top_BKC.transpose(1, 2) + scores_BTC[:, t].unsqueeze(2)
        prefix_BCK = torch.where(is_label_B11, longer_BCK, prefix_BCK)
        pointers.append(torch.where(is_label_B11, pointer_BKC.transpose(1, 2), same_CK))
    total_BK, pointer_BK = (prefix_BCK + chain.end_C.unsqueeze(1)).flatten(1).topk(best, dim=1)
    sequence = [pointer_BK // best]
    for pointer_BCK in reversed(pointers):
        pointer_BK = pointer_BCK.flatten(1).gather(1, pointer_BK)
        sequence.append(pointer_BK // best)
    is_empty_B1 = (lengths_B == 0).unsqueeze(1)
    only_first_K = torch.zeros(best, device=scores_BTC.device, dtype=total_BK.dtype)
    only_first_K[1:] = -torch.inf
    total_BK = torch.where(is_empty_B1, only_first_K, total_BK)
    is_label_BKT = (positions(scores_BTC) < lengths_B.unsqueeze(1)).unsqueeze(1) & (total_BK > -torch.inf).unsqueeze(2)
    return torch.stack(sequence[::-1], dim=2).masked_fill(~is_label_BKT, 0), total_BK


def positions(scores_BTC: Tensor) -> Tensor:
    """Return the positions 0 .. T - 1, (T,)."""
    return torch.arange(scores_BTC.shape[1], device=scores_BTC.device)


def _without_padding(scores_BTC: Tensor, lengths_B: Tensor) -> Tensor:
    """Return scores with zeros in the padding."""
    is_padding_BT = positions(scores_BTC) >= lengths_B.unsqueeze(1)
    return scores_BTC.masked_fill(is_padding_BT.unsqueeze(2), 0)


def _log_z(chain: ChainScores, scores_BTC: Tensor, b_BTC: Tensor) -> Tensor:
    return logsumexp(chain.start_C + scores_BTC[:, 0] + b_BTC[:, 0], dim=1)
