"""Sequence-to-sequence learning as a task of the loop: batches of sentence pairs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnnkit.data import batching
from rnnkit.data.aligned import Sentences
from rnnkit.models.sequence_to_sequence import SequenceToSequence
from rnnkit.nn.device import autocast
from rnnkit.nn.guided_attention import AlignmentLinks, guided_attention_loss
from rnnkit.text import special
from rnnkit.training import validation
from rnnkit.training.guidance import Guidance
from rnnkit.training.network_task import Measured, NetworkTask
from rnnkit.training.optimisation import Optimisation
from rnnkit.training.signals import Stop
from rnnkit.training.task import Guided


@dataclass(frozen=True)
class Settings:
    """What is optimised.

    Attributes:
        smoothing: Label smoothing.
        precision: Type of the matrix products.
    """

    smoothing: float
    precision: torch.dtype


class SequenceToSequenceTask(NetworkTask[NDArray[np.int64]]):
    """Trains a network on pairs of sentences.

    Args:
        network: What learns.
        source: Source sentences of the training part.
        target: Target sentences, in the same order.
        settings: What is optimised.
        optimisation: How weights change.
        guidance: Links that teach attention; a network without attention can have none.
    """

    def __init__(
        self,
        network: SequenceToSequence,
        source: Sentences,
        target: Sentences,
        settings: Settings,
        optimisation: Optimisation,
        guidance: Guidance | None = None,
    ) -> None:
        super().__init__(network, optimisation)
        self._network = network
        self._source = source
        self._target = target
        self._settings = settings
        self._guidance = guidance

    def measure(self, batch: NDArray[np.int64], part: int) -> Measured:
        """The loss of the sentences of these numbers."""
        network, guidance = self._network, self._guidance
        pairs = gather_pairs(self._source, self._target, batch, self._device, network.config.right_to_left)
        tokens = int((pairs.target_BT != special.PAD).sum())
        with autocast(self._device, self._settings.precision):
            wanted = network.config.copy or guidance is not None
            decoded, _ = network.decode(pairs.source_BS, pairs.lengths_B, pairs.input_BT, wanted)
            loss, nll = network.judge(decoded, pairs.source_BS, pairs.target_BT, self._settings.smoothing)
        if guidance is None:
            return Measured(loss / tokens, nll, tokens)
        assert decoded.weights_BTS is not None
        linked = guidance.linked(batch, self._device)
        if network.config.right_to_left:
            linked = turn_links(linked, pairs.target_BT)
        attention = guided_attention_loss(decoded.weights_BTS, linked)
        pull = guidance.weight * attention / max(1, linked.tokens)
        return Measured(loss / tokens, nll, tokens, pull, Guided(attention.item(), linked.tokens))


@dataclass(frozen=True)
class Pairs:
    """A batch as the network reads it; ids padded on the right."""

    source_BS: Tensor
    lengths_B: Tensor
    input_BT: Tensor
    target_BT: Tensor


def gather_pairs(
    source: Sentences,
    target: Sentences,
    batch: NDArray[np.int64],
    device: torch.device,
    right_to_left: bool = False,
) -> Pairs:
    """Put the sentences of these numbers together; from right to left, targets are turned round but for their end."""
    source_BS, lengths_B = batching.pad([source[int(index)] for index in batch])
    sentences: Iterable[NDArray[np.integer]] = (target[int(index)] for index in batch)
    if right_to_left:
        sentences = (np.concatenate([ids[-2::-1], ids[-1:]]) for ids in sentences)
    target_BT, _ = batching.pad(list(sentences))
    arrays = (source_BS, lengths_B, batching.shift_right(target_BT), target_BT)
    return Pairs(*(torch.from_numpy(array).to(device) for array in arrays))


def turn_links(linked: AlignmentLinks, target_BT: Tensor) -> AlignmentLinks:
    """Links of targets that are said from their end; the end symbol stays behind all words."""
    words_B = (target_BT != special.PAD).sum(1) - 1
    return replace(linked, target_L=words_B[linked.row_L] - 1 - linked.target_L)


def mean_nll(network: SequenceToSequence, source: Sentences, target: Sentences, stop: Stop) -> float | None:
    """Negative log-likelihood of a target token, in nats, over a whole split in float32.

    Returns:
        The mean, or None when a stop was asked for on the way.
    """

    def measure(batch: NDArray[np.int64], device: torch.device) -> tuple[float, int]:
        pairs = gather_pairs(source, target, batch, device, network.config.right_to_left)
        _, nll = network.loss(pairs.source_BS, pairs.lengths_B, pairs.input_BT, pairs.target_BT, 0.0)
        return nll.item(), int((pairs.target_BT != special.PAD).sum())

    return validation.mean_nll(network, [source, target], measure, stop)
