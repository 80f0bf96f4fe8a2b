"""Attention that is pulled towards links between words (Chen et al. 2016, arXiv:1607.01628).

    G_ts = 1 / n_t where target token t is linked to source token s, n_t links in all, and 0 elsewhere
    loss = sum over t with links of  - sum_s G_ts log a_ts                                     a: attention

The least that a token with n links can cost is log n, with its attention shared out evenly among them.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

MIN_WEIGHT = 1e-30
"""In place of a probability of nothing, whose logarithm would be no number."""


@dataclass(frozen=True)
class AlignmentLinks:
    """The links of a batch of sentence pairs.

    Attributes:
        row_L: The pair of each link.
        target_L: Place of its target token.
        source_L: Place of its source token.
        share_L: G: one over the links that the target token has.
        tokens: Target tokens that have links.
    """

    row_L: Tensor
    target_L: Tensor
    source_L: Tensor
    share_L: Tensor
    tokens: int


def reference_guided_attention_loss(weights_BTS: Tensor, linked_BTS: Tensor) -> Tensor:
    """The loss as its equation.

    Args:
        weights_BTS: Attention; row t is that of the step which says target token t.
        linked_BTS: True where two tokens are linked.

    Returns:
        The loss in nats, summed over the target tokens that have links.
    """
    links_BT1 = linked_BTS.sum(-1, keepdim=True)
    share_BTS = linked_BTS / links_BT1.clamp_min(1)
    return -(share_BTS * weights_BTS.float().clamp_min(MIN_WEIGHT).log()).sum()


def guided_attention_loss(weights_BTS: Tensor, linked: AlignmentLinks) -> Tensor:
    """The same as `reference_guided_loss`, looking at the linked places alone."""
    weight_L = weights_BTS[linked.row_L, linked.target_L, linked.source_L].float()
    return -(linked.share_L * weight_L.clamp_min(MIN_WEIGHT).log()).sum()
