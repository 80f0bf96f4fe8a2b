"""Calibration: whether predictions of probability p are right in a share p of the cases, and temperature scaling.

The expected calibration error (Naeini et al. 2015; Guo et al. 2017, arXiv:1706.04599) sorts predictions into bins of
equal width by the probability of the predicted label:

    ECE = sum_b n_b / n |accuracy_b - mean probability_b|

The reliability diagram plots the accuracy of each bin over its mean probability.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnnkit.errors import DataError
from rnnkit.json_types import JsonObject

BINS = 15

MIN_INVERSE, MAX_INVERSE = 1e-2, 1e2
"""Bounds of the inverse temperature. Where all labels are predicted, the likelihood has no maximum."""

MAX_STEPS = 100
STEP_TOLERANCE = 1e-12


@dataclass(frozen=True)
class ReliabilityBin:
    """Predictions whose probability is above `low` and at most `high`; the first bin includes 0.

    Attributes:
        low: Lower bound.
        high: Upper bound.
        count: Number of predictions.
        probability: Mean probability; 0 without predictions.
        accuracy: Share of correct predictions; 0 without predictions.
    """

    low: float
    high: float
    count: int
    probability: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """Calibration of predictions.

    Attributes:
        error: Expected calibration error.
        probability: Mean probability of the predictions.
        accuracy: Share of correct predictions.
        bins: All bins, by probability.
    """

    error: float
    probability: float
    accuracy: float
    bins: tuple[ReliabilityBin, ...]

    def as_dict(self, width: int) -> JsonObject:
        """JSON form, rounded to `width` decimal places."""
        return {
            "expected_calibration_error": round(self.error, width),
            "mean_probability": round(self.probability, width),
            "accuracy": round(self.accuracy, width),
            "bins": [
                {
                    "low": round(each.low, width),
                    "high": round(each.high, width),
                    "count": each.count,
                    "probability": round(each.probability, width),
                    "accuracy": round(each.accuracy, width),
                }
                for each in self.bins
            ],
        }


def measure_calibration(
    probability_N: NDArray[np.float64], correct_N: NDArray[np.bool], bins: int = BINS
) -> Calibration:
    """Measure the calibration of predictions.

    Args:
        probability_N: Probability of each predicted label, from 0 to 1.
        correct_N: Whether it is correct.
        bins: Number of bins of equal width.

    Raises:
        DataError: There are no predictions, or a probability is not a number from 0 to 1.
    """
    if not len(probability_N):
        raise DataError("there are no predictions whose calibration could be measured")
    if not ((probability_N >= 0) & (probability_N <= 1)).all():
        raise DataError("a probability is not a number from 0 to 1")
    bounds = np.linspace(0, 1, bins + 1)
    bin_N = np.clip(np.searchsorted(bounds, probability_N, side="left") - 1, 0, bins - 1)
    counts, probabilities, correct = (
        np.bincount(bin_N, weights, minlength=bins) for weights in (None, probability_N, correct_N)
    )
    means = [total / np.maximum(counts, 1) for total in (probabilities, correct)]
    error = float(np.abs(probabilities - correct).sum() / len(bin_N))
    rows = zip(bounds, bounds[1:], counts, *means, strict=False)
    return Calibration(
        error,
        float(probability_N.mean()),
        float(correct_N.mean()),
        tuple(ReliabilityBin(float(a), float(b), int(n), float(p), float(c)) for a, b, n, p, c in rows),
    )


def fit_temperature(scores_NC: NDArray[np.float64], label_N: NDArray[np.int64]) -> float:
    """Fit the temperature T of softmax(scores / T) by maximum likelihood (temperature scaling, Guo et al. 2017).

    The negative log-likelihood is convex in b = 1 / T. With the mean and the variance of the scores under the
    softmax, its derivatives are

        d / db = sum_n E_n[score] - score of the label,    d^2 / db^2 = sum_n Var_n[score]

    Newton's method finds their zero; a bracket keeps each step within bounds, where it bisects.

    Args:
        scores_NC: Logits or log probabilities of each class.
        label_N: The right classes.

    Returns:
        The temperature, between 0.01 and 100; 1 if it makes no difference.

    Raises:
        DataError: There are no scores, a score is not finite, or a label is not a class.
    """
    _check_scores(scores_NC, label_N)
    scores_NC = np.asarray(scores_NC, dtype=np.float64)
    scores_NC = scores_NC - scores_NC.max(axis=1, keepdims=True)
    target_N = np.take_along_axis(scores_NC, np.asarray(label_N)[:, None], axis=1)[:, 0]
    if not scores_NC.any():
        return 1.0
    low, high, inverse = MIN_INVERSE, MAX_INVERSE, 1.0
    for _ in range(MAX_STEPS):
        slope, curvature = _derivatives(scores_NC, target_N, inverse)
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        step = inverse - slope / curvature if curvature > 0 else math.inf
        following = step if low < step < high else math.sqrt(low * high)
        if abs(following - inverse) <= STEP_TOLERANCE * inverse:
            break
        inverse = following
    return 1 / inverse


def _derivatives(scores_NC: NDArray[np.float64], target_N: NDArray[np.float64], inverse: float) -> tuple[float, float]:
    """Return the first and second derivative of the negative log-likelihood."""
    probability_NC = np.exp(inverse * scores_NC)
    probability_NC /= probability_NC.sum(axis=1, keepdims=True)
    mean_N = (probability_NC * scores_NC).sum(axis=1)
    variance_N = (probability_NC * (scores_NC - mean_N[:, None]) ** 2).sum(axis=1)
    return float((mean_N - target_N).sum()), float(variance_N.sum())


def _check_scores(scores_NC: NDArray[np.float64], label_N: NDArray[np.int64]) -> None:
    if scores_NC.ndim != 2 or not scores_NC.size or len(scores_NC) != len(label_N):
        raise DataError("temperature scaling needs a row of scores and a label for each example")
    if not np.isfinite(scores_NC).all():
        raise DataError("temperature scaling needs finite scores")
    if not ((label_N >= 0) & (label_N < scores_NC.shape[1])).all():
        raise DataError(f"a label is not one of the {scores_NC.shape[1]} classes")
