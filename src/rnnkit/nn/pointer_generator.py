"""Pointer-generator network, a copy mechanism: generate a token, or copy one from the source.

    g    = sigmoid(w . r + b)                            probability of generating; r: decoder readout
    c(v) = sum of a_s over positions s with source_s = v    copy distribution; a: attention over the source
    p(v) = g softmax(logits)_v + (1 - g) c(v)            (See et al. 2017, arXiv:1704.04368)

If attention leaves a mass u = 1 - sum_s a_s, as monotonic attention does, that share of copying is generated instead:
g + (1 - g) u replaces g in the first term, so that the probabilities sum to one.

Out-of-vocabulary tokens are copied too. In decoding, the OOV tokens x_1 ... x_X of a sentence have temporary ids after
those of the vocabulary (the extended vocabulary), and the generation probability of <unk> is split between them and
<unk> itself:

    s(x_j) = softmax_unk c(x_j)        s(unk) = softmax_unk (1 - sum_j c(x_j))
    p(v)   = g s(v) + (1 - g) c(v)

A generated <unk> thus stands for the token that attention points to if that token is OOV; the share of attention on
known tokens stays with <unk>. All probabilities sum to one, and those of <unk> and the OOV tokens to the probability
that the model was trained to give to <unk> alone.

Source and target share a vocabulary, so that an id means the same token on both sides. With label smoothing e, the
uniform term covers generation only: (1 - e) (-log p(target)) + e mean_v (-log softmax_v).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rnnkit.text import special_tokens

MIN_PROBABILITY = 1e-30
"""Lower bound of probabilities, so that the logarithm of a probability of 0 is finite."""


def copy_distribution(weights_BTS: Tensor, source_BS: Tensor, size: int) -> Tensor:
    """Compute the copy distribution c over a vocabulary of `size` ids (B, T, V).

    Args:
        weights_BTS: Attention over the source.
        source_BS: Ids of the source tokens.
        size: Size of the vocabulary, extended or not.
    """
    shape = (*weights_BTS.shape[:2], size)
    index_BTS = source_BS.unsqueeze(1).expand_as(weights_BTS)
    return weights_BTS.new_zeros(shape).scatter_add(2, index_BTS, weights_BTS)


def split_unknown(log_p_BTV: Tensor, copy_BTX: Tensor) -> Tensor:
    """Split the probability of <unk> between a sentence's OOV tokens and <unk>.

    Args:
        log_p_BTV: Log-probabilities of generating the tokens of the vocabulary.
        copy_BTX: Copy distribution c of the OOV tokens.

    Returns:
        Log-probabilities s over the extended vocabulary (B, T, V + X).
    """
    unknown_BT1 = log_p_BTV[..., special_tokens.UNK : special_tokens.UNK + 1]
    rest_BT1 = unknown_BT1 + (1 - copy_BTX.sum(-1, keepdim=True)).clamp_min(MIN_PROBABILITY).log()
    oov_BTX = unknown_BT1 + copy_BTX.clamp_min(MIN_PROBABILITY).log()
    before, after = log_p_BTV[..., : special_tokens.UNK], log_p_BTV[..., special_tokens.UNK + 1 :]
    return torch.cat([before, rest_BT1, after, oov_BTX], dim=-1)


def copy_probability(weights_BTS: Tensor, source_BS: Tensor, target_BT: Tensor) -> Tensor:
    """Compute c of one token per position (B, T) without the rest of the distribution."""
    same_BTS = source_BS.unsqueeze(1) == target_BT.unsqueeze(2)
    return (weights_BTS * same_BTS).sum(-1)


def unattended_mass(weights_BTS: Tensor) -> Tensor:
    """Compute u, the attention mass on no source position (B, T, 1)."""
    return 1 - weights_BTS.sum(-1, keepdim=True)


def mixture_log_prob(log_p: Tensor, copy: Tensor, gate: Tensor, unattended: Tensor | None = None) -> Tensor:
    """Compute the log-probability of the mixture of generating and copying.

    Args:
        log_p: Log-probabilities of generating.
        copy: Probabilities of copying, of the same shape.
        gate: Logit w . r + b of the generation probability; any shape that broadcasts to `log_p`.
        unattended: u, in the shape of `gate`; zero by default.
    """
    generating, copying = functional.logsigmoid(gate), functional.logsigmoid(-gate)
    if unattended is not None:
        generating = torch.logaddexp(generating, copying + unattended.clamp_min(MIN_PROBABILITY).log())
    return torch.logaddexp(generating + log_p, copying + copy.clamp_min(MIN_PROBABILITY).log())


def mixture_loss(
    logits_NV: Tensor,
    target_N: Tensor,
    copy_N: Tensor,
    gate_N: Tensor,
    smoothing: float,
    unattended_N: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Compute the loss of the mixture.

    Args:
        logits_NV: Logits of generating.
        target_N: Ids of the target tokens.
        copy_N: Their `copy_probability`.
        gate_N: As for `mixture_log_prob`.
        smoothing: Label smoothing e.
        unattended_N: As for `mixture_log_prob`.

    Returns:
        The loss to optimize and the negative log-likelihood (detached), both in nats, summed over rows.
    """
    log_p_NV = torch.log_softmax(logits_NV.float(), dim=-1)
    log_p_N = log_p_NV.gather(1, target_N.unsqueeze(1)).squeeze(1)
    nll = -mixture_log_prob(log_p_N, copy_N.float(), gate_N.float(), unattended_N).sum()
    return (1 - smoothing) * nll - smoothing * log_p_NV.mean(-1).sum(), nll.detach()
