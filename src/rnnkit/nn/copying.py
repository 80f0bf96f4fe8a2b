"""A pointer-generator: tokens are generated, or copied from the source (See et al. 2017, arXiv:1704.04368).

    g    = sigmoid(w . r + b)                          how much is generated
    c(v) = sum of a_s over the places s with source_s = v      a: attention over the source
    p(v) = g softmax(logits)_v + (1 - g) c(v)

Where attention leaves over u = 1 - sum_s a_s, as monotonic attention does, that much of the copying is generated too,
so that the probabilities sum to one: g + (1 - g) u stands for g in the first term.

Tokens that the vocabulary lacks are copied as well. In decoding a sentence's own unknown tokens x_1 ... x_X have ids of
their own behind the vocabulary's, and the unknown symbol's part is split between them and itself:

    s(x_j) = softmax_unk c(x_j)        s(unk) = softmax_unk (1 - sum_j c(x_j))
    p(v)   = g s(v) + (1 - g) c(v)

What is generated as unknown stands for the token that attention points to, as far as the vocabulary lacks that token;
what attention gives to a known token remains the unknown symbol's. All probabilities sum to one, and those of the own
tokens and the unknown symbol to what the model was trained to give the unknown symbol alone.

Source and target share their vocabulary, so that an id means the same on both sides. Of the loss, with label smoothing
e, the smoothed part concerns what is generated: (1 - e) (-log p(target)) + e mean_v (-log softmax_v).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rnnkit.text import special_tokens

TINY = 1e-30
"""In place of a probability of nothing, whose logarithm would be no number."""


def copied(weights_BTS: Tensor, source_BS: Tensor, size: int) -> Tensor:
    """c: what each token of the vocabulary gets from the places where the source has it (B, T, V)."""
    shape = (*weights_BTS.shape[:2], size)
    index_BTS = source_BS.unsqueeze(1).expand_as(weights_BTS)
    return weights_BTS.new_zeros(shape).scatter_add(2, index_BTS, weights_BTS)


def share_unknown(log_p_BTV: Tensor, share_BTX: Tensor) -> Tensor:
    """Log-probabilities s of generating, over the vocabulary and a sentence's own tokens behind it (B, T, V + X).

    Args:
        log_p_BTV: Log-probabilities of generating the tokens of the vocabulary.
        share_BTX: What the own tokens get from the places where the source has them.
    """
    unknown_BT1 = log_p_BTV[..., special_tokens.UNK : special_tokens.UNK + 1]
    rest_BT1 = unknown_BT1 + (1 - share_BTX.sum(-1, keepdim=True)).clamp_min(TINY).log()
    own_BTX = unknown_BT1 + share_BTX.clamp_min(TINY).log()
    before, behind = log_p_BTV[..., : special_tokens.UNK], log_p_BTV[..., special_tokens.UNK + 1 :]
    return torch.cat([before, rest_BT1, behind, own_BTX], dim=-1)


def copied_targets(weights_BTS: Tensor, source_BS: Tensor, target_BT: Tensor) -> Tensor:
    """The share c of one token a position (B, T), without all the others."""
    same_BTS = source_BS.unsqueeze(1) == target_BT.unsqueeze(2)
    return (weights_BTS * same_BTS).sum(-1)


def left_over(weights_BTS: Tensor) -> Tensor:
    """u: what attention has given to no place of the source (B, T, 1)."""
    return 1 - weights_BTS.sum(-1, keepdim=True)


def mix(log_p: Tensor, share: Tensor, gate: Tensor, left: Tensor | None = None) -> Tensor:
    """The log-probability of the mixture.

    Args:
        log_p: Log-probabilities of generating.
        share: Probabilities of copying, of the same shape.
        gate: w . r + b, of a shape that can be expanded to it.
        left: u, of the gate's shape; none unless given.
    """
    generated, copying = functional.logsigmoid(gate), functional.logsigmoid(-gate)
    if left is not None:
        generated = torch.logaddexp(generated, copying + left.clamp_min(TINY).log())
    return torch.logaddexp(generated + log_p, copying + share.clamp_min(TINY).log())


def mixture_loss(
    logits_NV: Tensor,
    target_N: Tensor,
    share_N: Tensor,
    gate_N: Tensor,
    smoothing: float,
    left_N: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The loss as `nn.losses` returns it: to optimise, and the negative log-likelihood, in nats, summed over rows.

    Args:
        logits_NV: Of generating.
        target_N: Ids of the right tokens.
        share_N: Their `copied_targets`.
        gate_N: As for `mix`.
        smoothing: Label smoothing e.
        left_N: As for `mix`.
    """
    log_p_NV = torch.log_softmax(logits_NV.float(), dim=-1)
    log_p_N = log_p_NV.gather(1, target_N.unsqueeze(1)).squeeze(1)
    nll = -mix(log_p_N, share_N.float(), gate_N.float(), left_N).sum()
    return (1 - smoothing) * nll - smoothing * log_p_NV.mean(-1).sum(), nll.detach()
