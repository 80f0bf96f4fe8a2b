"""Sequence-to-sequence models as a training task, with guided attention from word alignments.

Guided attention (Chen et al. 2016, arXiv:1607.01628) adds the cross-entropy of the attention weights against alignment
links to the loss; `nn/attention.py` has its equation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnnkit.alignment.alignment_links import WordAlignments
from rnnkit.data import batch_sampler
from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.models.sequence_to_sequence import SequenceToSequence
from rnnkit.nn.attention import AlignmentLinks, guided_attention_loss
from rnnkit.nn.device import autocast
from rnnkit.text import special_tokens
from rnnkit.training import training_step
from rnnkit.training.optimizer import NetworkOptimizer
from rnnkit.training.signals import StopRequest
from rnnkit.training.task import AttentionLoss
from rnnkit.training.training_step import BatchLoss, NetworkTask

_POSITION_BITS = 20
"""Bits of a position in a sentence, as in `Links.keys`; attention over more positions exceeds any memory."""


@dataclass(frozen=True)
class AttentionSupervision:
    """Word alignments that guide attention.

    Attributes:
        links: Alignment links of every sentence pair of the training split, in its order.
        weight: Weight of the attention loss per linked token, relative to the loss per target token.
    """

    links: WordAlignments
    weight: float

    def batch_links(self, batch: NDArray[np.int64], device: torch.device) -> AlignmentLinks:
        """Return the distinct links of some sentence pairs.

        Args:
            batch: Indices of the pairs, in the order of the batch.
            device: Device of the result.
        """
        row_L, source_L, target_L = self.links.gather(batch)
        key_L = np.unique((row_L << 2 * _POSITION_BITS) | (target_L.astype(np.int64) << _POSITION_BITS) | source_L)
        token_U, token_L, count_U = np.unique(key_L >> _POSITION_BITS, return_inverse=True, return_counts=True)
        row_L, positions_L = key_L >> 2 * _POSITION_BITS, key_L % (1 << 2 * _POSITION_BITS)
        share_L = (1 / count_U)[token_L].astype(np.float32)
        parts = (row_L, positions_L >> _POSITION_BITS, positions_L % (1 << _POSITION_BITS), share_L)
        row, target, source, share = (torch.from_numpy(part).to(device) for part in parts)
        return AlignmentLinks(row, target, source, share, len(token_U))


@dataclass(frozen=True)
class Seq2SeqObjective:
    """Loss of a sequence-to-sequence model.

    Attributes:
        smoothing: Label smoothing.
        precision: Precision of the matrix products.
    """

    smoothing: float
    precision: torch.dtype


class Seq2SeqTask(NetworkTask[NDArray[np.int64]]):
    """Trains a sequence-to-sequence model on sentence pairs; a batch is the indices of pairs.

    Args:
        network: The network.
        source: Source sentences of the training split.
        target: Target sentences, in the same order.
        objective: The loss.
        optimizer: The optimizer.
        supervision: Word alignments for guided attention; the network must have attention.
    """

    def __init__(
        self,
        network: SequenceToSequence,
        source: SentenceDataset,
        target: SentenceDataset,
        objective: Seq2SeqObjective,
        optimizer: NetworkOptimizer,
        supervision: AttentionSupervision | None = None,
    ) -> None:
        super().__init__(network, optimizer)
        self._network = network
        self._source = source
        self._target = target
        self._objective = objective
        self._supervision = supervision

    def compute_loss(self, batch: NDArray[np.int64], index: int) -> BatchLoss:
        """Compute the loss of some sentence pairs, with teacher forcing."""
        network, supervision = self._network, self._supervision
        pairs = gather_pairs(self._source, self._target, batch, self._device, network.config.right_to_left)
        tokens = int((pairs.target_BT != special_tokens.PAD).sum())
        with autocast(self._device, self._objective.precision):
            need_weights = network.config.copy or supervision is not None
            decoded, _ = network.decode(pairs.source_BS, pairs.lengths_B, pairs.input_BT, need_weights)
            loss, nll = network.compute_loss(decoded, pairs.source_BS, pairs.target_BT, self._objective.smoothing)
        if supervision is None:
            return BatchLoss(loss / tokens, nll, tokens)
        assert decoded.weights_BTS is not None
        links = supervision.batch_links(batch, self._device)
        if network.config.right_to_left:
            links = reverse_links(links, pairs.target_BT)
        attention = guided_attention_loss(decoded.weights_BTS, links)
        guidance = supervision.weight * attention / max(1, links.tokens)
        return BatchLoss(loss / tokens, nll, tokens, guidance, AttentionLoss(attention.item(), links.tokens))


@dataclass(frozen=True)
class PairBatch:
    """A batch of sentence pairs; ids are padded on the right, and `input_BT` is the target shifted right."""

    source_BS: Tensor
    lengths_B: Tensor
    input_BT: Tensor
    target_BT: Tensor


def gather_pairs(
    source: SentenceDataset,
    target: SentenceDataset,
    batch: NDArray[np.int64],
    device: torch.device,
    right_to_left: bool = False,
) -> PairBatch:
    """Gather sentence pairs by their indices; for a right-to-left model, reverse the targets except EOS."""
    source_BS, lengths_B = batch_sampler.pad_sequences([source[int(index)] for index in batch])
    sentences: Iterable[NDArray[np.integer]] = (target[int(index)] for index in batch)
    if right_to_left:
        sentences = (np.concatenate([ids[-2::-1], ids[-1:]]) for ids in sentences)
    target_BT, _ = batch_sampler.pad_sequences(list(sentences))
    arrays = (source_BS, lengths_B, batch_sampler.shift_right(target_BT), target_BT)
    return PairBatch(*(torch.from_numpy(array).to(device) for array in arrays))


def reverse_links(links: AlignmentLinks, target_BT: Tensor) -> AlignmentLinks:
    """Return the links of reversed targets, in which EOS stays last."""
    words_B = (target_BT != special_tokens.PAD).sum(1) - 1
    return replace(links, target_L=words_B[links.row_L] - 1 - links.target_L)


def mean_target_nll(
    network: SequenceToSequence, source: SentenceDataset, target: SentenceDataset, stop: StopRequest
) -> float | None:
    """Compute the negative log-likelihood per target token, in nats, over a whole split in float32.

    Returns:
        The mean, or None if a stop was requested.
    """

    def batch_nll(batch: NDArray[np.int64], device: torch.device) -> tuple[float, int]:
        pairs = gather_pairs(source, target, batch, device, network.config.right_to_left)
        _, nll = network.loss(pairs.source_BS, pairs.lengths_B, pairs.input_BT, pairs.target_BT, 0.0)
        return nll.item(), int((pairs.target_BT != special_tokens.PAD).sum())

    return training_step.mean_nll(network, [source, target], batch_nll, stop)
