"""The mean loss over a whole split, by which a network is judged while it learns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rnnkit.data import batch_sampler
from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.training.signals import Stop

BATCH_TOKENS = 4096
"""Token budget of a validation batch."""

Measure = Callable[[NDArray[np.int64], torch.device], tuple[float, int]]
"""From numbers of sentences to the negative log-likelihood of their tokens, summed, in nats, and how many those are."""


@torch.no_grad()
def mean_nll(network: nn.Module, sides: Sequence[SentenceDataset], measure: Measure, stop: Stop) -> float | None:
    """Negative log-likelihood of a token, in nats, over a whole split; the network does not drop meanwhile.

    Args:
        network: What is judged.
        sides: The split, sentence by sentence the same on all sides.
        measure: Asks the network.
        stop: Looked at before each batch.

    Returns:
        The mean, or None when a stop was asked for on the way.
    """
    device = next(network.parameters()).device
    total, tokens = 0.0, 0
    was_training = network.training
    network.eval()
    try:
        for batch in batch_sampler.plan_epoch([side.lengths() for side in sides], BATCH_TOKENS, seed=0, epoch=0):
            if stop:
                return None
            nll, count = measure(batch, device)
            total += nll
            tokens += count
    finally:
        network.train(was_training)
    return total / max(1, tokens)
