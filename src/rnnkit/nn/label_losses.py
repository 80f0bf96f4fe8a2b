"""Losses of labels: cross-entropy of one label, of a distribution over labels, and of several labels.

    one label     - w_y [(1 - e) log p_y + e mean_c log p_c]        p = softmax(s)
    soft labels   - sum_c q_c w_c log p_c                            q: probabilities of the labels, given by the data
    many labels   - sum_c w_c [t_c log p_c + (1 - t_c) log(1 - p_c)]   p = sigmoid(s), t_c = 1 for labels of the text

e is the label smoothing (Szegedy et al. 2016, arXiv:1512.00567), w_c the weight of a class, 1 by
default. All losses are in nats.

Shapes: N rows (words or texts), C labels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

IGNORED = -1
"""Label of padding, and of a word whose label does not occur in the training data."""


def label_cross_entropy(
    scores_NC: Tensor, labels_N: Tensor, smoothing: float = 0.0, class_weight_C: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Compute the cross-entropy of one label.

    Args:
        scores_NC: Scores.
        labels_N: Label of each row; `IGNORED` rows cost nothing.
        smoothing: Label smoothing e.
        class_weight_C: Weight of each class.

    Returns:
        The loss (N,), and the negative log-likelihood (N,) without gradient, smoothing and weights.
    """
    log_p_NC = torch.log_softmax(scores_NC, dim=1)
    known_N = labels_N != IGNORED
    safe_N = labels_N.clamp(min=0)
    nll_N = -log_p_NC.gather(1, safe_N[:, None])[:, 0] * known_N
    loss_N = nll_N
    if smoothing:
        loss_N = (1 - smoothing) * nll_N - smoothing * log_p_NC.mean(1) * known_N
    if class_weight_C is not None:
        loss_N = loss_N * class_weight_C[safe_N]
    return loss_N, nll_N.detach()


def soft_label_cross_entropy(
    scores_NC: Tensor, share_NC: Tensor, class_weight_C: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Compute the cross-entropy of a distribution over labels.

    Args:
        scores_NC: Scores.
        share_NC: Probability of each label; a row of zeros costs nothing.
        class_weight_C: Weight of each class.

    Returns:
        As `label_cross_entropy`.
    """
    log_p_NC = torch.log_softmax(scores_NC, dim=1)
    nll_N = -(share_NC * log_p_NC).sum(1)
    if class_weight_C is None:
        return nll_N, nll_N.detach()
    return -(share_NC * class_weight_C * log_p_NC).sum(1), nll_N.detach()


def multi_label_cross_entropy(
    scores_NC: Tensor, target_NC: Tensor, class_weight_C: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Compute the cross-entropy of any number of labels.

    Args:
        scores_NC: Scores.
        target_NC: 1 for the labels of a text, otherwise 0.
        class_weight_C: Weight of each class.

    Returns:
        As `label_cross_entropy`.
    """
    nll_NC = nn.functional.binary_cross_entropy_with_logits(scores_NC, target_NC, reduction="none")
    nll_N = nll_NC.sum(1)
    return (nll_N if class_weight_C is None else (nll_NC * class_weight_C).sum(1)), nll_N.detach()


def balanced_weights(count_C: Tensor) -> Tensor:
    """Return class weights N / (C n_c), under which all classes have the same influence, as in scikit-learn."""
    count_C = count_C.clamp(min=1).double()
    weights: Tensor = (count_C.sum() / (len(count_C) * count_C)).float()
    return weights
