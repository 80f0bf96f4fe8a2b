"""Validation of taggers and text classifiers: scores, temperature and thresholds on the validation split.

A tagger reports the accuracy of its tags, and the F1 of spans if the tags mark any; a classifier reports accuracy, or
micro-averaged F1 if texts can have several labels. Of several outputs, the mean decides which weights are best.

The temperature T of an output minimizes the negative log-likelihood of softmax(s / T) (Guo et al. 2017,
arXiv:1706.04599). The threshold of a label maximizes its F1. Both are stored with the weights, and cost one pass over
scores that the validation has anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnnkit.data import batch_sampler
from rnnkit.data.labelled_data import LabelledData
from rnnkit.evaluation.calibration import fit_temperature
from rnnkit.evaluation.label_evaluation import score_spans
from rnnkit.models.labelling.tagger import TaggerNetwork
from rnnkit.models.labelling.text_classifier import ClassifierNetwork
from rnnkit.nn.device import autocast
from rnnkit.nn.label_losses import IGNORED
from rnnkit.text.span_schemes import OUTSIDE
from rnnkit.training.labelling_task import LabelledBatches
from rnnkit.training.signals import StopRequest
from rnnkit.training.task import Validation
from rnnkit.training.training_step import VALIDATION_BATCH_TOKENS

LOSS_WEIGHT = 1e-6
"""Weight of the loss (nats) relative to the metric (points): it breaks ties."""

THRESHOLDS = np.linspace(0.05, 0.95, 19)
"""Candidates for the threshold of a label."""


@dataclass(frozen=True)
class OutputScores:
    """Scores of an output on a whole split.

    Attributes:
        score_NC: Scores of each word or text with a known label, or of each text with several labels.
        label_N: Its label; with several labels, the share of each (N, C).
        predicted: Predicted label ids of each text, in order.
        expected: Labels of each text, in order, `IGNORED` where train lacks the label.
    """

    score_NC: NDArray[np.float32]
    label_N: NDArray[np.int64] | NDArray[np.float32]
    predicted: Sequence[NDArray[np.int64]]
    expected: Sequence[NDArray[np.int64]]


def make_labelling_validation(
    network: TaggerNetwork | ClassifierNetwork,
    data: LabelledData,
    batches: LabelledBatches,
    precision: torch.dtype,
    weights: Callable[[], AbstractContextManager[None]],
) -> Callable[[StopRequest], Validation | None]:
    """Return a function that validates a network with its current weights, and sets its temperature and thresholds.

    Args:
        network: The network under training.
        data: Labelled data.
        batches: Assembles the batches of its validation split.
        precision: Precision of the matrix products.
        weights: Context in which the network has the weights to validate, such as their moving average.
    """

    def validate(stop: StopRequest) -> Validation | None:
        with weights():
            outputs = compute_scores(network, batches, precision, stop)
        if outputs is None:
            return None
        facts: dict[str, float] = {"loss": 0.0}
        values = []
        for index, (column, output) in enumerate(zip(data.columns, outputs, strict=True)):
            suffix = f"_{column.name}" if len(data.columns) > 1 else ""
            scores = _score(network, index, output, column.labels, column.scheme)
            facts["loss"] += scores["loss"] / len(outputs)
            facts |= {f"{name}{suffix}": value for name, value in scores.items() if name != "loss"}
            values.append(scores.get("f1", scores.get("accuracy", 0.0)) - LOSS_WEIGHT * scores["loss"])
        return Validation(score=float(np.mean(values)), facts=facts)

    return validate


@torch.no_grad()
def compute_scores(
    network: TaggerNetwork | ClassifierNetwork, batches: LabelledBatches, precision: torch.dtype, stop: StopRequest
) -> list[OutputScores] | None:
    """Compute the scores of a whole split, in evaluation mode; None if a stop was requested."""
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    found: list[list[tuple[NDArray[np.int64], Tensor, Tensor, Tensor]]] = [[] for _ in network.config.labels]
    try:
        for rows in batch_sampler.plan_epoch([batches.lengths()], VALIDATION_BATCH_TOKENS, seed=0, epoch=0):
            if stop:
                return None
            with autocast(device, precision):
                for index, parts in enumerate(_batch_scores(network, batches, rows)):
                    found[index].append((rows, *parts))
    finally:
        network.train(was_training)
    return [_collect(parts, len(batches)) for parts in found]


def _batch_scores(
    network: TaggerNetwork | ClassifierNetwork, batches: LabelledBatches, rows: NDArray[np.int64]
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return scores, labels and predictions of each output for some texts."""
    words, labels = batches.words(rows), batches.labels(rows)
    if isinstance(network, TaggerNetwork):
        all_scores, length_B = network.scores(words)
        predictions = [network.predict(index, scores, length_B) for index, scores in enumerate(all_scores)]
    else:
        all_scores = network.scores(words)
        predictions = [scores.argmax(1, keepdim=True) for scores in all_scores]
    return [
        (scores.cpu(), target, predicted.cpu())
        for scores, target, predicted in zip(all_scores, labels, predictions, strict=True)
    ]


