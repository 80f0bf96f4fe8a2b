"""Training steps of networks: gradient accumulation, validation loss, and sequence-to-sequence models.

`NetworkTask` is the base of all tasks that train a network. Its step accumulates the gradient

    g = (sum over batches of d loss / d theta) / tokens of all batches

so that several small batches make the same step as one batch with all their sentences.

`Seq2SeqTask` trains sequence-to-sequence models, optionally with guided attention (Chen et al. 2016, arXiv:1607.01628),
which adds the cross-entropy of the attention weights against alignment links to the loss; `nn/attention.py` has
its equation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rnnkit.alignment.alignment_links import WordAlignments
from rnnkit.data import batch_sampler
from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.json_types import JsonMapping
from rnnkit.models.sequence_to_sequence import SequenceToSequence
from rnnkit.nn.attention import AlignmentLinks, guided_attention_loss
from rnnkit.nn.device import autocast
from rnnkit.text import special_tokens
from rnnkit.training.checkpoint import Arrays
from rnnkit.training.optimizer import NetworkOptimizer
from rnnkit.training.signals import StopRequest
from rnnkit.training.task import AttentionLoss, StepReport

B = TypeVar("B")

VALIDATION_BATCH_TOKENS = 4096
"""Token budget of a validation batch."""

_POSITION_BITS = 20
"""Bits of a position in a sentence, as in `Links.keys`; attention over more positions exceeds any memory."""

BatchNLL = Callable[[NDArray[np.int64], torch.device], tuple[float, int]]
"""Maps the indices of sentences to the negative log-likelihood of their tokens, summed, in nats, and their number."""


@dataclass(frozen=True)
class BatchLoss:
    """Loss of a batch, in nats.

    Attributes:
        mean: Training loss per token, with its graph.
        nll: Negative log-likelihood, summed.
        tokens: Number of predictions.
        guidance: Weighted loss of guided attention per linked token, with its graph; added to `mean`.
        attention: The same loss, summed and unweighted, for the report.
    """

    mean: Tensor
    nll: Tensor
    tokens: int
    guidance: Tensor | None = None
    attention: AttentionLoss | None = None


class NetworkTask(ABC, Generic[B]):
    """Base of tasks that train a network. Satisfies `task.Task`; its batch is the list of a step's batches.

    Args:
        network: The network.
        optimizer: Its optimizer.
    """

    def __init__(self, network: nn.Module, optimizer: NetworkOptimizer) -> None:
        self._optimizer = optimizer
        self._device = optimizer.device
        network.train()

    @abstractmethod
    def compute_loss(self, batch: B, index: int) -> BatchLoss:
        """Compute the loss of a batch.

        Args:
            batch: The batch.
            index: Index of the batch among those of the step in this process.
        """

    def step(self, batches: Sequence[B], learning_rate: float) -> StepReport:
        """Take a step with the batches of this process and of all others; the report covers all of them."""
        self._optimizer.begin_step()
        loss, nll, tokens = 0.0, 0.0, 0
        attention = AttentionLoss(0.0, 0)
        for batch_loss in self._backward(batches):
            loss += batch_loss.mean.item() * batch_loss.tokens
            nll += batch_loss.nll.item()
            tokens += batch_loss.tokens
            if (more := batch_loss.attention) is not None:
                attention = AttentionLoss(attention.loss + more.loss, attention.tokens + more.tokens)
        sums = self._optimizer.group.all_reduce_sum(loss, nll, tokens, attention.loss, attention.tokens)
        loss, nll, total, attention = sums[0], sums[1], int(sums[2]), AttentionLoss(sums[3], int(sums[4]))
        update = self._optimizer.update(total, learning_rate)
        attention_or_none = attention if attention.tokens else None
        return StepReport(loss, nll, total, update.norm, attention=attention_or_none, scaling=update.scaling)

    def dry_run(self, batches: Sequence[B]) -> None:
        """Compute the gradient of some batches and discard it, before training starts."""
        for _ in self._backward(batches):
            pass
        self._optimizer.discard_gradients()

    def _backward(self, batches: Sequence[B]) -> Iterator[BatchLoss]:
        """Accumulate the gradient of each batch."""
        for index, batch in enumerate(batches):
            batch_loss = self.compute_loss(batch, index)
            mean = batch_loss.mean if batch_loss.guidance is None else batch_loss.mean + batch_loss.guidance
            self._optimizer.backward(mean, batch_loss.tokens)
            yield batch_loss

    def state_dict(self) -> Mapping[str, Arrays]:
        """Return the optimizer's state; tasks that carry more from step to step add it."""
        return self._optimizer.state_dict()

    def load_state_dict(self, state: Mapping[str, Arrays]) -> None:
        """Restore a state from `state_dict`. Raises FormatError if the weights do not fit the network."""
        self._optimizer.load_state_dict(state)

    def save_weights(self, name: str, facts: JsonMapping) -> None:
        """Write the weights as `best`, or as a snapshot of this step if snapshots are kept."""
        self._optimizer.save_weights(name, facts)


@torch.no_grad()
def mean_nll(
    network: nn.Module, sides: Sequence[SentenceDataset], batch_nll: BatchNLL, stop: StopRequest
) -> float | None:
    """Compute the negative log-likelihood per token over a whole split, in nats, in evaluation mode.

    Args:
        network: The network.
        sides: The split; all sides have the same number of sentences.
        batch_nll: Evaluates a batch.
        stop: Checked before each batch.

    Returns:
        The mean, or None if a stop was requested.
    """
    device = next(network.parameters()).device
    total, tokens = 0.0, 0
    was_training = network.training
    network.eval()
    try:
        for batch in batch_sampler.plan_epoch(
            [side.lengths() for side in sides], VALIDATION_BATCH_TOKENS, seed=0, epoch=0
        ):
            if stop:
                return None
            nll, count = batch_nll(batch, device)
            total += nll
            tokens += count
    finally:
        network.train(was_training)
    return total / max(1, tokens)


@dataclass(frozen=True)
class Seq2SeqObjective:
    """Loss of a sequence-to-sequence model.

    Attributes:
        smoothing: Label smoothing.
        precision: Precision of the matrix products.
    """

    smoothing: float
    precision: torch.dtype


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

    return mean_nll(network, [source, target], batch_nll, stop)
