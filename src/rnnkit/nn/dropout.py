"""Dropout: elementwise, locked (variational), embedding dropout, and DropConnect on weights.

    elementwise  x_btd * m_btd         one mask value per element              Srivastava et al. 2014
    locked       x_btd * m_bd          one mask for all time steps of a row    Gal and Ghahramani 2016 (1512.05287)
    embedding    (m_w E_w) for word w  whole rows of the embedding matrix      the same
    DropConnect  W * M                 single weights, one mask for all steps  Merity et al. 2017 (1708.02182),
                                                                               after Wan et al. 2013

Numbers in parentheses are arXiv papers. All are functions of tensors; modules and their parameters stay unchanged.
Kept values are divided by the probability of keeping them, which preserves expectations. Outside training, or at rate
0, each function returns its input. Masks come from torch's global random generator of the tensor's device.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def locked_dropout(x_BTD: Tensor, rate: float, training: bool = True) -> Tensor:
    """Drop features, the same ones at every time step of a row.

    Args:
        x_BTD: Input or output of a layer.
        rate: Probability that a feature is dropped, from 0 to below 1.
        training: If false, return `x_BTD` itself.
    """
    if not training or rate == 0:
        return x_BTD
    batch, _, size = x_BTD.shape
    return x_BTD * _mask(x_BTD, (batch, 1, size), rate)


def elementwise_dropout(x: Tensor, rate: float, training: bool = True) -> Tensor:
    """Drop single elements of a tensor of any shape; arguments as for `locked_dropout`."""
    if not training or rate == 0:
        return x
    if x.is_cuda:
        return nn.functional.dropout(x, rate)
    # One 64-bit random number serves four elements of 16 bits: precise enough, and drawn in a third of the time.
    drawn = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    kept = torch.empty_like(x)  # in the memory order of x
    mask = drawn.view(torch.int16)[: x.numel()] >= round(rate * 2**16) - 2**15
    kept.as_strided((x.numel(),), (1,)).copy_(mask)
    return x * kept.div_(1 - rate)


class Dropout(nn.Module):
    """`elementwise_dropout` or `locked_dropout` as a module.

    Args:
        rate: Probability that an element is dropped, from 0 to below 1.
        locked: Share the mask among the time steps of a row.
    """

    def __init__(self, rate: float, locked: bool = False) -> None:
        super().__init__()
        self.rate = rate
        self.locked = locked

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Apply dropout in training."""
        if self.locked:
            return locked_dropout(x_BTD, self.rate, self.training)
        return elementwise_dropout(x_BTD, self.rate, self.training)


def embedding_dropout(
    weight_VE: Tensor, ids_BT: Tensor, rate: float, training: bool = True, sparse: bool = False
) -> Tensor:
    """Look up embeddings with embedding dropout: a dropped word is zero wherever it occurs in the batch.

    The rows are looked up first and scaled afterwards, so that the dropped matrix (V, E) is never materialized.

    Args:
        weight_VE: Embedding matrix.
        ids_BT: Ids, of any shape.
        rate: Probability that a word of the vocabulary is dropped, from 0 to below 1.
        training: If false, look up without dropping.
        sparse: Whether the gradient of the matrix is sparse.

    Returns:
        Embeddings, in the shape of `ids_BT` followed by E.
    """
    x_BTE = nn.functional.embedding(ids_BT, weight_VE, sparse=sparse)
    if not training or rate == 0:
        return x_BTE
    return x_BTE * _mask(weight_VE, (len(weight_VE),), rate)[ids_BT].unsqueeze(-1)


def weight_drop(weight: Tensor, rate: float, training: bool = True) -> Tensor:
    """Apply DropConnect to a weight matrix, for `RecurrentLayer.forward(..., hidden_weight=...)`.

    The raw weight remains unchanged in its module and state dict, and receives the gradient.

    Args:
        weight: Weights, of any shape.
        rate: Probability that a weight is dropped, from 0 to below 1.
        training: If false, return `weight` itself.
    """
    if not training or rate == 0:
        return weight
    return weight * _mask(weight, tuple(weight.shape), rate)


def _mask(like: Tensor, shape: tuple[int, ...], rate: float) -> Tensor:
    """Return a mask that is 0 with probability `rate` and 1 / (1 - rate) elsewhere."""
    # Comparing uniform numbers takes a quarter of the time of torch's bernoulli_ on CPUs. They are drawn in float32:
    # bfloat16 has too few distinct values.
    kept = torch.rand(shape, device=like.device) >= rate
    return kept.to(like.dtype).div_(1 - rate)
