"""Guided attention: a loss that pulls attention towards word-alignment links (Chen et al. 2016, arXiv:1607.01628).

    G_ts = 1 / n_t if target token t is linked to source token s, else 0        n_t: number of links of t
    loss = - sum_t sum_s G_ts log a_ts                                          a: attention; t over linked tokens

A token with n links costs at least log n, the cost of attention shared equally among them.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

MIN_WEIGHT = 1e-30
"""Lower bound of attention weights, so that the logarithm of an attention weight of 0 is finite."""


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
