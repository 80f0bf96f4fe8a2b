"""What is fitted to the scores of the validation data: the temperature of probabilities, and thresholds of labels.

The temperature T minimizes the negative log-likelihood of softmax(s / T) (Guo et al. 2017, arXiv:1706.04599); it
changes no decision. Where texts can have several labels, the threshold of a label maximizes its F1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnnkit.evaluation.calibration import fit_temperature

THRESHOLDS = np.linspace(0.05, 0.95, 19)
"""Candidates for the threshold of a label."""


@dataclass(frozen=True)
class FittedLabels:
    """Temperature, thresholds, and the scores with them.

    Attributes:
        temperature: Temperature of the probabilities.
        threshold_C: Probability from which on a text has each label; None if every text has one label.
        scores: Loss in nats; accuracy, or micro-averaged F1 and the share of exactly correct texts, in percent.
    """

    temperature: float
    threshold_C: NDArray[np.float64] | None
    scores: Mapping[str, float]


def fit_labels(score_NC: NDArray[np.float32], target: NDArray[np.int64] | NDArray[np.float32]) -> FittedLabels:
    """Fit temperature or thresholds, and score the predictions.

    Args:
        score_NC: Scores of the labels of each word or text.
        target: The label of each (N,), below 0 where train lacks it; or 1 for each of its labels (N, C).
    """
    if target.ndim == 2:
        return _fit_thresholds(score_NC.astype(np.float64), target > 0)
    known_N = target >= 0
    scores_NC, label_N = score_NC[known_N].astype(np.float64), target[known_N].astype(np.int64)
    right = int((scores_NC.argmax(1) == label_N).sum())
    scores = {"loss": _mean_nll(scores_NC, label_N), "accuracy": 100 * right / max(1, len(target))}
    return FittedLabels(fit_temperature(scores_NC, label_N) if len(label_N) else 1.0, None, scores)


def _mean_nll(score_NC: NDArray[np.float64], label_N: NDArray[np.int64]) -> float:
    if not len(label_N):
        return 0.0
    shifted = score_NC - score_NC.max(1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(1))
    return float((log_sum - shifted[np.arange(len(label_N)), label_N]).mean())


def _fit_thresholds(score_NC: NDArray[np.float64], target_NC: NDArray[np.bool_]) -> FittedLabels:
    """Choose the threshold of each label by its F1, and compute the micro-averaged F1 with them."""
    p_NC = 1 / (1 + np.exp(-score_NC))
    threshold_C = np.array([_best_threshold(p_N, target_N) for p_N, target_N in zip(p_NC.T, target_NC.T, strict=True)])
    found_NC = p_NC >= threshold_C
    f1 = 2 * int((found_NC & target_NC).sum()) / max(1, int(found_NC.sum()) + int(target_NC.sum()))
    loss = -np.where(target_NC, np.log(p_NC.clip(1e-12)), np.log((1 - p_NC).clip(1e-12))).sum(1).mean()
    exact = float((found_NC == target_NC).all(1).mean())
    return FittedLabels(1.0, threshold_C, {"loss": float(loss), "f1": 100 * f1, "exact": 100 * exact})


def _best_threshold(p_N: NDArray[np.float64], target_N: NDArray[np.bool_]) -> float:
    """Return the threshold with the best F1; 0.5 for a label without examples, the one nearest to 0.5 of equal ones."""
    if not target_N.any():
        return 0.5
    found = p_N >= THRESHOLDS[:, None]
    f1 = 2 * (found & target_N).sum(1) / (found.sum(1) + target_N.sum())
    best = np.flatnonzero(f1 == f1.max())
    return float(THRESHOLDS[best[np.argmin(np.abs(THRESHOLDS[best] - 0.5))]])
