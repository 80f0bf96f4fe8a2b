"""Validation of taggers and text classifiers: scores, temperature and thresholds on the validation split.

A tagger reports the accuracy of its tags, and the F1 of spans if the tags mark any; a classifier reports accuracy, or
micro-averaged F1 if texts can have several labels. Of several outputs, the mean decides which weights are best.

The temperature of an output and the thresholds of labels (`label_fitting.py`) are stored with the weights; they are
fitted to scores that the validation computes anyway.
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
from rnnkit.evaluation.label_evaluation import score_spans
from rnnkit.evaluation.label_fitting import fit_labels
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
    target = output.label_N
    if target.ndim == 2 and not network.config.multi_label:  # soft labels count as their most probable one
        target = target.argmax(1)
    fitted = fit_labels(output.score_NC, target)
    if not network.config.crf:  # the probabilities of a CRF are not the softmax of its scores
        network.temperature_O[index] = fitted.temperature
    if fitted.threshold_C is not None and isinstance(network, ClassifierNetwork):
        network.thresholds(index).copy_(torch.from_numpy(fitted.threshold_C))
    scores = dict(fitted.scores)
    if isinstance(network, TaggerNetwork):  # a CRF decides by the sentence, not by the scores of a word
        pairs = [(one == other) for one, other in zip(output.predicted, output.expected, strict=True)]
        right, total = sum(int(pair.sum()) for pair in pairs), sum(map(len, pairs))
        scores["accuracy"] = 100 * right / max(1, total)
    if scheme is not None:
        named = [
            [[_name(labels, tag) for tag in tags] for tags in side] for side in (output.expected, output.predicted)
        ]
        scores["f1"] = 100 * score_spans(named[0], named[1]).average("micro").f1  # as `rnnkit evaluate-labels`
    return scores


def _name(labels: Sequence[str], tag: int) -> str:
    return OUTSIDE if tag < 0 else labels[tag]
