"""What teaches attention: links between the words of the training part, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnnkit.alignment.pharaoh import WordAlignments
from rnnkit.data import batch_sampler
from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.models.sequence_to_sequence import SequenceToSequence
from rnnkit.nn.device import autocast
from rnnkit.nn.guided_attention import AlignmentLinks, guided_attention_loss
from rnnkit.text import special_tokens
from rnnkit.training import training_step
from rnnkit.training.optimizer import NetworkOptimizer
from rnnkit.training.signals import StopRequest
from rnnkit.training.task import AttentionLoss
from rnnkit.training.training_step import BatchLoss, NetworkTask

_POSITION_BITS = 20
"""Of a place in a sentence, as in `Links.keys`; attention over more of them fits into no memory."""


@dataclass(frozen=True)
class AttentionSupervision:
    """Links, and how much they matter.

    Attributes:
        links: Of every sentence pair of the training part, in its order.
        weight: What a nat of a linked token's attention counts beside a nat of a target token.
    """

    links: WordAlignments
    weight: float

    def batch_links(self, batch: NDArray[np.int64], device: torch.device) -> AlignmentLinks:
        """The links of the pairs of these numbers; one that is there twice counts once.

        Args:
            batch: Numbers of sentence pairs, in the order in which they are put together.
            device: Where the network is.
        """
        row_L, source_L, target_L = self.links.gather(batch)
        key_L = np.unique((row_L << 2 * _POSITION_BITS) | (target_L.astype(np.int64) << _POSITION_BITS) | source_L)
        token_U, token_L, count_U = np.unique(key_L >> _POSITION_BITS, return_inverse=True, return_counts=True)
        row_L, place_L = key_L >> 2 * _POSITION_BITS, key_L % (1 << 2 * _POSITION_BITS)
        share_L = (1 / count_U)[token_L].astype(np.float32)
        parts = (row_L, place_L >> _POSITION_BITS, place_L % (1 << _POSITION_BITS), share_L)
        row, target, source, share = (torch.from_numpy(part).to(device) for part in parts)
        return AlignmentLinks(row, target, source, share, len(token_U))


@dataclass(frozen=True)
class Seq2SeqObjective:
    """What is optimised.

    Attributes:
        smoothing: Label smoothing.
        precision: Type of the matrix products.
    """

    smoothing: float
    precision: torch.dtype


class Seq2SeqTask(NetworkTask[NDArray[np.int64]]):
    """Trains a network on pairs of sentences.

    Args:
        network: What learns.
        source: Source sentences of the training part.
        target: Target sentences, in the same order.
        settings: What is optimised.
        optimizer: How weights change.
        guidance: Links that teach attention; a network without attention can have none.
    """

    def __init__(
        self,
        network: SequenceToSequence,
        source: SentenceDataset,
        target: SentenceDataset,
        settings: Seq2SeqObjective,
        optimizer: NetworkOptimizer,
        guidance: AttentionSupervision | None = None,
    ) -> None:
        super().__init__(network, optimizer)
        self._network = network
        self._source = source
        self._target = target
        self._settings = settings
        self._guidance = guidance

    def compute_loss(self, batch: NDArray[np.int64], part: int) -> BatchLoss:
        """The loss of the sentences of these numbers."""
        network, guidance = self._network, self._guidance
        pairs = gather_pairs(self._source, self._target, batch, self._device, network.config.right_to_left)
        tokens = int((pairs.target_BT != special_tokens.PAD).sum())
        with autocast(self._device, self._settings.precision):
            wanted = network.config.copy or guidance is not None
            decoded, _ = network.decode(pairs.source_BS, pairs.lengths_B, pairs.input_BT, wanted)
            loss, nll = network.compute_loss(decoded, pairs.source_BS, pairs.target_BT, self._settings.smoothing)
        if guidance is None:
            return BatchLoss(loss / tokens, nll, tokens)
        assert decoded.weights_BTS is not None
        linked = guidance.batch_links(batch, self._device)
        if network.config.right_to_left:
            linked = reverse_links(linked, pairs.target_BT)
        attention = guided_attention_loss(decoded.weights_BTS, linked)
        pull = guidance.weight * attention / max(1, linked.tokens)
        return BatchLoss(loss / tokens, nll, tokens, pull, AttentionLoss(attention.item(), linked.tokens))


@dataclass(frozen=True)
class PairBatch:
    """A batch as the network reads it; ids padded on the right."""

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
    """Put the sentences of these numbers together; from right to left, targets are turned round but for their end."""
    source_BS, lengths_B = batch_sampler.pad_sequences([source[int(index)] for index in batch])
    sentences: Iterable[NDArray[np.integer]] = (target[int(index)] for index in batch)
    if right_to_left:
        sentences = (np.concatenate([ids[-2::-1], ids[-1:]]) for ids in sentences)
    target_BT, _ = batch_sampler.pad_sequences(list(sentences))
    arrays = (source_BS, lengths_B, batch_sampler.shift_right(target_BT), target_BT)
    return PairBatch(*(torch.from_numpy(array).to(device) for array in arrays))


def reverse_links(linked: AlignmentLinks, target_BT: Tensor) -> AlignmentLinks:
    """Links of targets that are said from their end; the end symbol stays behind all words."""
    words_B = (target_BT != special_tokens.PAD).sum(1) - 1
    return replace(linked, target_L=words_B[linked.row_L] - 1 - linked.target_L)


def mean_target_nll(
    network: SequenceToSequence, source: SentenceDataset, target: SentenceDataset, stop: StopRequest
) -> float | None:
    """Negative log-likelihood of a target token, in nats, over a whole split in float32.

    Returns:
        The mean, or None when a stop was asked for on the way.
    """

    def measure(batch: NDArray[np.int64], device: torch.device) -> tuple[float, int]:
        pairs = gather_pairs(source, target, batch, device, network.config.right_to_left)
        _, nll = network.loss(pairs.source_BS, pairs.lengths_B, pairs.input_BT, pairs.target_BT, 0.0)
        return nll.item(), int((pairs.target_BT != special_tokens.PAD).sum())

    return training_step.mean_nll(network, [source, target], measure, stop)
