"""Dropout as functions of tensors: nothing is kept in a module, nothing renamed.

    plain        x_btd * m_btd        a mask for every number             Srivastava et al. 2014
    locked       x_bt * m_b            one mask for all steps of a row        Gal and Ghahramani 2016 (arXiv:1512.05287)
    embedding    (m_w E_w) for word w  whole rows of the embedding matrix     the same
    weight drop  W * M                 single weights, once for all steps     Merity et al. 2017 (arXiv:1708.02182),
                                                                              after Wan et al. 2013 (DropConnect)

What is kept is divided by the probability of keeping it, so that expectations stay as they are; outside training, or
at rate zero, each function returns its input. Masks are drawn from torch's global generator of the tensor's device.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def locked_dropout(x_BTD: Tensor, rate: float, training: bool = True) -> Tensor:
    """Drop features, the same ones at every step of a row.

    Args:
        x_BTD: What a layer gives or takes.
        rate: Probability that a feature is dropped, from 0 to below 1.
        training: False returns `x_BTD` itself.
    """
    if not training or rate == 0:
        return x_BTD
    batch, _, size = x_BTD.shape
    return x_BTD * _mask(x_BTD, (batch, 1, size), rate)


def elementwise_dropout(x: Tensor, rate: float, training: bool = True) -> Tensor:
    """Drop single numbers; arguments as for `locked_dropout`, of any shape."""
    if not training or rate == 0:
        return x
    if x.is_cuda:
        return nn.functional.dropout(x, rate)
    # A random number of 64 bits is four of 16: fine enough, and drawn in a third of the time.
    drawn = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    kept = torch.empty_like(x)  # in the order that x has in memory
    mask = drawn.view(torch.int16)[: x.numel()] >= round(rate * 2**16) - 2**15
    kept.as_strided((x.numel(),), (1,)).copy_(mask)
    return x * kept.div_(1 - rate)


class Dropout(nn.Module):
    """`plain_dropout`, or `locked_dropout`.

    Args:
        rate: Probability that a number is dropped, from 0 to below 1.
        locked: Whether a row's steps share their mask.
    """

    def __init__(self, rate: float, locked: bool = False) -> None:
        super().__init__()
        self.rate = rate
        self.locked = locked

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Drop in training."""
        if self.locked:
            return locked_dropout(x_BTD, self.rate, self.training)
        return elementwise_dropout(x_BTD, self.rate, self.training)


def embedding_dropout(weight_VE: Tensor, ids_BT: Tensor, rate: float, training: bool = True) -> Tensor:
    """Look up words, some of which are nothing wherever they stand in the batch.

    The rows are looked up first and scaled after: the dropped matrix (V, E) never comes into being.

    Args:
        weight_VE: The embedding matrix.
        ids_BT: Ids of words, of any shape.
        rate: Probability that a word of the vocabulary is dropped, from 0 to below 1.
        training: False looks up without dropping.

    Returns:
        The vectors: the shape of `ids_BT` and E.
    """
    x_BTE = nn.functional.embedding(ids_BT, weight_VE)
    if not training or rate == 0:
        return x_BTE
    return x_BTE * _mask(weight_VE, (len(weight_VE),), rate)[ids_BT].unsqueeze(-1)


def weight_drop(weight: Tensor, rate: float, training: bool = True) -> Tensor:
    """A weight matrix with single weights dropped, for `RecurrentLayer.forward(..., hidden_weight=...)`.

    The raw weight stays what it is, in the module and in its state dict, and gets the gradient.

    Args:
        weight: Of any shape.
        rate: Probability that a weight is dropped, from 0 to below 1.
        training: False returns `weight` itself.
    """
    if not training or rate == 0:
        return weight
    return weight * _mask(weight, tuple(weight.shape), rate)


def _mask(like: Tensor, shape: tuple[int, ...], rate: float) -> Tensor:
    """Zeros with probability `rate`, elsewhere 1 / (1 - rate)."""
    # Uniform numbers, compared, cost a quarter of torch's bernoulli_ on CPUs; bfloat16 has too few of them.
    kept = torch.rand(shape, device=like.device) >= rate
    return kept.to(like.dtype).div_(1 - rate)
