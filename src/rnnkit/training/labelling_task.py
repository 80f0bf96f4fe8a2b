"""Taggers and text classifiers as training tasks: batches of texts with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.data.labelled_data import TAGGING, LabelledData
from rnnkit.data.state_cache import StateCache
from rnnkit.data.word_table import WordBatch, WordTable
from rnnkit.models.labelling.tagger import TaggerNetwork
from rnnkit.models.labelling.text_classifier import ClassifierNetwork
from rnnkit.nn.device import autocast
from rnnkit.nn.label_losses import IGNORED
from rnnkit.training.optimizer import NetworkOptimizer
from rnnkit.training.training_step import BatchLoss, NetworkTask


@dataclass(frozen=True)
class LabellingObjective:
    """Loss of a tagger or text classifier.

    Attributes:
        smoothing: Label smoothing.
        class_weights: For each output, the weight of each class; None for equal weights.
        precision: Precision of the matrix products.
    """

    smoothing: float
    class_weights: Sequence[Tensor | None] | None
    precision: torch.dtype


class LabelledBatches:
    """Assembles batches of a split of labelled data.

    Args:
        data: The data.
        split: Name of the split.
        table: Its table of words, with the features of the network.
        states: States of language models for the words of the split; None if the network has none.
    """

    def __init__(self, data: LabelledData, split: str, table: WordTable, states: StateCache | None = None) -> None:
        self._table = table
        self._states = states
        self._texts = data.side(split, data.text)
        self._labels = [data.side(split, column.name) for column in data.columns]
        self._shares = [data.shares(split, column.name) for column in data.columns]
        self._columns = data.columns
        self._tagging = data.task == TAGGING
        self._weights = data.weights(split)

    def __len__(self) -> int:
        return len(self._texts)

    def lengths(self) -> NDArray[np.int64]:
        """Return the number of tokens of each text."""
        tokens = self._table.tokens.lengths()[np.asarray(self._texts.ids)]
        sums = np.concatenate(([0], np.cumsum(tokens)))
        return np.diff(sums[np.asarray(self._texts.offsets)])

    def words(self, rows: NDArray[np.int64]) -> WordBatch:
        """Return the words of some texts, by their indices."""
        batch = self._table.batch([np.asarray(self._texts[int(row)]) for row in rows])
        return batch if self._states is None else replace(batch, states_BTD=self._states.batch(rows))

    def labels(self, rows: NDArray[np.int64]) -> list[Tensor]:
        """Return the labels of some texts, for each output.

        Returns:
            Of a tagger (B, T), `IGNORED` at padding and where train lacks the label; of a classifier (B,), or with
            several or soft labels their shares (B, C).
        """
        return [torch.from_numpy(self._encode(index, rows)) for index in range(len(self._columns))]

    def weights(self, rows: NDArray[np.int64]) -> Tensor | None:
        """Return the weights of some texts (B,), if they have any."""
        return None if self._weights is None else torch.from_numpy(self._weights[rows])

    def _encode(self, column: int, rows: NDArray[np.int64]) -> NDArray[np.int64] | NDArray[np.float32]:
        labels = self._labels[column]
        found = [np.asarray(labels[int(row)], np.int64) - 1 for row in rows]
        if self._tagging:
            padded = np.full((len(found), max(1, max(map(len, found)))), IGNORED, np.int64)
            for row, tags in zip(padded, found, strict=True):
                row[: len(tags)] = tags
            return padded
        if not self._columns[column].many:
            return np.concatenate(found)
        shares = np.zeros((len(found), len(self._columns[column].labels)), np.float32)
        for index, (row, each) in enumerate(zip(rows, found, strict=True)):
            known = each >= 0
            shares[index, each[known]] = self._share(column, labels, int(row))[known]
        return shares

    def _share(self, column: int, labels: SentenceDataset, row: int) -> NDArray[np.float32]:
        """Return the probability of each label of a text."""
        start, stop = int(labels.offsets[row]), int(labels.offsets[row + 1])
        shares = self._shares[column]
        return np.ones(stop - start, np.float32) if shares is None else shares[start:stop]


class LabellingTask(NetworkTask[NDArray[np.int64]]):
    """Trains a tagger or text classifier; a batch is the indices of texts.

    Args:
        network: The network.
        batches: Assembles the batches of the training split.
        objective: The loss.
        optimizer: The optimizer.
    """

    def __init__(
        self,
        network: TaggerNetwork | ClassifierNetwork,
        batches: LabelledBatches,
        objective: LabellingObjective,
        optimizer: NetworkOptimizer,
    ) -> None:
        super().__init__(network, optimizer)
        self._network = network
        self._batches = batches
        self._objective = objective

    def compute_loss(self, batch: NDArray[np.int64], index: int) -> BatchLoss:
        """Compute the loss of some texts; a tagger predicts every word, a classifier every text."""
        labels = [each.to(self._device) for each in self._batches.labels(batch)]
        weight_B = self._batches.weights(batch)
        with autocast(self._device, self._objective.precision):
            loss, nll = self._network.loss(
                self._batches.words(batch),
                labels,
                self._objective.smoothing,
                self._objective.class_weights,
                None if weight_B is None else weight_B.to(self._device),
            )
        count = sum(count_predictions(each) for each in labels)
        return BatchLoss(loss / max(1, count), nll, count)


def count_predictions(labels: Tensor) -> int:
    """Count the words or texts whose label is known."""
    return len(labels) if labels.is_floating_point() else int((labels != IGNORED).sum())