def _collect(parts: Sequence[tuple[NDArray[np.int64], Tensor, Tensor, Tensor]], count: int) -> OutputScores:
    """Join the batches of an output, in the order of the texts."""
    empty = np.zeros(0, np.int64)
    predicted, expected = [empty] * count, [empty] * count
    scores, labels = [], []
    for rows, score, target, found in parts:
        known = torch.ones(len(target), dtype=torch.bool) if target.is_floating_point() else target != IGNORED
        scores.append(score[known].numpy())
        labels.append(target[known].numpy())
        if target.is_floating_point():
            continue
        for row, tags, best in zip(rows, target.reshape(len(target), -1), found, strict=True):
            length = int((tags != IGNORED).nonzero().max()) + 1 if bool((tags != IGNORED).any()) else 0
            expected[row], predicted[row] = tags[:length].numpy(), best[:length].numpy()
    return OutputScores(np.concatenate(scores), np.concatenate(labels), predicted, expected)


def _score(
    network: TaggerNetwork | ClassifierNetwork,
    index: int,
    output: OutputScores,
    labels: Sequence[str],
    scheme: str | None,
) -> dict[str, float]:
    """Compute the metrics of an output in percent and its loss in nats, and set its temperature and thresholds."""
    if output.label_N.ndim == 2 and network.config.multi_label:
        return _score_many(network, index, output)
    label_N = output.label_N.argmax(1) if output.label_N.ndim == 2 else output.label_N.astype(np.int64)
    network.temperature_O[index] = fit_temperature(output.score_NC.astype(np.float64), label_N)
    scores = {"loss": _mean_nll(output.score_NC, label_N)}
    if isinstance(network, TaggerNetwork):
        pairs = [(one == other) for one, other in zip(output.predicted, output.expected, strict=True)]
        right, total = sum(int(pair.sum()) for pair in pairs), sum(map(len, pairs))
        scores["accuracy"] = 100 * right / max(1, total)
    else:
        scores["accuracy"] = 100 * float((output.score_NC.argmax(1) == label_N).mean()) if len(label_N) else 0.0
    if scheme is not None:
        named = [
            [[_name(labels, tag) for tag in tags] for tags in side] for side in (output.expected, output.predicted)
        ]
        scores["f1"] = 100 * score_spans(named[0], named[1]).average("micro").f1  # as `rnnkit evaluate-labels`
    return scores


def _name(labels: Sequence[str], tag: int) -> str:
    return OUTSIDE if tag < 0 else labels[tag]


def _mean_nll(score_NC: NDArray[np.float32], label_N: NDArray[np.int64]) -> float:
    if not len(label_N):
        return 0.0
    score_NC = score_NC.astype(np.float64)
    shifted = score_NC - score_NC.max(1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(1))
    return float((log_sum - shifted[np.arange(len(label_N)), label_N]).mean())


def _score_many(network: TaggerNetwork | ClassifierNetwork, index: int, output: OutputScores) -> dict[str, float]:
    """Choose the threshold of each label by its F1, and compute the micro-averaged F1 with them."""
    assert isinstance(network, ClassifierNetwork)
    target_NC = output.label_N > 0
    p_NC = 1 / (1 + np.exp(-output.score_NC.astype(np.float64)))
    threshold_C = np.array([_best_threshold(p_N, target_N) for p_N, target_N in zip(p_NC.T, target_NC.T, strict=True)])
    network.thresholds(index).copy_(torch.from_numpy(threshold_C))
    found_NC = p_NC >= threshold_C
    right = int((found_NC & target_NC).sum())
    f1 = 2 * right / max(1, int(found_NC.sum()) + int(target_NC.sum()))
    loss = -np.where(target_NC, np.log(p_NC.clip(1e-12)), np.log((1 - p_NC).clip(1e-12))).sum(1).mean()
    return {"loss": float(loss), "f1": 100 * f1, "exact": 100 * float((found_NC == target_NC).all(1).mean())}


def _best_threshold(p_N: NDArray[np.float64], target_N: NDArray[np.bool_]) -> float:
    """Return the threshold with the best F1; 0.5 for a label without examples, the one nearest to 0.5 of equal ones."""
    if not target_N.any():
        return 0.5
    found = p_N >= THRESHOLDS[:, None]
    f1 = 2 * (found & target_N).sum(1) / (found.sum(1) + target_N.sum())
    best = np.flatnonzero(f1 == f1.max())
    return float(THRESHOLDS[best[np.argmin(np.abs(THRESHOLDS[best] - 0.5))]])
