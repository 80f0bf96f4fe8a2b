"""Training of linear text classifiers in NumPy, one text at a time: the reference for `linear_classifier.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from rnnkit.kernels.linear_classifier import BATCH_FEATURES, BATCH_TEXTS

Rows = Sequence[NDArray[np.int64]]
"""Input rows of the features of each text."""


def train_texts(
    inputs_RD: NDArray[np.float64],
    outputs_CD: NDArray[np.float64],
    texts: Rows,
    targets_NC: NDArray[np.float64],
    rates: NDArray[np.float64],
    one_vs_all: bool = False,
    row_weight_R: NDArray[np.float64] | None = None,
) -> float:
    """Train on texts in their order.

    Args:
        inputs_RD: Input rows, updated in place.
        outputs_CD: Output rows, updated in place.
        texts: Features of each text.
        targets_NC: y of each text.
        rates: Learning rate of each text.
        one_vs_all: Labels are independent of each other.
        row_weight_R: Weight of each input row; texts are means if None.

    Returns:
        The sum of the losses, in nats.
    """
    loss = 0.0
    for first, last in _batches(texts):
        shares = [share(rows, row_weight_R) for rows in texts[first:last]]
        hidden_ND = [b_n @ inputs_RD[rows] for b_n, rows in zip(shares, texts[first:last], strict=True)]
        steps_ND = []
        for h_D, y_C, rate in zip(hidden_ND, targets_NC[first:last], rates[first:last], strict=True):
            score_C = outputs_CD @ h_D
            p_C = 1 / (1 + np.exp(-score_C)) if one_vs_all else np.exp(score_C) / np.exp(score_C).sum()
            loss -= np.log(p_C[y_C > 0]).sum() + (np.log(1 - p_C[y_C == 0]).sum() if one_vs_all else 0)
            g_C = rate * (y_C - p_C)
            steps_ND.append(g_C @ outputs_CD)
            outputs_CD += np.outer(g_C, h_D)
        for rows, b_n, step_D in zip(texts[first:last], shares, steps_ND, strict=True):
            np.add.at(inputs_RD, rows, np.outer(b_n, step_D))
    return loss


def share(rows: NDArray[np.int64], row_weight_R: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return b, the factor of each input row of a text."""
    if row_weight_R is None:
        return np.full(len(rows), 1 / max(1, len(rows)))
    v_n = row_weight_R[rows]
    return v_n / max(np.linalg.norm(v_n), np.finfo(np.float64).tiny)


def _batches(texts: Rows) -> Iterator[tuple[int, int]]:
    """Yield the first and last text of each batch."""
    first, features = 0, 0
    for n, rows in enumerate(texts):
        if n > first and (n == first + BATCH_TEXTS or features + len(rows) > BATCH_FEATURES):
            yield first, n
            first, features = n, 0
        features += len(rows)
    if first < len(texts):
        yield first, len(texts)
